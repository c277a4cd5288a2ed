"""Archives of embeddings, read by row; speakers' targets of both kinds."""

import os
import resource

import numpy as np
import pytest

from sv.enhancement.archive import EmbeddingArchive
from sv.enhancement.targets import SpeakerTargets, unit
from sv.kaldi import DataDirError, open_ark_scp


def archive_of(path, arrays, **options) -> EmbeddingArchive:
    with open_ark_scp(path / "x.ark", path / "x.scp", **options) as write:
        for key, array in arrays.items():
            write(key, array)
    return EmbeddingArchive(path / "x.scp")


def published_example() -> np.ndarray:
    """Ten segments of each of three utterances, (3, 10, 4)."""
    t = np.arange(120)
    return np.sin(0.37 * t**2 + 0.5 * t + 0.1).reshape(3, 10, 4)


def test_rows_of_vectors_in_any_order(tmp_path) -> None:
    vectors = {f"utt{i:02d}": np.arange(5, dtype=np.float32) + 10 * i for i in range(12)}
    archive = archive_of(tmp_path, vectors)
    assert (len(archive), archive.dim, archive.row("utt03")) == (12, 5, 3)
    assert "utt03" in archive and "utt12" not in archive
    np.testing.assert_array_equal(archive.rows([7, 0, 7]), np.stack([vectors[f"utt0{i}"] for i in (7, 0, 7)]))
    np.testing.assert_array_equal(np.concatenate([x for _, x in archive.blocks()]), np.stack(list(vectors.values())))


