import numpy as np
import pytest

from sv.kaldi import DataDirError, Trials, read_scores, read_trials, scores_of_trials, write_scores, write_trials


@pytest.fixture
def trials():
    return Trials(["a", "a", "b"], ["b", "c", "c"], np.array([True, False, False]))


def test_round_trip(tmp_path, trials):
    write_trials(tmp_path / "trials", trials)
    again = read_trials(tmp_path / "trials")
    assert (again.enrolment, again.test, again.is_target.tolist()) == (
        trials.enrolment,
        trials.test,
        [True, False, False],
    )


@pytest.mark.parametrize("line", ["a b imp", "a b", "a b target x", "\na c target"])
def test_labels_are_strict(tmp_path, line):
    (tmp_path / "trials").write_text(f"a b target\n{line}\n")
    with pytest.raises(DataDirError, match=r"trials:2: expected '<enrolment-utt> <test-utt> target\|nontarget'"):
        read_trials(tmp_path / "trials")


def test_scores_may_come_in_any_order(tmp_path, trials):
    (tmp_path / "s").write_text("b c 3\na b 1e0\na c -2.5\nx y 9\n")
    assert scores_of_trials(tmp_path / "s", trials).tolist() == [1.0, -2.5, 3.0]


@pytest.mark.parametrize("scores", [[1 / 3, -1e-9, 12345.678], [1.0, 1 + 2**-52, 1 - 2**-53], [1e39, -1.7e308, 5e-324]])
def test_scores_come_back_to_the_bit(tmp_path, trials, scores):
    write_scores(tmp_path / "s", trials, scores)
    assert list(read_scores(tmp_path / "s").values()) == scores


def test_scores_in_the_order_of_the_trials_are_those_of_any_order(tmp_path, trials):
    scores = [1 / 3, -1e-9, 5e-324]
    write_scores(tmp_path / "s", trials, scores)
    lines = (tmp_path / "s").read_text().splitlines(keepends=True)
    for text in (
        "".join(lines),
        "".join(lines)[:-1],
        "".join(reversed(lines)),
        "".join(lines) + "\n",
        "x y 7\n" + "".join(lines),
    ):
        (tmp_path / "s").write_text(text)
        assert scores_of_trials(tmp_path / "s", trials).tolist() == scores


def test_a_trial_that_is_twice_in_a_list_has_one_score(tmp_path):
    trials = Trials(["a", "a"], ["b", "b"], np.array([True, True]))
    (tmp_path / "s").write_text("a b 1\na b 1.0\n")
    assert scores_of_trials(tmp_path / "s", trials).tolist() == [1, 1]
    (tmp_path / "s").write_text("a b 1\na b 2\n")
    with pytest.raises(DataDirError, match="s:2: trial a b has two scores"):
        scores_of_trials(tmp_path / "s", trials)


@pytest.mark.parametrize("bad", ["nan", "inf", "1_0", "x", "1 2", ""])
def test_bad_scores_in_order_are_named_too(tmp_path, trials, bad):
    (tmp_path / "s").write_text(f"a b 1\na c {bad}\nb c 3\n")
    with pytest.raises(DataDirError, match="s:2: expected"):
        scores_of_trials(tmp_path / "s", trials)


@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
def test_scores_that_cannot_be_read_are_not_written(tmp_path, trials, bad):
    (tmp_path / "s").write_text("old\n")
    with pytest.raises(ValueError, match=r"s: 1 of 3 scores are NaN or infinite, e\.g\. (nan|-inf) of trial a c"):
        write_scores(tmp_path / "s", trials, [1.0, bad, 2.0])
    assert (tmp_path / "s").read_text() == "old\n"


def test_trials_without_a_score_are_named(tmp_path, trials):
    (tmp_path / "s").write_text("a b 1\n")
    with pytest.raises(DataDirError, match=r"2 of 3 trials have no score, e.g. \['a c', 'b c'\]"):
        scores_of_trials(tmp_path / "s", trials)


@pytest.mark.parametrize(
    ("line", "message"),
    [("a b 2", "trial a b has two scores"), ("a c nan", "expected"), ("a c", "expected"), ("a c x", "expected")],
)
def test_bad_score_lines_are_named(tmp_path, line, message):
    (tmp_path / "s").write_text(f"a b 1\n{line}\n")
    with pytest.raises(DataDirError, match=f"s:2: {message}"):
        read_scores(tmp_path / "s")
