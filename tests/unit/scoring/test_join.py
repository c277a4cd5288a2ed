import numpy as np
import pytest

from sv.kaldi import DataDirError
from sv.scoring import join
from sv.scoring.join import join_scores


@pytest.fixture
def write(tmp_path):
    """write(trials, scores) -> both paths."""

    def files(trials: str, scores: str):
        for name, text in (("trials", trials), ("scores", scores)):
            (tmp_path / name).write_text(text)
        return tmp_path / "trials", tmp_path / "scores", tmp_path

    return files


def taken(trials, scores, folder):
    parts: list = []
    report = join_scores(trials, scores, folder, lambda *part: parts.append(part))
    found, is_target = (np.concatenate(side) for side in zip(*parts))
    return sorted(zip(found.tolist(), is_target.tolist())), report


@pytest.mark.parametrize("part_trials", [1, 1 << 21])
def test_scores_reach_their_trials_whatever_the_order_and_the_parts(write, monkeypatch, part_trials) -> None:
    monkeypatch.setattr(join, "PART_TRIALS", part_trials)
    pairs = [(f"a{i}", f"b{i * 7 % 50}") for i in range(50)]
    trials = "".join(f"{a} {b} {'target' if i % 3 else 'nontarget'}\n" for i, (a, b) in enumerate(pairs))
    order = np.random.default_rng(0).permutation(50)
    scores = "".join(f"{pairs[i][0]} {pairs[i][1]} {i}.5\n" for i in order) + "a0 b1 9\nzz a1 9\n"
    found, report = taken(*write(trials, scores))
    assert found == [(i + 0.5, bool(i % 3)) for i in range(50)]
    assert (report.num_trials, report.num_foreign, report.missing) == (50, 2, [])


def test_every_trial_without_a_score_is_named_in_trial_order(write) -> None:
    trials = "x y target\na b target\nc d nontarget\na c nontarget\n"
    found, report = taken(*write(trials, "a b 1\nb a 2\n"))
    assert found == [(1.0, True)]
    assert report.missing == [(1, "x", "y"), (3, "c", "d"), (4, "a", "c")]
    assert report.num_foreign == 1  # b a is not a b


def test_a_trial_may_stand_twice_in_the_list_and_in_the_scores(write) -> None:
    found, report = taken(*write("a b target\na b target\nc d nontarget\n", "c d 0\na b 1\na b 1\n"))
    assert found == [(0.0, False), (1.0, True), (1.0, True)]
    assert report.num_trials == 3


@pytest.mark.parametrize(
    ("trials", "scores", "message"),
    [
        ("a b target\nc d nontarget\na b nontarget\n", "a b 1\nc d 1\n", r"trials:3: trial a b has two labels"),
        ("a b target\nc d nontarget\n", "a b 1\nc d 1\na b 2\n", r"scores:3: trial a b has two scores"),
        ("a b target\n", "a b 1\nx y nan\n", r"scores:2: expected '<enrolment-utt> <test-utt> <score>', got 'x y nan'"),
        ("a b target\nc d nontarget\n", "a b 1.5 1\nc d 0.5 1\n", r"scores:2: says target of trial c d, the trial list nontarget"),
        ("a b tgt\n", "a b 1\n", r"trials:1: expected '<enrolment-utt> <test-utt> target\|nontarget', got 'a b tgt'"),
    ],
)  # fmt: skip
def test_contradictions_are_told_with_file_and_line(write, trials, scores, message) -> None:
    with pytest.raises(DataDirError, match=message):
        taken(*write(trials, scores))