def test_several_archives_behind_one_scp(tmp_path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        archive_of(tmp_path / name, {f"{name}1": np.full(3, ord(name)), f"{name}2": np.zeros(3)})
    lines = [(tmp_path / name / "x.scp").read_text() for name in "ab"]
    (tmp_path / "all.scp").write_text("".join(lines))
    archive = EmbeddingArchive(tmp_path / "all.scp")
    assert archive.rows([2, 0])[:, 0].tolist() == [98, 97]


def test_segments_are_averaged_all_or_a_few_drawn_ones(tmp_path) -> None:
    matrix = np.arange(40, dtype=np.float32).reshape(10, 4) ** 1.5
    archive = archive_of(tmp_path, {"a": matrix, "b": matrix[:2]})
    np.testing.assert_allclose(archive.rows([0])[0], matrix.mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(archive.segments(1), matrix[:2])
    drawn = [archive.rows([0], 3, np.random.default_rng(seed))[0] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()
    means = {tuple(np.float32(matrix[[i, j, k]].mean(axis=0))) for i in range(10) for j in range(i) for k in range(j)}
    nearest = min(np.abs(np.array(list(means)) - drawn[0]).max(axis=1))
    assert nearest < 1e-3
    np.testing.assert_allclose(archive.rows([1], 3, np.random.default_rng(0))[0], matrix[:2].mean(axis=0), rtol=1e-6)


def damaged(tmp_path, kind):
    archive_of(tmp_path, {"a": np.zeros(3), "b": np.zeros(4), "c": np.zeros((2, 3))})
    scp = tmp_path / "x.scp"
    if kind == "empty":
        scp.write_text("")
    elif kind == "pipe":
        scp.write_text("a cat x |\n")
    elif kind == "offset":
        scp.write_text(f"a {tmp_path}/x.ark:1\n")
    elif kind == "cut":
        os.truncate(tmp_path / "x.ark", (tmp_path / "x.ark").stat().st_size - 4)
    elif kind == "compressed":
        archive_of(tmp_path, {"a": np.random.default_rng(0).random((4, 3))}, compression_method=3)
    return scp


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("empty", "x.scp: no embeddings"),
        ("pipe", r"x.scp:1: expected 'file:offset', got 'cat x \|'"),
        ("offset", "x.scp: a: no uncompressed single-precision vector or matrix is there"),
        ("dimension", "x.scp: b has dimension 4, the embeddings before it 3"),
        ("cut", "x.scp: c: the archive ends within its record"),
        ("compressed", "x.scp: a: no uncompressed single-precision vector or matrix is there"),
    ],
)
def test_what_cannot_be_read_is_named(kind, message, tmp_path) -> None:
    with pytest.raises(DataDirError, match=message):
        scp = damaged(tmp_path, kind)
        EmbeddingArchive(scp).rows([0, 2] if kind == "cut" else [0, 1])


def test_embeddings_that_are_not_there_name_the_stage_that_makes_them(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"x\.scp: not there; run stage 5 first"):
        EmbeddingArchive(tmp_path / "x.scp")


def test_embeddings_stay_on_the_disk(tmp_path) -> None:
    """60 MB of vectors: reading all of them, a few at a time, adds a fraction of that."""
    rows, vector = 30_000, np.ones(512, np.float32)
    with open_ark_scp(tmp_path / "x.ark", tmp_path / "x.scp") as write:
        for number in range(rows):
            write(f"u{number:06d}", vector)
    archive = EmbeddingArchive(tmp_path / "x.scp")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for first in range(0, rows, 1000):
        archive.rows(range(first, first + 1000))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def test_published_targets(tmp_path) -> None:
    """Type C as documented; the published code wrote the last utterance's vector instead."""
    segments = published_example()
    archive = archive_of(tmp_path, {f"utt{i}": matrix for i, matrix in enumerate(segments)})
    rows, speakers = np.arange(3), np.zeros(3, int)
    b, c = (SpeakerTargets(kind, archive, rows, speakers).of_speakers([0])[0] for kind in "BC")
    np.testing.assert_allclose(b, (0.409215, -0.488662, 0.402943, -0.275650), atol=1e-6)
    assert np.linalg.norm(b) == pytest.approx(0.802866, abs=1e-6)
    np.testing.assert_allclose(c, (0.527812, -0.619724, 0.463894, -0.349512), atol=1e-6)
    shipped = np.array((0.206899, -0.621749, 0.752244, -0.068921))
    np.testing.assert_allclose(unit(segments[2].mean(axis=0)), shipped, atol=1e-6)
    assert np.abs(c - shipped).max() > 0.2
    single = unit(archive.rows([0]))[0]
    np.testing.assert_allclose(single, (0.643946, -0.615906, -0.325137, -0.316669), atol=1e-6)


@pytest.mark.parametrize("kind", ["B", "C"])
def test_leaving_one_out_is_the_target_of_the_others(kind, tmp_path) -> None:
    vectors = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    archive = archive_of(tmp_path, {f"utt{i}": vector for i, vector in enumerate(vectors)})
    speakers = np.array([1, 0, 1, 0, 1, 0, 1])
    found = SpeakerTargets(kind, archive, np.arange(7), speakers).leaving_out(speakers, vectors)
    for row in range(7):
        others = np.array([i for i in range(7) if speakers[i] == speakers[row] and i != row])
        alone = SpeakerTargets(kind, archive, others, np.zeros(len(others), int)).of_speakers([0])[0]
        np.testing.assert_allclose(found[row], alone, atol=1e-5)


def test_utterances_outside_the_list_do_not_count(tmp_path) -> None:
    archive = archive_of(tmp_path, {"a": np.array([1.0, 0]), "b": np.array([0, 1.0]), "c": np.array([0, 5.0])})
    targets = SpeakerTargets("B", archive, np.array([0, 2]), np.array([0, 0]))
    np.testing.assert_allclose(targets.of_speakers([0]), [[0.5, 0.5]])
    assert targets.counts.tolist() == [2]


def test_unknown_kind_is_named(tmp_path) -> None:
    with pytest.raises(ValueError, match="a target is of kind B or C, got 'A'"):
        SpeakerTargets("A", archive_of(tmp_path, {"a": np.ones(2)}), np.array([0]), np.array([0]))
