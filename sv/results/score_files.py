"""Score files beside recorded results: a system's trials and rounded scores, in 200 kB, from which its rows are made again.

A file is an xz stream, no more than `MAX_PLAIN` bytes when unpacked, of a header and a body. The header is one line
of JSON:

format     1
system     name
trials     list of {"text": the trial list, byte for byte; "speakers": {utterance: speaker}}, each different list once
lists      list of the score lists: [set, back end, number in `trials`, bits, lowest, step], or, of a calibrated back end,
           [set, back end, number in `lists`, weight, offset]: the scores of that list times the weight plus the offset

The body holds the integers of each list with `bits` in turn, trials ordered by label, nontarget first: the highest eight bits
(fewer if there are fewer), a byte a trial, of all lists; then the remaining bits of all lists, most significant first, packed
across the bytes, each list beginning a new byte. A score is lowest + step * integer.
"""

import json
import lzma
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sv.kaldi.trials import Trials, trials_of_bytes

MAX_BYTES = 200_000  # of a file
MAX_PLAIN = 1 << 24  # of what is in it, so that a small file cannot fill the memory
MAX_MEMORY = 1 << 26  # of unpacking
MOST_BITS = 30
FORMAT = 1
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 1 << 20, "lc": 0, "lp": 0, "pb": 0}]
Key = tuple[str, str]  # set, back end


@dataclass(frozen=True, eq=False)
class TrialList:
    """Trials as they lay on disk, and the speakers of their utterances and models."""

    text: bytes
    trials: Trials
    speakers: dict[str, str]


@dataclass(frozen=True, eq=False)
class Rounded:
    """Scores rounded to integers: (num_trials,) int64 in [0, 2 ** bits), which stand for lowest + step * integer."""

    values: np.ndarray
    bits: int
    lowest: float
    step: float

    @property
    def scores(self) -> np.ndarray:
        """Rounded scores, (num_trials,) float64."""
        return self.lowest + self.step * self.values


@dataclass(frozen=True, eq=False)
class Mapped:
    """Scores that are those of another list times a weight plus an offset."""

    of: Key
    weight: float
    offset: float


@dataclass(frozen=True, eq=False)
class StoredScores:
    """Content of a score file.

    Attributes
    ----------
    system : str
    trials : list of TrialList
    lists : dict of (set, back end) to (number in `trials`, Rounded or Mapped)
        A mapped list comes after the one that it is of.
    """

    system: str
    trials: list[TrialList]
    lists: dict[Key, tuple[int, Rounded | Mapped]]

    def of(self, key: Key) -> tuple[TrialList, np.ndarray]:
        """Trials and scores, (num_trials,), of a list; raises KeyError if there is none."""
        number, own = self.lists[key]
        if isinstance(own, Rounded):
            return self.trials[number], own.scores
        return self.trials[number], own.weight * self.of(own.of)[1] + own.offset


def rounded(scores: np.ndarray, bits: int, phase: float = 0.0) -> Rounded:
    """Round scores to 2 ** bits levels over their range, the grid moved by `phase` steps, in [0, 1)."""
    low, high = float(scores.min()), float(scores.max())
    step = (high / 2 - low / 2) / (2 ** (bits - 1) - 1) or 1.0
    lowest = low - phase * step
    return Rounded(np.rint((scores - lowest) / step).astype(np.int64), bits, lowest, step)


def mapped(scores: np.ndarray, of: Key, others: np.ndarray) -> Mapped | None:
    """Affine map from `others` to `scores`, both (num_trials,), as a calibration makes it; None if there is none."""
    low, high = int(np.argmin(others)), int(np.argmax(others))
    if others[low] == others[high]:
        return None
    weight = float((scores[high] - scores[low]) / (others[high] - others[low]))
    offset = float(scores[low] - weight * others[low])
    far = np.abs(weight * others + offset - scores).max()
    return Mapped(of, weight, offset) if far <= 1e-9 * max(1.0, np.abs(scores).max()) else None


def pack(stored: StoredScores) -> bytes:
    """Bytes of a score file."""
    keys = list(stored.lists)
    lists, high, low = [], [], []
    for key, (number, own) in stored.lists.items():
        if isinstance(own, Mapped):
            lists.append([*key, keys.index(own.of), own.weight, own.offset])
            continue
        lists.append([*key, number, own.bits, own.lowest, own.step])
        values, rest = own.values[_order(stored.trials[number].trials)], max(own.bits - 8, 0)
        high.append((values >> rest).astype(np.uint8).tobytes())
        low.append(np.packbits((values[:, None] >> np.arange(rest)[::-1]) & 1).tobytes() if rest else b"")
    trials = [{"text": each.text.decode(), "speakers": each.speakers} for each in stored.trials]
    header = {"format": FORMAT, "system": stored.system, "lists": lists, "trials": trials}
    plain = b"".join([json.dumps(header, ensure_ascii=False).encode(), b"\n", *high, *low])
    return lzma.compress(plain, check=lzma.CHECK_CRC32, filters=FILTERS)


