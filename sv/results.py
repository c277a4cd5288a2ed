"""results.json: one row for each system, test set, condition and back end, with what it takes to repeat it."""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sv.files import write_text
from sv.kaldi.trials import Trials
from sv.scoring.cosine import rows_of
from sv.scoring.metrics import compute_eer, compute_min_dcf, eer_interval
from sv.seeding import generator

Row = dict[str, Any]
KEY = ("system", "test_set", "condition", "backend")
PRIORS = (0.01, 0.05)
PUBLISHED_COSTS = {"p_target": 0.01, "c_miss": 10.0, "c_fa": 1.0}  # of the ExU-Net and Diff-SV evaluation


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a row's numbers depend on besides the scores."""

    system: str
    trials_sha256: str
    checkpoint_sha256: str
    commit: str | None
    seed: int


def parse_condition(set_name: str) -> tuple[str, str, str | None, float | None]:
    """`<test>-<noise>-snr<db>` as (test set, condition, noise, SNR in dB); `<test>` alone is clean."""
    match = re.fullmatch(r"(.+)-([a-z]+)-snr(-?\d+(?:\.\d+)?)", set_name)
    if not match:
        return set_name, "clean", None, None
    test_set, noise, snr = match.groups()
    return test_set, f"{noise}-snr{snr}", noise, float(snr)


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


def make_row(
    set_name: str, backend: str, trials: Trials, scores: np.ndarray, utt2spk: Mapping[str, str], provenance: Provenance
) -> Row:
    """Metrics of one score list; EERs in percent."""
    test_set, condition, noise, snr_db = parse_condition(set_name)
    rng = generator(provenance.seed, "eer-interval", set_name)  # systems are compared on the same replicates
    low, high = eer_interval(scores, trials.is_target, speakers_of(trials, utt2spk), rng)
    return {
        "system": provenance.system,
        "test_set": test_set,
        "condition": condition,
        "noise": noise,
        "snr_db": snr_db,
        "backend": backend,
        "num_target": int(trials.is_target.sum()),
        "num_nontarget": int((~trials.is_target).sum()),
        "eer": 100 * compute_eer(scores, trials.is_target),
        "eer_low": 100 * low,
        "eer_high": 100 * high,
        "min_dcf": {f"{prior:g}": compute_min_dcf(scores, trials.is_target, prior) for prior in PRIORS},
        "min_dcf_c10": compute_min_dcf(scores, trials.is_target, **PUBLISHED_COSTS),
        "act_dcf": None,  # cosine scores are not log-likelihood ratios
        "cllr": None,
        "trials_sha256": provenance.trials_sha256,
        "checkpoint_sha256": provenance.checkpoint_sha256,
        "commit": provenance.commit,
        "seed": provenance.seed,
    }


def read_results(path: str | Path) -> list[Row]:
    """Read the rows of a results.json; raises ValueError naming the file if it does not hold any."""
    try:
        rows = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: {error}; remove it and score again") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.keys() >= set(KEY) for row in rows):
        raise ValueError(f"{path}: expected a list of rows with {', '.join(KEY)}; remove it and score again")
    return rows


def row_key(row: Row) -> tuple[str, ...]:
    """What a row is the result of; a file holds one row of each."""
    return tuple(row[name] for name in KEY)


def merge_rows(old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """Old rows that the new ones do not replace, then the new ones; old rows of other weights are dropped."""
    new = list(new)
    keys = {row_key(row) for row in new}
    weights = {(row["system"], row["checkpoint_sha256"]) for row in new}
    kept = [row for row in old if (row["system"], row["checkpoint_sha256"]) in weights and row_key(row) not in keys]
    return kept + new


def update_results(path: str | Path, rows: Iterable[Row]) -> None:
    """Merge rows into a results.json, whole or not at all."""
    old = read_results(path) if Path(path).exists() else []
    write_text(path, json.dumps(merge_rows(old, rows), indent=1) + "\n")


def git_commit(folder: str | Path) -> str | None:
    """The commit that the code is at, with `-dirty` if it was changed since; None outside a checkout."""
    try:
        command = ["git", "-C", str(folder), "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
