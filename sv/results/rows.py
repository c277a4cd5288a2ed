"""Rows of results.json: one per system, test set, condition and back end, with what it takes to repeat it."""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from sv.base.config import ConfigError, load_json, load_json_table
from sv.base.files import sha256_of, write_text
from sv.base.layout import ModelFolder, parse_condition, set_of
from sv.base.seeding import generator
from sv.kaldi.trials import Trials
from sv.scoring.bootstrap import Curves, interval, replicate_curves
from sv.scoring.cosine import rows_of
from sv.scoring.metrics import (
    OperatingPoint,
    compute_act_dcf,
    compute_cllr,
    compute_eer,
    compute_min_cllr,
    compute_min_dcf,
)

Row = dict[str, Any]
KEY = ("system", "test_set", "condition", "backend")
# The third is that of the ExU-Net and Diff-SV evaluation.
POINTS = (OperatingPoint(0.01), OperatingPoint(0.05), OperatingPoint(0.01, 10.0, 1.0))
NONE = "none"
EXACT = "exact"
CALIBRATED = "-calibrated"  # ends the name of a back end whose scores are log-likelihood ratios
# Metadata of the fields of a stamp, and what it says of their values.
ONE_RUN = {"one_run": "the same in all rows of a system"}
COMPARABLE = {"comparable": "the same for all systems that share a table"}


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """Record of everything besides the scores that a row's numbers depend on; no row is without all of it.

    Attributes
    ----------
    trials_sha256 : str
        Of the trial list that was scored.
    num_dropped : int
        Trials that the list lost to recordings that cannot be used.
    crop_scheme : str
        Cutting of utterances for the model.
    normalisation : str
        Of the scores, with the id of its cohort; "none".
    calibration : str
        Map from scores to log-likelihood ratios; "none".
    checkpoint_sha256 : str
    commit : str
        Of the code; a release where there is no checkout.
    seed : int
        Of the run, and of the intervals.
    precision, runtime : str
        Of the embeddings, as `sv.embed.computing.Computing` has them. Rows from before they were recorded lack them: they
        are those of the defaults.
    encoder : str
        Library, and its version, that the audio of a codec's condition has passed; "none".
    protocol : str
        Rule by which noise was added to speech: "exact", at the SNR of the condition's name, or "exu_net", see
        `local.exu_net_noise`. Without added noise it is "exact".
    """

    trials_sha256: str = field(metadata=COMPARABLE)
    num_dropped: int = field(metadata=COMPARABLE)
    crop_scheme: str = field(metadata=COMPARABLE | ONE_RUN)
    normalisation: str = field(metadata=COMPARABLE)
    calibration: str = field(metadata=COMPARABLE)
    checkpoint_sha256: str = field(metadata=ONE_RUN)
    commit: str = field(metadata=ONE_RUN)
    seed: int = field(metadata=ONE_RUN)
    precision: str = field(default="float32", metadata=COMPARABLE | ONE_RUN)
    runtime: str = field(default="torch", metadata=COMPARABLE | ONE_RUN)
    encoder: str = field(default=NONE, metadata=COMPARABLE)
    protocol: str = field(default=EXACT, metadata=COMPARABLE)

    def __post_init__(self) -> None:
        for name in ("trials_sha256", "checkpoint_sha256"):
            if not re.fullmatch("[0-9a-f]{64}", getattr(self, name)):
                raise ValueError(f"stamp: {name} must be 64 hexadecimal digits, got {getattr(self, name)!r}")
        named = ("crop_scheme", "normalisation", "calibration", "commit", "precision", "runtime", "encoder", "protocol")
        for name in named:
            if not getattr(self, name):
                raise ValueError(f"stamp: {name} must be said, {NONE!r} if there is none")
        if self.num_dropped < 0:
            raise ValueError(f"stamp: num_dropped must not be negative, got {self.num_dropped}")


BESIDES = ("num_target", "num_nontarget", "operating_points")  # of a row, besides its stamp
LATER = {item.name: item.default for item in fields(Stamp) if item.default is not MISSING}  # than the oldest rows
REQUIRED = (*KEY, *(item.name for item in fields(Stamp) if item.name not in LATER), *BESIDES)
OF_ONE_SYSTEM = (*(item.name for item in fields(Stamp) if "one_run" in item.metadata), "operating_points")
COMPARED = (*(item.name for item in fields(Stamp) if "comparable" in item.metadata), *BESIDES)


