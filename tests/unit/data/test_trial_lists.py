"""Trials drawn from speakers, sessions and sexes: every pair that the rules allow, and even shares of them."""

import itertools
from collections import Counter

import numpy as np
import pytest

from sv.data.trial_lists import draw_trials, even_shares
from sv.kaldi import DataDirError


def corpus(sizes, num_sessions=2):
    """utt2spk and utt2session of speakers with some utterances each, in sessions by turns."""
    utt2spk = {f"s{i:02d}-{j % num_sessions}-{j}": f"s{i:02d}" for i, size in enumerate(sizes) for j in range(size)}
    return utt2spk, {utt: utt.split("-")[1] for utt in utt2spk}


def draw(utt2spk, sessions=None, genders=None, seed=0, targets=10**6, nontargets=10**6):
    limits = {"max_targets": targets, "max_nontargets": nontargets}
    trials, notes = draw_trials(utt2spk, sessions or {}, genders or {}, seed=seed, **limits)
    pairs = list(zip(trials.enrolment, trials.test))
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)  # none twice, none of an utterance with itself
    assert pairs == sorted(pairs)
    for pair, label in zip(pairs, trials.is_target):
        assert (utt2spk[pair[0]] == utt2spk[pair[1]]) == label
    kinds = {
        label: {frozenset(p) for p, own in zip(pairs, trials.is_target) if own == label} for label in (True, False)
    }
    return kinds[True], kinds[False], notes


def test_without_limits_there_is_every_pair_that_the_rules_allow():
    utt2spk, sessions = corpus([5, 4, 3, 1, 2], num_sessions=3)
    genders = {"s00": "f", "s01": "m", "s02": "f", "s03": "m"}  # s04's is not known: it meets nobody
    targets, nontargets, notes = draw(utt2spk, sessions, genders)
    pairs = list(map(frozenset, itertools.combinations(utt2spk, 2)))
    speakers = [[utt2spk[utt] for utt in sorted(pair)] for pair in pairs]
    assert targets == {p for p, s in zip(pairs, speakers) if s[0] == s[1] and len({sessions[u] for u in p}) == 2}
    assert nontargets == {p for p, s in zip(pairs, speakers) if s[0] != s[1] and genders.get(s[0]) == genders.get(s[1])}
    assert (len(targets), len(nontargets), notes) == (8 + 5 + 3 + 0 + 1, 5 * 3 + 4 * 1, [])


def test_an_utterance_without_session_is_a_session_of_its_own():
    utt2spk, _ = corpus([3, 2])
    assert len(draw(utt2spk)[0]) == 3 + 1
    first = sorted(utt2spk)[:2]
    assert len(draw(utt2spk, dict.fromkeys(first, "x"))[0]) == 2 + 1
    assert len(draw(utt2spk, {first[0]: first[1]})[0]) == 3 + 1  # named as the other utterance


def test_rules_that_leave_nothing_fall_and_it_is_said():
    utt2spk, _ = corpus([3, 2])
    targets, nontargets, notes = draw(utt2spk, dict.fromkeys(utt2spk, "one"), {"s00": "f", "s01": "m"})
    assert (len(targets), len(nontargets)) == (4, 6)
    assert notes == [
        "no speaker has two sessions: targets are of one session",
        "no two speakers are of one sex: nontargets are of two",
    ]


def test_limits_are_kept_and_shared_evenly():
    utt2spk, sessions = corpus([40, 10, 10, 10, 2])
    targets, nontargets, _ = draw(utt2spk, sessions, targets=61, nontargets=100)
    own = Counter(utt2spk[min(pair)] for pair in targets)
    assert own == {"s00": 15, "s01": 15, "s02": 15, "s03": 15, "s04": 1}  # 400, 25, 25, 25 and 1 there are
    assert len(nontargets) == 100
    met = Counter(speaker for pair in nontargets for speaker in {utt2spk[utt] for utt in pair})
    assert min(met.values()) >= 15  # of 200 places, each speaker owns 20 pairs of 5


def test_the_draw_is_seeded_and_does_not_depend_on_the_order():
    utt2spk, sessions = corpus([30, 30, 30])
    limits = {"targets": 50, "nontargets": 50}
    found = draw(utt2spk, sessions, **limits)
    assert found == draw(dict(reversed(utt2spk.items())), sessions, **limits)
    other = draw(utt2spk, sessions, seed=1, **limits)
    assert found[0] != other[0] and found[1] != other[1]


def test_draws_are_uniform_within_a_speaker():
    utt2spk, sessions = corpus([4, 4])  # 4 pairs across the sessions of each
    counts = Counter()
    for seed in range(400):
        counts.update(draw(utt2spk, sessions, seed=seed, targets=2, nontargets=1)[0])
    assert len(counts) == 8 and all(65 <= count <= 135 for count in counts.values())  # 100 expected, deviation 8.7


def test_many_utterances_of_one_speaker_are_never_listed_as_pairs():
    utt2spk = {f"a-{j:05d}": "a" for j in range(6000)} | {"b-0": "b", "b-1": "b"}  # 18 million pairs
    targets, nontargets, _ = draw(utt2spk, targets=20, nontargets=30)
    assert (len(targets), len(nontargets)) == (20, 30)


@pytest.mark.parametrize(("sizes", "message"), [
    ([5], "nontarget trials need two speakers, there is 1: s00"),
    ([], "nontarget trials need two speakers, there is 0: "),
    ([1, 1, 1], "target trials need a speaker with two utterances; each of the 3 has one"),
])  # fmt: skip
def test_what_no_trials_can_be_made_of_is_refused(sizes, message):
    with pytest.raises(DataDirError) as error:
        draw(corpus(sizes)[0])
    assert str(error.value) == message


def test_even_shares():
    assert even_shares([5, 5, 5], 10) == [3, 3, 4]
    assert even_shares([100, 1, 3], 10) == [6, 1, 3]
    assert even_shares([2, 3], 9) == [2, 3]
    assert even_shares([9, 9, 9], 2) == [0, 1, 1]
    rng = np.random.default_rng(0)
    for _ in range(200):
        counts, total = rng.integers(0, 20, 6).tolist(), int(rng.integers(0, 130))
        shares = even_shares(counts, total)
        assert sum(shares) == min(total, sum(counts))
        assert all(share <= count for share, count in zip(shares, counts))
