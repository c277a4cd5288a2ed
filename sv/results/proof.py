"""Recorded rows, made from the scores that are stored beside them, and made again from these to verify them."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from sv.base.layout import file_stem, set_of
from sv.results.folder import ScoreList, ScoreLists, SystemResults
from sv.results.rows import CALIBRATED, POINTS, Row, Stamp, make_row
from sv.results.score_files import (
    MAX_BYTES,
    MOST_BITS,
    Key,
    Rounded,
    StoredScores,
    TrialList,
    mapped,
    pack,
    read_score_file,
    rounded,
)
from sv.scoring.metrics import compute_eer, compute_min_dcf

FINENESS = (16, 14, 12, 11, 10, 9, 8, 7)  # bits a score, the finest first; the first that fits is taken
PHASES = np.arange(16) / 16  # of the grid, of which the one that changes error rates least is taken
MAX_CHANGE = 0.05  # points of EER that rounding may cost
EQUAL = 1e-9  # of what is recomputed, elsewhere


def key_of(row: Row) -> Key:
    """Set and back end of a row."""
    return set_of(row["test_set"], row["condition"]), row["backend"]


def score_path(path: Path, system: str) -> Path:
    """Score file of a system, beside the results that are recorded in `path`."""
    return path.with_suffix("") / f"{file_stem(system)}.scores.xz"


def store(result: SystemResults, rows: Sequence[Row], data: Path) -> tuple[list[Row], bytes]:
    """Round the scores of some rows of a system, and make the rows anew from the rounded scores.

    Parameters
    ----------
    result : SystemResults
    rows : sequence of Row
        Of this system; not empty.
    data : path
        Folder of the data directories.

    Returns
    -------
    rows : list of Row
    file : bytes
        Of the score file.

    Raises
    ------
    ValueError
        If the file would be larger than `MAX_BYTES`, a row is not of the scores in the folder, or rounding changes an EER by
        more than `MAX_CHANGE` points.
    """
    lists = ScoreLists(data)
    found = {key_of(row): lists.of(result, row) for row in rows}
    texts = {set_name: (data / set_name / "trials").read_bytes() for set_name, _ in found}
    for bits in FINENESS:
        stored = _rounded_lists(result.name, found, texts, bits)
        file = pack(stored)
        if len(file) <= MAX_BYTES:
            return [_remade(row, stored) for row in rows], file
    backends = dict.fromkeys(row["backend"] for row in rows)
    raise ValueError(
        f"{result.name}: the scores of {len(found)} lists take {len(file)} bytes, of {MAX_BYTES} at most; record fewer back "
        f"ends of {', '.join(backends)} by --backends, or rows without scores by leaving out --data"
    )


def _rounded_lists(system: str, found: Mapping[Key, ScoreList], texts: Mapping[str, bytes], bits: int) -> StoredScores:
    trials: dict[tuple, TrialList] = {}
    stored = StoredScores(system, [], {})
    for key in sorted(found, key=lambda key: key[1].endswith(CALIBRATED)):  # after what they are a map of
        own, text = found[key], texts[key[0]]
        speakers = {utt: own.utt2spk[utt] for utt in sorted({*own.trials.enrolment, *own.trials.test})}
        kind = (text, *speakers.items())
        if kind not in trials:
            trials[kind] = TrialList(text, own.trials, speakers)
            stored.trials.append(trials[kind])
        raw = (key[0], key[1].removesuffix(CALIBRATED))
        affine = mapped(own.scores, raw, found[raw].scores) if raw != key and raw in found else None
        stored.lists[key] = list(trials).index(kind), affine or _best_rounded(own, bits)
    return stored


def _best_rounded(own: ScoreList, bits: int) -> Rounded:
    """Rounded scores with the error rates nearest to their own; of more bits where an EER would change too much."""
    tries = range(bits, MOST_BITS + 1, 2)
    eer, *costs = _rates(own.scores, own.is_target)
    for more in tries:
        best, least, moved = None, np.inf, np.inf
        for phase in PHASES:
            given = rounded(own.scores, more, float(phase))
            new_eer, *new_costs = _rates(given.scores, own.is_target)
            change = abs(new_eer - eer) + float(np.abs(np.subtract(new_costs, costs)).sum())
            if change < least:
                best, least, moved = given, change, abs(new_eer - eer)
            if change == 0:
                break
        if 100 * moved <= MAX_CHANGE / 2:
            break
    return best


def _rates(scores: np.ndarray, is_target: np.ndarray) -> list[float]:
    points = [(point.p_target, point.c_miss, point.c_fa) for point in POINTS]
    return [compute_eer(scores, is_target), *(compute_min_dcf(scores, is_target, *point) for point in points)]


def _remade(row: Row, stored: StoredScores) -> Row:
    """A row with the figures of its stored scores; raises ValueError if the EER is another one."""
    new = row | recomputed(row, stored)
    if not abs(new["eer"] - row["eer"]) <= MAX_CHANGE:
        raise ValueError(
            f"{row['system']}: EER of {' '.join(key_of(row))} is {row['eer']:.4f} in results.json, {new['eer']:.4f} by its "
            f"scores as they would be stored, over {MAX_CHANGE} points apart; run stage 7 again, or leave out the back end "
            "by --backends"
        )
    return new


def recomputed(row: Row, stored: StoredScores) -> Row:
    """Row that stage 7 makes of stored scores, with the stamp of `row` but for the hash of the trials; raises KeyError without."""
    listed, scores = stored.of(key_of(row))
    given = Stamp(**{field.name: row[field.name] for field in fields(Stamp) if field.name in row})
    stamp = replace(given, trials_sha256=hashlib.sha256(listed.text).hexdigest())
    made = make_row(row["system"], key_of(row)[0], row["backend"], listed.trials, scores, listed.speakers, stamp)
    later = {field.name for field in fields(Stamp)} - row.keys()
    return {name: value for name, value in made.items() if name not in later}


def digest_of(file: bytes) -> str:
    """SHA-256 of a score file's bytes."""
    return hashlib.sha256(file).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Check of recorded rows by the score files beside them.

    Attributes
    ----------
    path : Path
        Of the recorded results.
    digests : mapping of str to str
        SHA-256 of the score files, by name.
    """

    path: Path
    digests: Mapping[str, str]

    def read(self, system: str) -> StoredScores:
        """Stored scores of a system.

        Raises
        ------
        ValueError
            If the file is missing, damaged, of another system, or not the one that was recorded.
        """
        place = score_path(self.path, system)
        if place.name not in self.digests:
            raise ValueError(f"{self.path}: {system}: names no score file {place.name}; record it again")
        if not place.is_file():
            raise ValueError(f"{place}: not there, and {self.path} names it")
        with place.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        stored = read_score_file(place, data)
        if stored.system != system:
            raise ValueError(f"{place}: holds the scores of {stored.system!r}, expected those of {system!r}")
        if (digest := digest_of(data)) != self.digests[place.name]:
            raise ValueError(f"{place}: sha256 is {digest}, expected {self.digests[place.name]} of {self.path}")
        return stored

    def verify(self, systems: Sequence[Sequence[Row]]) -> None:
        """Raise ValueError naming the first figure that is not that of the stored scores."""
        names = [rows[0]["system"] for rows in systems]
        if odd := sorted(self.digests.keys() - {score_path(self.path, name).name for name in names}):
            raise ValueError(f"{self.path}: names a score file {odd[0]} of no system that it has")
        for name, rows in zip(names, systems):
            stored = self.read(name)
            keys = [key_of(row) for row in rows]
            for key in stored.lists:
                if keys.count(key) != 1:
                    found = "no row" if key not in keys else "more than one row"
                    raise ValueError(f"{self.path}: {name}, {key[0]}, {key[1]}: {found} of scores that are stored")
            for row in rows:
                self._verify_row(row, stored)

    def _verify_row(self, row: Row, stored: StoredScores) -> None:
        where = f"{self.path}: {row['system']}, {row['test_set']} {row['condition']}, {row['backend']}"
        if key_of(row) not in stored.lists:
            raise ValueError(f"{where}: no scores are stored of this row")
        for name, value in recomputed(row, stored).items():
            for field, found, expected in differences(name, row.get(name), value):
                raise ValueError(f"{where}: {field} is {found}, its scores give {expected}")


def differences(name: str, found: Any, expected: Any) -> Iterator[tuple[str, Any, Any]]:
    """Field, value found and value expected of each difference between two JSON values; numbers within `EQUAL` are the same."""
    if isinstance(expected, dict) and isinstance(found, dict) and found.keys() == expected.keys():
        for key, value in expected.items():
            yield from differences(f"{name} {key}", found[key], value)
    elif isinstance(expected, list | tuple) and isinstance(found, list) and len(found) == len(expected):
        for at, value in enumerate(expected):
            yield from differences(f"{name} [{at}]", found[at], value)
    elif isinstance(expected, float) and isinstance(found, int | float) and not isinstance(found, bool):
        if not abs(found - expected) <= EQUAL:
            yield name, found, expected
    elif found != expected or isinstance(found, bool) != isinstance(expected, bool):
        yield name, found, expected
