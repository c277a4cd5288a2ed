"""Trial lists drawn from utterance ids, and the sessions that ids tell."""

from collections.abc import Mapping

from sv.base.seeding import generator
from sv.kaldi import DataDirError
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
