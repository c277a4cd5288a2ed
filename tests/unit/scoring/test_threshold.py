"""Thresholds from one's own trials: by hand, against known distributions, and refused where the data cannot tell."""

import json

import numpy as np
import pytest
from scipy.stats import norm

from sv.base.seeding import generator
from sv.bin import threshold
from sv.kaldi import Trials, write_scores, write_table, write_trials
from sv.scoring.threshold import check_support, find_threshold, speakers_by_targets


def all_pairs(num_speakers: int, distance: float, seed: int = 0, num_utts: int = 2):
    """Scores of all pairs of utterances, normal around 0 or `distance`; labels and speakers."""
    owner = np.repeat(np.arange(num_speakers), num_utts)
    left, right = np.triu_indices(len(owner), 1)
    is_target = owner[left] == owner[right]
    scores = np.random.default_rng(seed).normal(size=len(left)) + distance * is_target
    return scores, is_target, (owner[left], owner[right])


def found_in(scores, is_target, speakers, max_fa: float, replicates: int = 200):
    return find_threshold(scores, is_target, speakers, max_fa, generator(0, "test"), replicates)


def test_it_is_the_lowest_that_keeps_the_rate() -> None:
    scores, is_target, speakers = all_pairs(40, 3.0)
    for max_fa in (0.01, 0.05, 0.2):
        found = found_in(scores, is_target, speakers, max_fa)
        nontargets = np.sort(scores[~is_target])[::-1]
        allowed = int(max_fa * len(nontargets))
        assert np.sum(nontargets >= found.threshold) == allowed
        assert found.p_fa == pytest.approx(allowed / len(nontargets))
        assert found.p_miss == pytest.approx(np.mean(scores[is_target] < found.threshold))
        assert found.threshold == pytest.approx((nontargets[allowed - 1] + nontargets[allowed]) / 2)


def test_of_normal_scores_it_is_their_quantile_within_its_interval() -> None:
    inside = 0
    for seed in range(20):
        found = found_in(*all_pairs(50, 3.0, seed), 0.02)
        assert found.threshold == pytest.approx(norm.ppf(0.98), abs=0.15)
        inside += found.low <= norm.ppf(0.98) <= found.high
        assert found.p_fa_interval[0] <= found.p_fa <= 0.02 <= found.p_fa_interval[1]
    assert inside >= 18


def test_tied_scores_are_accepted_together() -> None:
    scores, is_target, speakers = all_pairs(20, 3.0)
    scores = np.where(is_target, 1.0, 0.0)
    scores[np.flatnonzero(~is_target)[:30]] = 0.5  # 30 of 760, 3.9 %
    assert found_in(scores, is_target, speakers, 0.03).threshold > 0.5
    assert found_in(scores, is_target, speakers, 0.05).threshold == pytest.approx(0.25)


def test_no_false_alarm_is_allowed_to_be_none_at_all() -> None:
    scores, is_target, speakers = all_pairs(40, 20.0)
    found = found_in(scores, is_target, speakers, 3 / 780)  # as little as 780 pairs can show; 12 of 3120
    assert found.p_fa <= 3 / 780 and found.p_miss == 0
    assert found.p_miss_interval[1] > 0.05  # 40 target trials without an error show no more


@pytest.mark.parametrize(
    ("num_trials", "num_pairs", "max_fa", "said"),
    [
        (299, 299, 0.01, "299 nontarget trials cannot show .* of 0.01: 300 are needed, or --max-fa 0.011$"),
        (5, 5, 0.01, "5 nontarget trials cannot show .* of 0.01: 300 are needed$"),
        (
            9000,
            100,
            0.01,
            "of 100 pairs of speakers, .* 300 pairs are needed, of 25 speakers or more, or --max-fa 0.03$",
        ),
        (9000, 9000, 0.0, r"must be in \(0, 1\), got 0"),
        (9000, 9000, float("nan"), r"must be in \(0, 1\), got nan"),
    ],
)
def test_data_that_cannot_show_the_rate_are_refused(num_trials, num_pairs, max_fa, said) -> None:
    with pytest.raises(ValueError, match=said):
        check_support(num_trials, num_pairs, max_fa)
    check_support(300, 300, 0.01)


@pytest.mark.parametrize("number", [7, 99, 101, 333, 650, 1234])
def test_the_rate_that_is_offered_is_taken(number) -> None:
    with pytest.raises(ValueError) as caught:
        check_support(number, number, 0.0001)
    check_support(number, number, float(str(caught.value).split()[-1]))


def test_25_speakers_have_300_pairs() -> None:
    found_in(*all_pairs(25, 3.0), 0.01)
    with pytest.raises(ValueError, match="of 276 pairs of speakers"):
        found_in(*all_pairs(24, 3.0), 0.01)


def test_speakers_are_told_by_target_trials() -> None:
    trials = Trials(list("abdea"), list("bcefd"), np.array([True, True, True, False, False]))
    left, right = speakers_by_targets(trials)
    names = dict(zip(trials.enrolment + trials.test, [*left, *right]))
    assert names["a"] == names["b"] == names["c"] != names["d"] == names["e"]
    assert names["f"] not in (names["a"], names["d"])


@pytest.fixture
def listed(tmp_path):
    scores, is_target, _ = all_pairs(30, 3.0)
    utts = [f"s{speaker}-{number}" for speaker in range(30) for number in range(2)]
    rows = np.triu_indices(60, 1)
    trials = Trials([utts[row] for row in rows[0]], [utts[row] for row in rows[1]], is_target)
    write_trials(tmp_path / "trials", trials)
    write_scores(tmp_path / "scores", trials, scores)
    write_table(tmp_path / "utt2spk", {utt: utt.partition("-")[0] for utt in utts})
    return tmp_path


def test_the_command(listed, capsys) -> None:
    files = [str(listed / "trials"), str(listed / "scores")]
    threshold.main([*files, "--json"])
    by_targets = json.loads(capsys.readouterr().out)
    threshold.main([*files, "--json", "--utt2spk", str(listed / "utt2spk")])
    by_table = json.loads(capsys.readouterr().out)
    assert by_targets["threshold"] == by_table["threshold"] and by_table["num_speakers"] == 30
    assert by_targets["num_speakers"] == 30
    threshold.main([*files, "--max-fa", "0.05"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("threshold  ") and lines[-1] == "of 30 target, 1740 nontarget trials, 30 speakers"
    with pytest.raises(SystemExit) as exit_:
        threshold.main([*files, "--max-fa", "0.001"])
    assert exit_.value.code.startswith("error: 1740 nontarget trials cannot show a rate of false alarms of 0.001: 3000")
    with pytest.raises(SystemExit) as exit_:
        threshold.main([*files, "--out", "x.json"])
    assert exit_.value.code == 2 and "--out needs --model" in capsys.readouterr().err
