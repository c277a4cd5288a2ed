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


@pytest.mark.parametrize("line", ["a b imp", "a b", "a b target x", ""])
def test_labels_are_strict(tmp_path, line):
    (tmp_path / "trials").write_text(f"a b target\n{line}\n")
    with pytest.raises(DataDirError, match=r"trials:2: expected '<enrolment-utt> <test-utt> target\|nontarget'"):
        read_trials(tmp_path / "trials")


def test_scores_may_come_in_any_order(tmp_path, trials):
    (tmp_path / "s").write_text("b c 3\na b 1e0\na c -2.5\nx y 9\n")
    assert scores_of_trials(tmp_path / "s", trials).tolist() == [1.0, -2.5, 3.0]


def test_seven_digits_survive(tmp_path, trials):
    write_scores(tmp_path / "s", trials, [1 / 3, -1e-9, 12345.678])
    assert list(read_scores(tmp_path / "s").values()) == pytest.approx([1 / 3, -1e-9, 12345.678], rel=1e-6)


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
