import html.parser
import json
import re
from pathlib import Path

import numpy as np
import pytest

from sv.files import sha256_of
from sv.kaldi import Trials, write_scores, write_trials
from sv.report import compare
from sv.report_page import flatten, load_results, page, shown_conditions
from sv.results import Provenance, make_row, update_results

CONDITIONS = ("test", "test-noise-snr0", "test-noise-snr20", "test-babble-snr0", "test-babble-snr20")


def write_system(root: Path, name: str, shift: float) -> Path:
    """A model folder with scores in two back ends; the lower the SNR, the nearer the classes."""
    folder = root / "exp" / name
    utts = [f"s{i // 3}-{i:02d}" for i in range(15)]
    pairs = [(a, b) for a in utts for b in utts if a < b]
    trials = Trials([a for a, _ in pairs], [b for _, b in pairs], np.array([a[:2] == b[:2] for a, b in pairs]))
    rows, rng = [], np.random.default_rng(0)
    for set_name in CONDITIONS:
        write_trials(root / "data" / set_name / "trials", trials)
        stamp = Provenance(
            system=name, trials_sha256=sha256_of(root / "data" / set_name / "trials"), checkpoint_sha256="c" * 64,
            commit=None, seed=0,
        )  # fmt: skip
        distance = shift * (0.5 if set_name.endswith("snr0") else 1.0)
        scores = rng.normal(size=len(trials)) + distance * trials.is_target
        for backend in ("cosine", "neg_mean_l2"):
            write_scores(folder / "scores" / set_name / f"{backend}.scores", trials, scores)
            rows.append(make_row(set_name, backend, trials, scores, {utt: utt[:2] for utt in utts}, stamp))
    update_results(folder / "results.json", rows)
    (folder / "config.json").write_text(
        json.dumps({"name": name, "model": {"type": name, "blocks": [1, 2]}, "seed": 0})
    )
    records = [{"step": 10, "loss": 5.0}, {"step": 20, "loss": 3.0}, {"step": 20, "valid_eer": 12.5}]
    (folder / "train.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


@pytest.fixture
def folders(tmp_path) -> list[Path]:
    return [write_system(tmp_path, name, shift) for name, shift in (("ours<1>", 3.0), ("baseline", 2.0))]


class Reader(html.parser.HTMLParser):
    """Checks that tags are balanced; collects texts, tags and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.texts.append(data)


def read_page(folders: list[Path], note: str = "") -> Reader:
    results = [load_results(folder) for folder in folders]
    return Reader(page(results, folders[0].parents[1] / "data", note))


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(folders) -> None:
    text = page([load_results(folder) for folder in folders], folders[0].parents[1] / "data", "A <note>.")
    reader = Reader(text)
    assert reader.open == []
    assert not {tag for tag, _ in reader.tags} & {"script", "link", "img", "iframe", "object"}
    for _, attributes in reader.tags:
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith("#")
    assert not re.search(r"@import|url\((?!#)", text)
    assert "A <note>." in reader.texts


def test_the_page_says_all_that_was_promised(folders) -> None:
    reader = read_page(folders)
    for heading in (
        "Error rates by noise condition", "EER over SNR", "Detection error trade-off", "Scores",
        "test, scored by neg_mean_l2", "Training", "Where the numbers come from",
    ):  # fmt: skip
        assert heading in reader.texts
    drawings = [attributes["aria-label"] for tag, attributes in reader.tags if tag == "svg"]
    assert drawings[:3] == ["EER over SNR in noise", "EER over SNR in babble", "DET curves"]
    assert drawings[-2:] == ["training loss over training steps", "held-out EER (%) over training steps"]
    assert sum(label.startswith("Scores of ") for label in drawings) == 4
    assert "20 steps, best held-out EER 12.50 %" in reader.texts
    assert "model.type" in reader.texts  # the configurations differ in it


def test_the_table_holds_the_rows(folders) -> None:
    reader = read_page(folders)
    for row in load_results(folders[1]).rows:
        assert f"{row['eer']:.2f}" in reader.texts
        assert f"[{row['eer_low']:.1f}, {row['eer_high']:.1f}]" in reader.texts


def test_the_hardest_shared_condition_is_shown_beside_clean(folders) -> None:
    comparison = compare([load_results(folder).rows for folder in folders])[0]
    clean, hardest = shown_conditions(comparison)
    means = {rows[0]["condition"]: sum(row["eer"] for row in rows) for rows in comparison.shared}
    assert clean[0]["condition"] == "clean"
    assert means[hardest[0]["condition"]] == max(means.values())


def test_one_system_without_noise_or_training_makes_a_page(folders) -> None:
    folder = folders[1]
    rows = [row for row in load_results(folder).rows if row["noise"] is None and row["backend"] == "cosine"]
    (folder / "results.json").write_text(json.dumps(rows))
    (folder / "train.jsonl").unlink()
    reader = read_page([folder])
    assert "EER over SNR" not in reader.texts and "Training" not in reader.texts
    assert "not recorded" in reader.texts


def test_trials_that_changed_since_scoring_are_refused(folders) -> None:
    trials = folders[0].parents[1] / "data" / "test" / "trials"
    trials.write_text(trials.read_text().replace("nontarget", "target", 1))
    with pytest.raises(
        ValueError, match=r"data/test/trials: changed since ours<1> was scored on it; run stage 7 again"
    ):
        read_page(folders)


def test_results_without_rows_are_refused(folders) -> None:
    (folders[0] / "results.json").write_text("[]")
    with pytest.raises(ValueError, match=r"results.json holds no rows; run stage 7 again"):
        load_results(folders[0])


def test_nested_keys_are_dotted() -> None:
    assert flatten({"a": {"b": [1, 2], "c": {"d": None}}, "e": "x"}) == {"a.b": "[1, 2]", "a.c.d": "null", "e": '"x"'}
