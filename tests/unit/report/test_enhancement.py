"""Enhancements in the report: curves, and distances of pairs by kind."""

import numpy as np
import pytest

from sv.base.layout import ModelFolder
from sv.kaldi import open_ark_scp, write_data_dir
from sv.report.enhancement import distances, draw_pairs, enhancement_sections
from sv.report.page import render
from sv.results.folder import SystemResults

UTT2SPK = {f"id{speaker}-{session}-{n}": f"id{speaker}" for speaker in (1, 2) for session in "ab" for n in (1, 2)}


def test_pairs_by_kind() -> None:
    found = draw_pairs(UTT2SPK)
    same = set(zip(*(side.tolist() for side in found["same session"])))
    assert same == {(f"id{k}-{s}-1", f"id{k}-{s}-2") for k in (1, 2) for s in "ab"}
    assert len(found["different session"][0]) == 2 * 4
    for left, right in zip(*found["different session"]):
        assert left[:3] == right[:3] and left[:5] != right[:5]
    assert all(left[:3] != right[:3] for left, right in zip(*found["different speaker"]))


def test_ids_that_tell_no_session_and_many_pairs() -> None:
    assert set(draw_pairs({f"u{n}": f"s{n % 2}" for n in range(4)})) == {"different session", "different speaker"}
    many = draw_pairs({f"id1-a-{n}": "id1" for n in range(250)} | {"id2-a-1": "id2"})
    assert len(set(zip(*many["same session"]))) == len(many["same session"][0]) == 20_000


def test_distances_are_of_directions() -> None:
    vectors = {"a": np.array([2.0, 0]), "b": np.array([1.0, 1]), "c": np.array([-3.0, 0])}
    pairs = {"x": (np.array(["a", "a"]), np.array(["b", "c"]))}
    assert distances(vectors, pairs)["x"] == pytest.approx([1 - 0.5**0.5, 2])


@pytest.fixture
def results(tmp_path):
    """An extractor and its enhancement, in that order reversed."""
    tables = {"wav_scp": dict.fromkeys(UTT2SPK, "x"), "utt2dur": dict.fromkeys(UTT2SPK, 1.0)}
    write_data_dir(tmp_path / "data/test", utt2spk=UTT2SPK, **tables)
    rng, found = np.random.default_rng(0), []
    for name, kind in (("mlp", "embedding"), ("extractor", "log_mel")):
        out = tmp_path / name / "embeddings/test"
        with open_ark_scp(out / "xvector.ark", out / "xvector.scp") as write:
            for utt in UTT2SPK:
                write(utt, rng.normal(size=4))
        journal = [{"step": n, "epoch": n // 2, "loss": 1.0 / (n + 1)} for n in range(6)]
        journal += [{"step": 6, "epoch": e, "valid_eer": 9.0 - e, "valid_loss": 1.0} for e in range(3)]
        rows = [{"system": name, "test_set": "test"}]
        found.append(
            SystemResults(
                folder=ModelFolder(tmp_path / name),
                rows=rows,
                journal=journal,
                config={"features": {"type": kind}},
                breakdown=[],
            )
        )
    return found


def test_an_enhancements_curves_and_the_distances_before_and_after(results, tmp_path) -> None:
    sections = enhancement_sections(results, tmp_path / "data")
    assert [section.heading for section in sections] == ["Enhancement", "Distances of pairs"]
    curves, histograms = (render("title", [], [section]) for section in sections)
    assert curves.count("<svg") == 1 and "Loss and held-out EER over epochs, mlp" in curves
    for words in ("loss, training", "loss, held out", "EER, held out"):
        assert words in curves
    assert histograms.count("<svg") == 2
    assert histograms.index("Distances of pairs, extractor") < histograms.index("Distances of pairs, mlp")
    for words in ("same session", "different session", "different speaker"):
        assert histograms.count(words) >= 2
    assert enhancement_sections(results[1:], tmp_path / "data") == []
