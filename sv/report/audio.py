"""Recordings of the worst trials beside the page: a few, as they were tested, in files named by their content."""

import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from urllib.parse import quote

import numpy as np
import soundfile

from sv.base.files import atomic_write
from sv.base.layout import SAMPLING_RATE
from sv.data.manifests import iter_waveforms
from sv.kaldi.enrolment import ENROLMENT
from sv.results.folder import ScoreList
from sv.scoring.errors import worst_trials

NUM_TRIALS = 5  # of a list and kind that are shown
MOST_FILES = 16  # two of a trial: two systems, clean and in noise, misses and false alarms
MOST_SECONDS = 20  # of a recording
NAME = re.compile(r"[0-9a-f]{16}\.flac")
Key = tuple[str, str]  # name of the data directory, utterance


@dataclass(frozen=True)
class Worst:
    """Most confident errors of a kind, misses or false alarms.

    Attributes
    ----------
    item : ScoreList
    kind : str
    trials : sequence of int
        Their places in the list, worst first.
    """

    item: ScoreList
    kind: str
    trials: Sequence[int]


@dataclass(frozen=True)
class Audio:
    """Recordings that the page can play.

    Attributes
    ----------
    addresses : dict of (set, utterance) to str
        Relative to the page.
    said : str
        What they are, or the reason why there are none.
    """

    addresses: dict[Key, str] = field(default_factory=dict)
    said: str = "The page was made without audio."


def worst_of(item: ScoreList) -> list[Worst]:
    """Misses and false alarms of a list."""
    found = zip(("misses", "false alarms"), worst_trials(item.scores, item.is_target, NUM_TRIALS))
    return [Worst(item, kind, chosen.tolist()) for kind, chosen in found]


def wanted(lists: Sequence[Sequence[ScoreList]], data: Path) -> list[Key]:
    """At most `MOST_FILES` recordings: of each list and kind the worst trial, then the second, the last condition first.

    Models that were enrolled from several utterances are not among them.
    """
    kinds = [worst for own in reversed(lists) for item in own for worst in worst_of(item)]
    chosen: dict[Key, None] = {}
    for worst, trial in _by_rank(kinds):
        item = worst.item
        sides = [item.trials.test[trial]]
        if not (data / item.set_name / ENROLMENT).exists():
            sides.insert(0, item.trials.enrolment[trial])
        more = chosen | dict.fromkeys((item.set_name, utt) for utt in sides)
        if len(more) <= MOST_FILES:
            chosen = more
    return list(chosen)


def _by_rank(kinds: Sequence[Worst]) -> Iterator[tuple[Worst, int]]:
    for trials in zip_longest(*(worst.trials for worst in kinds)):
        yield from ((worst, trial) for worst, trial in zip(kinds, trials) if trial is not None)


def write_audio(keys: Sequence[Key], data: Path, folder: Path) -> Audio:
    """Write recordings as FLAC files into a folder beside the page, each whole or not at all.

    Recordings that cannot be read, and those of pipes that nothing renders, are left out; `Audio.said` says so.

    Parameters
    ----------
    keys : sequence of (set, utterance)
    data : Path
        Folder of the data directories.
    folder : Path
    """
    addresses, bad = {}, []
    for set_name in dict.fromkeys(name for name, _ in keys):
        utts = [utt for name, utt in keys if name == set_name]
        try:
            for utt, samples in iter_waveforms(data / set_name, utts, bad=bad):
                addresses[set_name, utt] = quote(f"{folder.name}/{_write(samples, folder)}")
        except (ValueError, OSError) as error:
            bad += [str(error)] * (len(utts) - sum(name == set_name for name, _ in addresses))
    return Audio(addresses, _said(len(addresses), bad))


def _write(samples: np.ndarray, folder: Path) -> str:
    """Name of the file."""
    cut = samples[: MOST_SECONDS * SAMPLING_RATE]
    cut = cut / max(1.0, float(np.abs(cut).max()))  # mixtures may go beyond full scale
    encoded = io.BytesIO()
    soundfile.write(encoded, cut, SAMPLING_RATE, format="FLAC", subtype="PCM_16")
    name = f"{hashlib.sha256(encoded.getvalue()).hexdigest()[:16]}.flac"
    with atomic_write(folder / name, "wb") as file:
        file.write(encoded.getvalue())
    return name


def _said(count: int, bad: Sequence[str]) -> str:
    if not count:
        return f"No audio: the recordings cannot be reached ({bad[0] if bad else 'there are no trials'})."
    text = f"Audio: {count} recordings of the worst of them, as they were tested, up to {MOST_SECONDS} s of each."
    return text + (f" {len(bad)} more cannot be reached ({bad[0]})." if bad else "")


def remove_others(folder: Path, page: str) -> None:
    """Remove recordings that an earlier page had, and the folder if nothing is left in it."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if NAME.fullmatch(path.name) and path.name not in page:
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
