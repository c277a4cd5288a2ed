"""Scores of a trial list, matched on disk: memory grows with the utterances, not with the trials."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path

import numpy as np

from sv.kaldi.score_files import find_layout, iter_scores
from sv.kaldi.scp import DataDirError
from sv.kaldi.trials import iter_trials

PART_TRIALS = 1 << 21  # about how many trials are matched at a time
BYTES_A_LINE = 32  # at least this many; parts are counted from the size of a file
BLOCK_LINES = 1 << 15
TRIAL = np.dtype([("pair", np.int64), ("line", np.int64), ("is_target", np.bool_)])
SCORE = np.dtype([("pair", np.int64), ("line", np.int64), ("score", np.float64), ("label", np.int8)])
NO_LABEL = -1


@dataclass(kw_only=True)
class JoinReport:
    """Outcome of matching a trial list with a score file.

    Attributes
    ----------
    num_trials : int
    num_foreign : int
        Scores of pairs that are not trials.
    missing : list of (line, enrolment, test)
        Trials without a score, in trial order.
    """

    num_trials: int = 0
    num_foreign: int = 0
    missing: list[tuple[int, str, str]] = field(default_factory=list)


class _Parts:
    """Records on disk, in parts by a hash of their pair."""

    def __init__(self, folder: Path, name: str, dtype: np.dtype, num_parts: int) -> None:
        self.paths = [folder / f"{name}.{part}" for part in range(num_parts)]
        self.dtype = dtype
        for path in self.paths:
            path.touch()

    def write(self, rows: list[tuple]) -> None:
        records = np.array(rows, dtype=self.dtype)
        parts = (records["pair"] * 0x9E3779B1 >> 16) % len(self.paths)
        for part in np.unique(parts):
            with self.paths[part].open("ab") as file:
                records[parts == part].tofile(file)

    def read(self, part: int) -> np.ndarray:
        """Records of a part, ordered by pair, then by line."""
        records = np.fromfile(self.paths[part], dtype=self.dtype)
        return records[np.lexsort((records["line"], records["pair"]))]


def _blocks(rows: Iterator[tuple]) -> Iterator[list[tuple]]:
    while block := list(islice(rows, BLOCK_LINES)):
        yield block


def join_scores(
    trials: str | Path, scores: str | Path, folder: Path, take: Callable[[np.ndarray, np.ndarray], None]
) -> JoinReport:
    """Match a trial list with a score file, both in any order and of any length.

    Parameters
    ----------
    trials : path
        Lines of `<enrolment-utt> <test-utt> target|nontarget`.
    scores : path
        A score file of any toolkit, see `sv.kaldi.score_files.find_layout`.
    folder : Path
        For temporary files, about twice the number of trials times 25 bytes.
    take : callable
        Is given (scores, is_target) of a share of the trials at a time, in no particular order.

    Raises
    ------
    DataDirError
        Naming file and line: for a line that cannot be read, a trial with two different scores or labels.
    """
    num_parts = 1 + Path(trials).stat().st_size // (BYTES_A_LINE * PART_TRIALS)
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    trial_parts, score_parts = (_Parts(folder, *of, num_parts) for of in (("trials", TRIAL), ("scores", SCORE)))
    for block in _blocks(
        (numbers[enrolment] << 32 | numbers[test], line, is_target)
        for line, enrolment, test, is_target in iter_trials(trials)
    ):
        trial_parts.write(block)
    known, report = dict(numbers), JoinReport()
    rows = iter_scores(scores, find_layout(scores, known))
    for block in _blocks(
        (known.get(enrolment, -1) << 32 | known.get(test, -1), line, score, NO_LABEL if label is None else label)
        for line, enrolment, test, score, label in rows
    ):
        score_parts.write([row for row in block if row[0] >= 0])
        report.num_foreign += sum(row[0] < 0 for row in block)
    names = list(known)
    for part in range(num_parts):
        own = trial_parts.read(part)
        _refuse_two(own, "is_target", "labels", trials, names)
        found = score_parts.read(part)
        _refuse_two(found, "score", "scores", scores, names)
        at = np.searchsorted(found["pair"], own["pair"])
        scored = (
            found["pair"][np.minimum(at, len(found) - 1)] == own["pair"] if len(found) else np.zeros(len(own), bool)
        )
        at = at[scored]
        _refuse_other_label(own[scored], found[at], scores, names)
        report.num_trials += len(own)
        report.num_foreign += int((~np.isin(found["pair"], own["pair"])).sum())
        report.missing += [(int(row["line"]), *_names(row, names)) for row in own[~scored]]
        take(found["score"][at], own["is_target"][scored])
    report.missing.sort()
    return report


def _names(record: np.void, names: list[str]) -> tuple[str, str]:
    return names[record["pair"] >> 32], names[record["pair"] & 0xFFFFFFFF]


def _refuse_two(records: np.ndarray, key: str, what: str, path: str | Path, names: list[str]) -> None:
    """A list may hold a trial twice; its label and its score are one."""
    same = records["pair"][1:] == records["pair"][:-1]
    differing = np.flatnonzero(same & (records[key][1:] != records[key][:-1]))
    if len(differing):
        first = records[differing + 1][np.argmin(records["line"][differing + 1])]
        raise DataDirError(f"{path}:{first['line']}: trial {' '.join(_names(first, names))} has two {what}")


def _refuse_other_label(trials: np.ndarray, scores: np.ndarray, path: str | Path, names: list[str]) -> None:
    wrong = np.flatnonzero((scores["label"] != NO_LABEL) & (scores["label"] != trials["is_target"]))
    if len(wrong):
        first = scores[wrong[np.argmin(scores["line"][wrong])]]
        kinds = ("nontarget", "target") if first["label"] == 0 else ("target", "nontarget")
        raise DataDirError(
            f"{path}:{first['line']}: says {kinds[0]} of trial {' '.join(_names(first, names))}, the trial list {kinds[1]}"
        )