def _order(trials: Trials) -> np.ndarray:
    """Order in which integers are stored, (num_trials,): scores of one kind of trial are alike, which packs better."""
    return np.argsort(trials.is_target, kind="stable")


def read_score_file(path: Path, data: bytes) -> StoredScores:
    """Content of a score file's bytes.

    Raises
    ------
    ValueError
        Naming `path`, if `pack` cannot have written this, or it is more than `MAX_BYTES` or, unpacked, `MAX_PLAIN` bytes.
    """
    try:
        header, _, body = _unpacked(data).partition(b"\n")
        return _parsed(json.loads(header), body, path)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: not a score file that sv results record writes ({error})") from error


def _unpacked(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_MEMORY)
    try:
        plain = unpacker.decompress(data, max_length=MAX_PLAIN)
    except (lzma.LZMAError, MemoryError) as error:
        raise ValueError(str(error)) from error
    if not unpacker.eof:
        raise ValueError("cut short" if unpacker.needs_input else f"more than {MAX_PLAIN} bytes when unpacked")
    if unpacker.unused_data:
        raise ValueError("something follows its end")
    return plain


def _parsed(header: dict[str, Any], body: bytes, path: Path) -> StoredScores:
    if header["format"] != FORMAT:
        raise ValueError(f"format {header['format']!r} instead of {FORMAT}")
    trials = [_trial_list(each, path) for each in header["trials"]]
    plain = [each for each in header["lists"] if len(each) == 6]
    values = _integers([(trials[number], int(bits)) for _, _, number, bits, *_ in plain], body)
    lists: dict[Key, tuple[int, Rounded | Mapped]] = {}
    keys: list[Key] = []
    for each in header["lists"]:
        key = (str(each[0]), str(each[1]))
        if key in lists:
            raise ValueError(f"{' '.join(key)} twice")
        if len(each) == 6:
            lists[key] = each[2], Rounded(next(values), int(each[3]), *_finite(each[4:]))
        else:
            of, (weight, offset) = keys[each[2]], _finite(each[3:])
            lists[key] = lists[of][0], Mapped(of, weight, offset)
        keys.append(key)
    return StoredScores(str(header["system"]), trials, lists)


def _trial_list(record: dict[str, Any], path: Path) -> TrialList:
    text, speakers = record["text"].encode(), record["speakers"]
    trials = trials_of_bytes(text, path)
    if missing := sorted({*trials.enrolment, *trials.test} - speakers.keys()):
        raise ValueError(f"no speaker of {missing[0]}")
    return TrialList(text, trials, {str(utt): str(speaker) for utt, speaker in speakers.items()})


def _finite(numbers: Sequence[Any]) -> list[float]:
    found = [float(number) for number in numbers]
    if not np.isfinite(found).all():
        raise ValueError("a number that is not finite")
    return found


def _integers(lists: Sequence[tuple[TrialList, int]], body: bytes) -> Iterator[np.ndarray]:
    """Integers of each list with its number of bits, in trial order."""
    if not all(1 <= bits <= MOST_BITS for _, bits in lists):
        raise ValueError(f"bits that are not in 1 to {MOST_BITS}")
    lengths = [len(each.trials) for each, _ in lists]
    rests = [max(bits - 8, 0) for _, bits in lists]
    packed = [(length * rest + 7) // 8 for length, rest in zip(lengths, rests)]
    if len(body) != sum(lengths) + sum(packed):
        raise ValueError(f"{len(body)} bytes of scores instead of {sum(lengths) + sum(packed)}")
    data, at, low_at = np.frombuffer(body, np.uint8), 0, sum(lengths)
    found = []
    for (each, _), length, rest, size in zip(lists, lengths, rests, packed):
        values = data[at : at + length].astype(np.int64) << rest
        if rest:
            bits = np.unpackbits(data[low_at : low_at + size], count=length * rest).reshape(length, rest)
            values += bits @ (1 << np.arange(rest)[::-1])
        ordered = np.empty(length, dtype=np.int64)
        ordered[_order(each.trials)] = values
        found.append(ordered)
        at, low_at = at + length, low_at + size
    return iter(found)
