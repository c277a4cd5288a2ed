import numpy as np
import pytest

from sv.bin import score
from sv.kaldi import open_ark_scp, read_scores
from sv.kaldi.scp import read_num_utts


@pytest.fixture
def vectors(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("enrolled", "tested"):
        with open_ark_scp(tmp_path / f"{name}.ark", tmp_path / f"{name}.scp") as write:
            for utt in ("a", "b", "c"):
                write(utt, rng.normal(size=4))
    (tmp_path / "trials").write_text("b c target\na c nontarget\nc a nontarget\n")
    return tmp_path


def test_scores_are_in_trial_order_and_symmetric_for_one_set(vectors) -> None:
    table = vectors / "enrolled.scp"
    score.main(["cosine", str(vectors / "trials"), str(table), str(table), str(vectors / "out")])
    found = read_scores(vectors / "out")
    assert list(found) == [("b", "c"), ("a", "c"), ("c", "a")]
    assert found["a", "c"] == found["c", "a"]


def test_the_two_sides_are_read_from_their_own_tables(vectors) -> None:
    sides = [str(vectors / name) for name in ("enrolled.scp", "tested.scp")]
    for order in (sides, sides[::-1]):
        score.main(["cosine", str(vectors / "trials"), *order, str(vectors / f"out{order is sides}")])
    one, other = (read_scores(vectors / f"out{swapped}") for swapped in (True, False))
    assert one["a", "c"] == other["c", "a"]
    assert one["a", "c"] != one["c", "a"]


def test_unknown_utterances_are_told_with_the_trial_file(vectors, fails) -> None:
    (vectors / "trials").write_text("a x target\nb y nontarget\nz c nontarget\nw c nontarget\n")
    table = vectors / "enrolled.scp"
    said = fails(score.main, "cosine", vectors / "trials", table, table, vectors / "out")
    assert said == f"error: {vectors}/trials: 4 of 7 trial utterances have no embedding, e.g. ['w', 'x', 'y']"
    assert not (vectors / "out").exists()


def test_an_unknown_back_end_is_wrong_usage(vectors, fails) -> None:
    said = fails(score.main, "magic", "a", "b", "c", "d", code=2)
    assert "invalid choice: 'magic'" in said


def test_counts_that_are_none_are_named(vectors, fails) -> None:
    (vectors / "num_utts").write_text("a 1\nb 0\n")
    options = ("--backend", vectors / "nowhere", "--num-utts", vectors / "num_utts")
    with pytest.raises(ValueError, match=r"num_utts:2: expected '<speaker> <number of utterances>', got 'b 0'"):
        read_num_utts(vectors / "num_utts")
    table = vectors / "enrolled.scp"
    said = fails(score.main, "plda", vectors / "trials", table, table, vectors / "out", *options)
    assert said == f"error: {vectors}/nowhere/plda: not there; sv backend --kinds plda makes it"


def test_a_cohort_smaller_than_top_n_is_told(vectors, fails) -> None:
    table = vectors / "enrolled.scp"
    said = fails(
        score.main, "cosine", vectors / "trials", table, table, vectors / "out", "--as-norm", vectors / "tested.scp"
    )
    assert said == "error: top-n must be in 2..3, the size of the cohort, got 300"
    assert not (vectors / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plda"], "plda needs --backend DIR, which sv backend makes"),
        (["cosine", "--num-utts", "x"], "--num-utts, --smoothing and --length-norm are for plda"),
        (["cosine", "--smoothing", "0.1"], "are for plda"),
        (["cosine", "--length-norm", "none"], "are for plda"),
        (["plda", "--backend", "x", "--length-norm", "some"], "invalid choice: 'some'"),
        (["b_vector"], "b_vector needs --backend DIR, which sv backend makes"),
        (["mean_cos", "--num-utts", "x"], "are for plda"),
        (["neg_mean_l2", "--as-norm", "x"], "--as-norm is for cosine, centred_cosine, plda"),
    ],
)
def test_options_that_do_not_fit_are_wrong_usage(vectors, fails, arguments, message) -> None:
    kind, *options = arguments
    assert message in fails(score.main, kind, "trials", "a.scp", "a.scp", "out", *options, code=2)


def test_segments_are_scored_by_all_their_pairs(vectors) -> None:
    rng = np.random.default_rng(1)
    segments = {utt: rng.normal(size=(2, 4)).astype(np.float32) for utt in "abc"}
    with open_ark_scp(vectors / "segments.ark", vectors / "segments.scp") as write:
        for utt, rows in segments.items():
            write(utt, rows)
    units = {utt: rows / np.linalg.norm(rows, axis=1, keepdims=True) for utt, rows in segments.items()}
    table = str(vectors / "segments.scp")
    for name in ("mean_cos", "neg_mean_l2"):
        score.main([name, str(vectors / "trials"), table, table, str(vectors / "out")])
        pairs = [(left, right) for left in units["b"] for right in units["c"]]
        values = {
            "mean_cos": np.mean([left @ right for left, right in pairs]),
            "neg_mean_l2": -np.mean([np.linalg.norm(left - right) for left, right in pairs]),
        }
        assert read_scores(vectors / "out")["b", "c"] == pytest.approx(values[name], abs=1e-5)


def test_a_folder_for_what_learns_nothing_is_refused(vectors, fails) -> None:
    table = vectors / "enrolled.scp"
    said = fails(score.main, "mean_cos", vectors / "trials", table, table, vectors / "out", "--backend", vectors)
    assert said == f"error: {vectors}: the back end mean_cos learns nothing, so it has no folder; leave out --backend"
