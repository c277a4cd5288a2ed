"""Rows of made-up results."""

from collections.abc import Callable

import pytest

from sv.base.layout import condition_name, parse_condition


def _row(system: str, noise: str | None = None, snr_db: float | None = None, eer: float = 10.0, **changes) -> dict:
    condition = "clean" if noise is None else parse_condition(condition_name("test", noise, snr_db)).name
    return {
        "system": system, "test_set": "test", "condition": condition, "noise": noise, "snr_db": snr_db,
        "backend": "cosine", "num_target": 5, "num_nontarget": 7, "eer": eer, "eer_low": eer - 1, "eer_high": eer + 2,
        "min_dcf": {"0.01": eer / 10, "0.05": eer / 25}, "act_dcf": None, "cllr": None, "min_cllr": eer / 16,
        "trials_sha256": "a" * 64, "num_dropped": 1, "crop_scheme": "segment_samples 100", "normalisation": "none",
        "calibration": "none", "operating_points": ["0.01", "0.05"], "checkpoint_sha256": "c" * 64,
        "commit": "abcdef0123456789-dirty", "seed": 0,
    } | changes  # fmt: skip


@pytest.fixture
def row() -> Callable[..., dict]:
    """row(system, noise=None, snr_db=None, eer=10.0, **changes): one row of results.json."""
    return _row


@pytest.fixture
def systems() -> list[list[dict]]:
    conditions = [("babble", 0.0), (None, None), ("noise", 20.0), ("noise", 0.0), ("wind", 5.0)]
    return [
        [_row(name, noise, snr, eer=base + i) for i, (noise, snr) in enumerate(conditions)]
        for name, base in (("ours", 2.0), ("baseline", 4.0))
    ]