def stamp_of(model: Path, data_dir: Path, seed: int, normalisation: str = NONE, calibration: str = NONE) -> Stamp:
    """Stamp of a model folder's scores on a data directory; dropped trials are those of its clean set."""
    folder = ModelFolder(model)
    dropped = data_dir.parent / parse_condition(data_dir.name).test_set / "trials.dropped"
    return Stamp(
        trials_sha256=sha256_of(data_dir / "trials"),
        num_dropped=len(dropped.read_text(encoding="utf-8").splitlines()) if dropped.exists() else 0,
        crop_scheme=crop_scheme(load_json_table(folder.config).get("extract", {})),
        normalisation=normalisation,
        calibration=calibration,
        checkpoint_sha256=sha256_of(folder.weights),
        commit=our_version(),
        seed=seed,
        **computed_by(folder.computed(data_dir.name)),
        encoder=_said(data_dir / "encoder", NONE),
        protocol=_said(data_dir / "protocol", EXACT),
    )


def _said(path: Path, default: str) -> str:
    """Line of a file of a data directory, or a default without one; raises ValueError naming it if it holds no line."""
    text = path.read_text(encoding="utf-8").strip() if path.exists() else default
    if len(text.splitlines()) != 1:
        raise ValueError(f"{path}: expected one line; make the data directory anew (stage 2)")
    return text


def computed_by(record: Path) -> dict[str, str]:
    """Precision and runtime of embeddings, from the record beside them; none of the keys without a record.

    Raises
    ------
    ConfigError
        Naming the file, if it holds something else.
    """
    if not record.is_file():
        return {}
    found = load_json_table(record)
    if found.keys() != {"precision", "runtime"} or not all(isinstance(value, str) for value in found.values()):
        raise ConfigError(f"{record}: expected precision and runtime; run stage 5 again")
    return found


def stamped(row: Row, name: str) -> Any:
    """Value of a field of a row, or its default where the row is older than the field."""
    return row.get(name, LATER[name]) if name in LATER else row[name]


def encoders_of(rows: Iterable[Row]) -> list[str]:
    """Libraries and versions that coded and decoded the audio of conditions, each once."""
    return [encoder for encoder in dict.fromkeys(stamped(row, "encoder") for row in rows) if encoder != NONE]


def computed_text(rows: Sequence[Row]) -> str:
    """Precision and runtime, and encoders, of a system for footnotes: ", bf16 by torch"; empty if they are the usual ones."""
    precision, runtime = (stamped(rows[0], name) for name in ("precision", "runtime"))
    usual, encoders = (precision, runtime) == (LATER["precision"], LATER["runtime"]), encoders_of(rows)
    return ("" if usual else f", {precision} by {runtime}") + (
        f", encoded by {'; '.join(encoders)}" if encoders else ""
    )


def has_added_noise(row: Row) -> bool:
    """True if noise was added to speech and nothing else was done to it, so that the stamp's protocol counts."""
    condition = parse_condition(set_of(row["test_set"], row["condition"]))
    return condition.kind == condition.noise


# Schemes in which an [extract] option matters; an empty tuple means never.
ONLY_IN = {"num_segments": ("even", "even_padded"), "step_samples": ("overlapping", "sliding"), "batch_size": ()}


def crop_scheme(extract: Mapping[str, Any]) -> str:
    """Scheme of the [extract] table, its length, and every other option that matters and is not off."""
    scheme = extract.get("scheme", "consecutive")
    options = {
        key: value for key, value in extract.items() if key != "scheme" and scheme in ONLY_IN.get(key, (scheme,))
    }
    said = [key if value is True else f"{key} {value}" for key, value in options.items() if value not in (None, False)]
    return ", ".join([scheme, *said])


