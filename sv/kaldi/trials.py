"""Trial lists and score files."""

import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sv.base.files import atomic_write
from sv.kaldi.scp import DataDirError, decode_key, iter_lines, shown, to_number


@dataclass(frozen=True, eq=False)
class Trials:
    """Pairs of utterances and whether both are of one speaker.

    Attributes
    ----------
    enrolment, test : list of str
        Utterance ids, one a trial.
    is_target : (num_trials,) bool numpy.ndarray
    """

    enrolment: list[str]
    test: list[str]
    is_target: np.ndarray

    def __len__(self) -> int:
        return len(self.enrolment)


def iter_trials(path: str | Path) -> Iterator[tuple[int, str, str, bool]]:
    """Yield (line number, enrolment, test, is target); raises DataDirError with file and line.

    Lines are `<enrolment-utt> <test-utt> target|nontarget`.
    """
    with Path(path).open("rb") as file:
        yield from _iter_file(file, path)


def _iter_file(file: BinaryIO, path: str | Path) -> Iterator[tuple[int, str, str, bool]]:
    for number, line in iter_lines(file):
        fields = line.split()
        if len(fields) != 3 or fields[2] not in (b"target", b"nontarget"):
            raise DataDirError(
                f"{path}:{number}: expected '<enrolment-utt> <test-utt> target|nontarget', got {shown(line)}"
            )
        enrolment, test = decode_key(fields[0], path, number), decode_key(fields[1], path, number)
        yield number, enrolment, test, fields[2] == b"target"


def read_trials(path: str | Path) -> Trials:
    """Read lines of `<enrolment-utt> <test-utt> target|nontarget`; raises DataDirError with file and line."""
    return _collected(iter_trials(path))


def trials_of_bytes(text: bytes, path: str | Path) -> Trials:
    """Trials of the bytes of a trial list that is kept in the file `path`; raises DataDirError with that file and the line."""
    return _collected(_iter_file(io.BytesIO(text), path))


def _collected(found: Iterator[tuple[int, str, str, bool]]) -> Trials:
    enrolment, test, labels = [], [], []
    for _, left, right, is_target in found:
        enrolment.append(sys.intern(left))  # one object an utterance, not one a trial
        test.append(sys.intern(right))
        labels.append(is_target)
    return Trials(enrolment, test, np.array(labels, dtype=bool))


def write_trials(path: str | Path, trials: Trials) -> None:
    """Write `<enrolment-utt> <test-utt> target|nontarget` lines, whole or not at all."""
    with atomic_write(path) as file:
        for enrolment, test, is_target in zip(trials.enrolment, trials.test, trials.is_target, strict=True):
            file.write(f"{enrolment} {test} {'target' if is_target else 'nontarget'}\n")


def read_scores(path: str | Path) -> dict[tuple[str, str], float]:
    """Read lines of `<enrolment-utt> <test-utt> <score>`; raises DataDirError with file and line.

    A pair with two different scores, and a score that is not a finite number, are errors.
    """
    scores: dict[tuple[str, str], float] = {}
    with Path(path).open("rb") as file:
        for number, line in iter_lines(file):
            fields = line.split()
            try:
                score = to_number(fields[2]) if len(fields) == 3 else np.nan
            except ValueError:
                score = np.nan
            if not np.isfinite(score):
                raise DataDirError(f"{path}:{number}: expected '<enrolment-utt> <test-utt> <score>', got {shown(line)}")
            pair = (decode_key(fields[0], path, number), decode_key(fields[1], path, number))
            if scores.get(pair, score) != score:  # a list may hold a trial twice; its score is one
                raise DataDirError(f"{path}:{number}: trial {pair[0]} {pair[1]} has two scores")
            scores[pair] = score
    return scores


def scores_of_trials(path: str | Path, trials: Trials) -> np.ndarray:
    """Scores of a file in any order, arranged in trial order, (num_trials,).

    Raises
    ------
    DataDirError
        If a trial has no score: the count and the first three.
    """
    in_order = _scores_in_order(Path(path).read_bytes(), trials)
    if in_order is not None:
        return in_order
    scores = read_scores(path)
    pairs = list(zip(trials.enrolment, trials.test))
    missing = [" ".join(pair) for pair in pairs if pair not in scores]
    if missing:
        raise DataDirError(f"{path}: {len(missing)} of {len(pairs)} trials have no score, e.g. {missing[:3]}")
    return np.array([scores[pair] for pair in pairs])


def _scores_in_order(text: bytes, trials: Trials) -> np.ndarray | None:
    """Scores of a file that holds just these trials in their order, as `write_scores` leaves it; None of any other.

    Ten times faster than `read_scores`, which says what is wrong with a file, or reads it all the same.
    """
    rows = [line.split() for line in text.removesuffix(b"\n").split(b"\n")]
    if len(rows) != len(trials) or set(map(len, rows)) != {3}:
        return None
    enrolment, test, numbers = zip(*rows)
    if b" ".join(enrolment) != " ".join(trials.enrolment).encode() or b" ".join(test) != " ".join(trials.test).encode():
        return None
    try:
        scores = list(map(to_number, numbers))
    except ValueError:
        return None
    pairs = dict(zip(zip(trials.enrolment, trials.test), scores))
    return np.array(scores) if len(pairs) == len(trials) and np.isfinite(scores).all() else None


def write_scores(path: str | Path, trials: Trials, scores: Sequence[float]) -> None:
    """Write `<enrolment-utt> <test-utt> <score>` lines in trial order, whole or not at all.

    Each score has as many digits as bring it back exactly: error rates of the file are those of the scores.

    Raises
    ------
    ValueError
        Naming the first trial whose score is NaN or infinite; `read_scores` would refuse it.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(scores).all():
        first = int(np.argmin(np.isfinite(scores)))
        raise ValueError(
            f"{path}: {(~np.isfinite(scores)).sum()} of {len(scores)} scores are NaN or infinite, e.g. {scores[first]} "
            f"of trial {trials.enrolment[first]} {trials.test[first]}; nothing was written"
        )
    with atomic_write(path) as file:
        for enrolment, test, score in zip(trials.enrolment, trials.test, scores.tolist(), strict=True):
            file.write(f"{enrolment} {test} {score!r}\n")
