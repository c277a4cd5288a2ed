"""Trial lists drawn from utterances' speakers, sessions and sexes, and the sessions that ids tell."""

from collections.abc import Mapping, Sequence

import numpy as np

from sv.base.seeding import generator
from sv.kaldi import DataDirError, Trials
from sv.kaldi.scp import byte_order, invert

PARTNERS = 4  # of each kind and utterance in a test list
Line = tuple[str, ...]


def sessions_of(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """Session of each utterance from ids of the form speaker-session-number: the video in VoxCeleb, LibriSpeech's chapter."""
    sessions = {}
    for utt, speaker in utt2spk.items():
        middle, dash, _ = utt.removeprefix(f"{speaker}-").rpartition("-")
        if not utt.startswith(f"{speaker}-") or not dash or not middle:
            raise DataDirError(f"utterance {utt!r} does not tell its session: it is not {speaker}-<session>-<number>")
        sessions[utt] = middle
    return sessions


def trial_list(utt2spk: Mapping[str, str], seed: int) -> list[Line]:
    """For every utterance four target and four nontarget partners, in turn, each drawn without replacement.

    Raises
    ------
    DataDirError
        If a speaker has fewer than five utterances, or all others together fewer than four.
    """
    spk2utt = invert(utt2spk)
    everyone = sorted(utt2spk, key=byte_order)
    if poor := sorted(speaker for speaker, utts in spk2utt.items() if len(utts) <= PARTNERS):
        raise DataDirError(
            f"a test list needs {PARTNERS + 1} utterances of every speaker; {len(poor)} have fewer, e.g. {poor[:3]}"
        )
    if len(spk2utt) < 2:
        raise DataDirError("a test list needs two speakers or more, got 1")
    lines = []
    for utt in everyone:
        rng, own = generator(seed, "test", utt), spk2utt[utt2spk[utt]]
        targets = rng.choice([other for other in own if other != utt], PARTNERS, replace=False)
        nontargets: list[str] = []
        while len(nontargets) < PARTNERS:
            other = everyone[int(rng.integers(len(everyone)))]
            if utt2spk[other] != utt2spk[utt] and other not in nontargets:
                nontargets.append(other)
        for target, nontarget in zip(targets, nontargets, strict=True):
            lines += [("1", utt, str(target)), ("0", utt, nontarget)]
    return lines


def draw_trials(
    utt2spk: Mapping[str, str],
    utt2session: Mapping[str, str],
    spk2gender: Mapping[str, str],
    *,
    seed: int,
    max_targets: int,
    max_nontargets: int,
) -> tuple[Trials, list[str]]:
    """Pairs of one speaker from two sessions, and of two speakers of one sex: all of them, or as many as wanted.

    Where there are more than wanted, each speaker gets an even share, as far as it has pairs, drawn without replacement
    and keyed by seed and speaker. An utterance without a session is a session of its own, a speaker without a sex meets
    those without one. If all pairs of one speaker are of one session, or all speakers of one sex are one, that rule falls.

    Parameters
    ----------
    utt2spk : mapping of str to str
    utt2session : mapping of str to str
        Names of sessions count within a speaker.
    spk2gender : mapping of str to str
    seed : int
    max_targets, max_nontargets : int

    Returns
    -------
    trials : Trials
        In byte order; no pair stands twice, in either order.
    notes : list of str
        Rules that fell.

    Raises
    ------
    DataDirError
        If there is one speaker alone, or none with two utterances.
    """
    spk2utt = dict(sorted(invert(utt2spk).items(), key=lambda item: byte_order(item[0])))
    if len(spk2utt) < 2:
        raise DataDirError(f"nontarget trials need two speakers, there is {len(spk2utt)}: {' '.join(spk2utt)}")
    if all(len(utts) < 2 for utts in spk2utt.values()):
        raise DataDirError(f"target trials need a speaker with two utterances; each of the {len(spk2utt)} has one")
    notes = []
    targets = _targets(spk2utt, utt2session, seed, max_targets)
    if not targets:
        notes.append("no speaker has two sessions: targets are of one session")
        targets = _targets(spk2utt, {}, seed, max_targets)
    nontargets = _nontargets(spk2utt, spk2gender, seed, max_nontargets)
    if not nontargets:
        notes.append("no two speakers are of one sex: nontargets are of two")
        nontargets = _nontargets(spk2utt, {}, seed, max_nontargets)
    rows = [(*pair, True) for pair in targets] + [(*pair, False) for pair in nontargets]
    rows.sort(key=lambda row: (byte_order(row[0]), byte_order(row[1])))
    enrolment, test, labels = zip(*rows)
    return Trials(list(enrolment), list(test), np.array(labels)), notes


def _targets(
    spk2utt: Mapping[str, list[str]], utt2session: Mapping[str, str], seed: int, most: int
) -> list[tuple[str, str]]:
    """Pairs of each speaker across sessions. They are counted, never listed: a speaker of 10 000 utterances has 50 million."""
    sessions, later = [], []
    for utts in spk2utt.values():
        names = [("session", utt2session[utt]) if utt in utt2session else ("utterance", utt) for utt in utts]
        sessions.append(np.unique([f"{kind} {name}" for kind, name in names], return_inverse=True)[1])
        left = np.bincount(sessions[-1])  # utterances from here on, by session
        counts = []
        for place, session in enumerate(sessions[-1]):
            counts.append(len(utts) - place - left[session])
            left[session] -= 1
        later.append(np.cumsum(counts))  # of the pairs that begin with each utterance
    shares = even_shares([int(counts[-1]) for counts in later], most)
    pairs = []
    for (speaker, utts), own, counts, share in zip(spk2utt.items(), sessions, later, shares, strict=True):
        for number in _drawn(seed, "target-trials", speaker, int(counts[-1]), share):
            first = int(np.searchsorted(counts, number, side="right"))
            others = first + 1 + np.flatnonzero(own[first + 1 :] != own[first])
            pairs.append((utts[first], utts[int(others[number - counts[first]])]))
    return pairs


def _nontargets(
    spk2utt: Mapping[str, list[str]], spk2gender: Mapping[str, str], seed: int, most: int
) -> list[tuple[str, str]]:
    """Pairs of two speakers of one sex; a pair of speakers belongs to one of the two, so that each has about half of them."""
    own: list[tuple[str, list[str], list[str]]] = []
    for gender in sorted({spk2gender.get(speaker, "") for speaker in spk2utt}):
        group = [(speaker, utts) for speaker, utts in spk2utt.items() if spk2gender.get(speaker, "") == gender]
        everyone = np.array([utt for _, utts in group for utt in utts], dtype=object)
        number = np.repeat(np.arange(len(group)), [len(utts) for _, utts in group])
        for place, (speaker, utts) in enumerate(group):
            behind = number - place
            met = np.where(behind > 0, behind % 2 == 0, behind % 2 == 1)
            own.append((speaker, utts, list(everyone[met])))
    shares = even_shares([len(utts) * len(others) for _, utts, others in own], most)
    pairs = []
    for (speaker, utts, others), share in zip(own, shares, strict=True):
        for number in _drawn(seed, "nontarget-trials", speaker, len(utts) * len(others), share):
            pairs.append((utts[number // len(others)], others[number % len(others)]))
    return pairs


def even_shares(counts: Sequence[int], total: int) -> list[int]:
    """Take `total` of some heaps as evenly as their sizes allow; all of them if there are no more."""
    shares, left = [0] * len(counts), total
    for place, heap in enumerate(sorted(range(len(counts)), key=counts.__getitem__)):
        shares[heap] = min(counts[heap], left // (len(counts) - place))
        left -= shares[heap]
    return shares


def _drawn(seed: int, what: str, speaker: str, count: int, share: int) -> list[int]:
    if share == count:
        return list(range(count))
    return sorted(generator(seed, what, speaker).choice(count, share, replace=False).tolist())