def speakers_of(trials: Trials, utt2spk: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Speaker of either side of each trial, numbered among those of the trials: two (num_trials,) int arrays.

    Raises
    ------
    KeyError
        If utt2spk lacks an utterance: the count and the first three.
    """
    utts, (left, right) = rows_of(utt2spk, "speaker", trials.enrolment, trials.test)
    _, speakers = np.unique([utt2spk[utt] for utt in utts], return_inverse=True)
    return speakers[left], speakers[right]


def bootstrap_curves(
    set_name: str, trials: Trials, scores: np.ndarray, utt2spk: Mapping[str, str], seed: int
) -> Curves:
    """Bootstrap replicates of a set's DET curve, on the same draws of speakers for every system and back end."""
    rng = generator(seed, "speakers", parse_condition(set_name).test_set)
    return replicate_curves(scores, trials.is_target, speakers_of(trials, utt2spk), rng)


def make_row(
    system: str,
    set_name: str,
    backend: str,
    trials: Trials,
    scores: np.ndarray,
    utt2spk: Mapping[str, str],
    stamp: Stamp,
) -> Row:
    """Metrics of one score list; EERs in percent. actDCF and Cllr are those of calibrated scores, else None."""
    test_set, condition, noise, snr_db = parse_condition(set_name)
    curves = bootstrap_curves(set_name, trials, scores, utt2spk, stamp.seed)
    num_target = int(trials.is_target.sum())
    low, high = interval(curves.eers(), curves.num_speakers, num_target)
    calibrated = stamp.calibration != NONE
    given = (scores, trials.is_target)
    return {
        "system": system,
        "test_set": test_set,
        "condition": condition,
        "noise": noise,
        "snr_db": snr_db,
        "backend": backend,
        "num_target": num_target,
        "num_nontarget": len(trials) - num_target,
        "num_speakers": curves.num_speakers,
        "eer": 100 * compute_eer(*given),
        "eer_low": 100 * low,
        "eer_high": 100 * high,
        "min_dcf": {str(point): compute_min_dcf(*given, *_values(point)) for point in POINTS},
        "min_dcf_interval": {
            str(point): interval(curves.min_dcfs(point), curves.num_speakers, num_target) for point in POINTS
        },
        "act_dcf": {str(p): compute_act_dcf(*given, *_values(p)) for p in POINTS} if calibrated else None,
        "cllr": compute_cllr(*given) if calibrated else None,
        "min_cllr": compute_min_cllr(*given),
        "operating_points": [str(point) for point in POINTS],
        **asdict(stamp),
    }


def _values(point: OperatingPoint) -> tuple[float, float, float]:
    return point.p_target, point.c_miss, point.c_fa


def read_results(path: str | Path) -> list[Row]:
    """Read the rows of a results.json.

    Raises
    ------
    FileNotFoundError
        If it does not exist, naming the stage that makes it.
    ValueError
        Naming the file, if it does not hold rows.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: not there; run stage 7 first")
    try:
        rows = load_json(path)
    except ConfigError as error:
        raise ValueError(f"{error}; remove it and score again") from error
    check_rows(rows, path)
    return rows


def check_rows(rows: Any, path: str | Path) -> None:
    """Raise ValueError naming the file unless these are rows that hold every required field."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path}: expected a list of rows; remove it and score again")
    for number, row in enumerate(rows, start=1):
        if lacking := [name for name in REQUIRED if name not in row]:
            raise ValueError(f"{path}: row {number} lacks {', '.join(lacking)}; remove it and score again")


def row_key(row: Row) -> tuple[str, ...]:
    """Key that identifies a row within its file."""
    return tuple(row[name] for name in KEY)


def merge_rows(old: Iterable[Row], new: Iterable[Row], whole: bool = False) -> list[Row]:
    """Append new rows to the old ones that they do not replace; old rows of other weights or code are dropped.

    With `whole`, the new rows are all of their test sets: old rows of these are dropped, too.
    """
    new = list(new)
    old = _of_their_protocol(old, new)
    keys = {row_key(row) for row in new}
    replaced = {row["test_set"] for row in new} if whole else set()
    runs = {(row["system"], *_run(row)) for row in new}
    kept = [row for row in old if (row["system"], *_run(row)) in runs and row_key(row) not in keys]
    return [row for row in kept if row["test_set"] not in replaced] + new


def _of_their_protocol(old: Iterable[Row], new: Sequence[Row]) -> list[Row]:
    """Old rows but those of noise that was added by another protocol than a system's new ones: no mean is over both."""
    protocols = {(row["system"], stamped(row, "protocol")) for row in new if has_added_noise(row)}
    noisy = {system for system, _ in protocols}
    return [
        row
        for row in old
        if not (has_added_noise(row) and row["system"] in noisy)
        or (row["system"], stamped(row, "protocol")) in protocols
    ]


def _run(row: Row) -> tuple:
    return tuple(str(stamped(row, name)) for name in OF_ONE_SYSTEM)


def update_results(path: str | Path, rows: Iterable[Row], whole: bool = False) -> None:
    """Merge rows into a results.json, see `merge_rows`; it is written in one go or not at all."""
    old = read_results(path) if Path(path).exists() else []
    write_text(path, json.dumps(merge_rows(old, rows, whole), indent=1) + "\n")


@cache
def our_version() -> str:
    """Version of this code, asked once a process: rows made together share it, whatever is committed meanwhile."""
    return code_version(Path(__file__).parent)


def code_version(folder: str | Path) -> str:
    """Commit of the code, with `-dirty` if it was changed since; the release outside a checkout, or if another's holds it."""
    try:
        if _git(folder, "ls-files"):  # an environment within somebody's repository is no part of that
            return _git(folder, "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty")
    except (OSError, subprocess.CalledProcessError):
        pass
    return f"release {import_module('sv').__version__}"  # by name: a new release alone makes no stage anew


def _git(folder: str | Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()
