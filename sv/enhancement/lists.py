"""The four lists that embedding enhancement trains and tests on, in the published code's text formats.

    normal         ID FILE                    every utterance
    test           FLAG FILE1 FILE2           FLAG 1 target, 0 not: pairs of utterances
    triplet        ID FILE OTHER_ID           a random other speaker for every utterance
    distribution   ID FILE1 FILE2 SAME        SAME 1: both of one session; 0: of two

FILE is an utterance id as we write it; the published code's relative paths (`id10001/1zcIwhmdeo4/00001.wav` or `.npy`) are
read as `id10001-1zcIwhmdeo4-00001`. Draws are keyed by utterance or speaker: a list does not depend on its other lines.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from sv.base.files import atomic_write
from sv.base.seeding import generator
from sv.data.trial_lists import Line
from sv.kaldi import DataDirError, Trials
from sv.kaldi.scp import byte_order, invert

FIELDS = {"normal": 2, "test": 3, "triplet": 3, "distribution": 4}
FORMATS = {
    "normal": "<speaker> <utterance>",
    "test": "<0 or 1> <utterance> <utterance>",
    "triplet": "<speaker> <utterance> <other speaker>",
    "distribution": "<speaker> <utterance> <utterance> <0 or 1>",
}
UTTERANCE_FIELDS = {"normal": (1,), "test": (1, 2), "triplet": (1,), "distribution": (1, 2)}
FLAG_FIELD = {"test": 0, "distribution": 3}


def normal_list(utt2spk: Mapping[str, str]) -> list[Line]:
    """Every utterance, in byte order."""
    return [(utt2spk[utt], utt) for utt in sorted(utt2spk, key=byte_order)]


def triplet_list(utt2spk: Mapping[str, str], seed: int) -> list[Line]:
    """Every utterance with a random other speaker; raises DataDirError if there is one speaker alone."""
    speakers = sorted(set(utt2spk.values()), key=byte_order)
    if len(speakers) < 2:
        raise DataDirError(f"a triplet list needs two speakers or more, got {len(speakers)}")
    number = {speaker: place for place, speaker in enumerate(speakers)}
    lines = []
    for speaker, utt in normal_list(utt2spk):
        drawn = int(generator(seed, "triplet", utt).integers(len(speakers) - 1))
        lines.append((speaker, utt, speakers[drawn + (drawn >= number[speaker])]))
    return lines


def distribution_list(
    utt2spk: Mapping[str, str], utt2session: Mapping[str, str], seed: int
) -> tuple[list[Line], list[str]]:
    """Pairs within and across sessions of every speaker: the lines, and the speakers of one session, who have none.

    Same-session pairs are the first and second utterance of a session, the third and fourth, and so on. As many
    different-session pairs are drawn, each from the session with the fewest utterances left and the one with the most,
    without replacement, until fewer than two sessions are left.
    """
    same, different, left_out = [], [], []
    for speaker, utts in sorted(invert(utt2spk).items(), key=lambda item: byte_order(item[0])):
        by_session: dict[str, list[str]] = {}
        for utt in utts:
            by_session.setdefault(utt2session[utt], []).append(utt)
        within = [pair for group in by_session.values() for pair in zip(group[::2], group[1::2])]
        across = _across(by_session, len(within), generator(seed, "distribution", speaker))
        if not within or not across:
            left_out.append(speaker)
            continue
        same += [(speaker, *pair, "1") for pair in within]
        different += [(speaker, *pair, "0") for pair in across]
    return same + different, left_out


def _across(by_session: Mapping[str, list[str]], count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    remaining = {session: list(utts) for session, utts in sorted(by_session.items())}
    pairs = []
    while len(pairs) < count and len(remaining) > 1:
        ordered = sorted(remaining, key=lambda session: len(remaining[session]))
        pair = []
        for session in (ordered[0], ordered[-1]):
            pair.append(remaining[session].pop(int(rng.integers(len(remaining[session])))))
            if not remaining[session]:
                del remaining[session]
        pairs.append((pair[0], pair[1]))
    return pairs


def write_list(path: str | Path, lines: Iterable[Line]) -> None:
    """Write lines, whole or not at all."""
    with atomic_write(path) as file:
        file.writelines(f"{' '.join(line)}\n" for line in lines)


def read_list(path: str | Path, kind: str) -> list[Line]:
    """Read a list of one of the four kinds, files as utterance ids.

    Raises
    ------
    DataDirError
        `path:line: ...` for a line with another number of fields, or a flag that is neither 0 nor 1.
    """
    lines = []
    with Path(path).open(encoding="utf-8") as file:
        for number, text in enumerate(file, start=1):
            fields = text.split()
            flag = FLAG_FIELD.get(kind)
            if len(fields) != FIELDS[kind] or (flag is not None and fields[flag] not in ("0", "1")):
                raise DataDirError(f"{path}:{number}: expected '{FORMATS[kind]}', got {text.rstrip()!r}")
            for at in UTTERANCE_FIELDS[kind]:
                fields[at] = utterance_of(fields[at])
            lines.append(tuple(fields))
    if not lines:
        raise DataDirError(f"{path}: no lines")
    return lines


def read_test_list(path: str | Path) -> Trials:
    """Read a test list as trials."""
    flags, enrolment, test = zip(*read_list(path, "test"))
    return Trials(list(enrolment), list(test), np.array(flags) == "1")


def utterance_of(file: str) -> str:
    """The utterance id of a file name in a list: without its suffix, dashes for slashes."""
    return file.removesuffix(".wav").removesuffix(".npy").strip("/").replace("/", "-")
