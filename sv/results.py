"""results.json: one row for each system, test set, condition and back end, with what it takes to repeat it."""

import json
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sv.files import write_text
from sv.kaldi.trials import Trials
from sv.scoring.metrics import compute_eer, compute_min_dcf, eer_interval
from sv.seeding import generator

Row = dict[str, Any]
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


def make_row(
    set_name: str, backend: str, trials: Trials, scores: np.ndarray, utt2spk: dict[str, str], provenance: Provenance
) -> Row:
    """Metrics of one score list; EERs in percent."""
    test_set, condition, noise, snr_db = parse_condition(set_name)
    place = {speaker: i for i, speaker in enumerate(sorted(set(utt2spk.values())))}
    sides = tuple(np.array([place[utt2spk[utt]] for utt in side]) for side in (trials.enrolment, trials.test))
    rng = generator(provenance.seed, "eer-interval", set_name)
    low, high = eer_interval(scores, trials.is_target, sides, rng)
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
    """Rows of a results.json."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_results(path: str | Path, rows: Iterable[Row]) -> None:
    """Write rows, whole or not at all."""
    write_text(path, json.dumps(list(rows), indent=1) + "\n")


def git_commit(folder: str | Path) -> str | None:
    """The commit that the code is at, with `-dirty` if it was changed since; None outside a checkout."""
    try:
        command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
