"""Model folders as stage 7 leaves them, for the report's tests."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sv.base.files import sha256_of
from sv.kaldi import Trials, write_scores, write_table, write_trials
from sv.results.rows import Stamp, make_row, update_results

CONDITIONS = ("test", "test-noise-snr0", "test-noise-snr20", "test-babble-snr0", "test-babble-snr20")


def write_data_dir(data_dir: Path, num_speakers: int) -> tuple[Trials, dict[str, str]]:
    """Trials of all pairs of three utterances a speaker, and utt2spk."""
    utts = [f"s{i // 3:02d}-{i:02d}" for i in range(3 * num_speakers)]
    pairs = [(a, b) for a in utts for b in utts if a < b]
    trials = Trials([a for a, _ in pairs], [b for _, b in pairs], np.array([a[:3] == b[:3] for a, b in pairs]))
    write_trials(data_dir / "trials", trials)
    write_table(data_dir / "utt2spk", {utt: utt[:3] for utt in utts})
    return trials, {utt: utt[:3] for utt in utts}


def write_scored_set(
    folder: Path, set_name: str, shift: float, rng: np.random.Generator, num_speakers: int
) -> list[dict]:
    """Data directory and scores of one set, and their rows in three back ends."""
    data_dir, rows = folder.parents[1] / "data" / set_name, []
    trials, utt2spk = write_data_dir(data_dir, num_speakers)
    scores = (rng.normal(size=len(trials)) + shift * trials.is_target).round(5)
    for backend, own in (
        ("cosine", scores), ("neg_mean_l2", scores), ("cosine-calibrated", shift * scores - shift**2 / 2),
    ):  # fmt: skip
        stamp = Stamp(
            trials_sha256=sha256_of(data_dir / "trials"), num_dropped=0, crop_scheme="segment_samples 100",
            normalisation="none", calibration="the truth" if backend.endswith("calibrated") else "none",
            checkpoint_sha256="c" * 64, commit="abc", seed=0,
        )  # fmt: skip
        write_scores(folder / "scores" / set_name / f"{backend}.scores", trials, own)
        rows.append(make_row(folder.name, set_name, backend, trials, own, utt2spk, stamp))
    return rows


def write_system(root: Path, name: str, distance: float, seed: int, num_speakers: int) -> Path:
    """A model folder with scores in three back ends; the lower the SNR, the nearer the classes."""
    folder = root / "exp" / name
    rows, rng = [], np.random.default_rng(seed)
    for set_name in CONDITIONS:
        shift = distance * (0.5 if set_name.endswith("snr0") else 1.0)
        rows += write_scored_set(folder, set_name, shift, rng, num_speakers)
    update_results(folder / "results.json", rows)
    (folder / "config.json").write_text(
        json.dumps({"name": name, "model": {"type": name, "blocks": [1, 2]}, "seed": 0})
    )
    records = [{"step": 10, "loss": 5.0}, {"step": 20, "loss": 3.0}, {"step": 20, "valid_eer": 12.5}]
    (folder / "train.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


@pytest.fixture(scope="session")
def _templates(tmp_path_factory) -> dict[tuple, Path]:
    return {}


@pytest.fixture
def write_folders(_templates, tmp_path_factory) -> Callable[..., list[Path]]:
    """write_folders(root, {name: distance of the classes}, num_speakers=8): model folders beside root/data."""

    def write(root: Path, systems: dict[str, float], num_speakers: int = 8) -> list[Path]:
        key = (*systems.items(), num_speakers)
        if key not in _templates:
            _templates[key] = tmp_path_factory.mktemp("systems")
            for seed, (name, distance) in enumerate(systems.items()):
                write_system(_templates[key], name, distance, seed, num_speakers)
        shutil.copytree(_templates[key], root, dirs_exist_ok=True)
        return [root / "exp" / name for name in systems]

    return write


@pytest.fixture
def add_draws() -> Callable[..., None]:
    """add_draws(folders, num_draws=3): further draws of noise at 0 dB, of model folders that write_folders made."""

    def write(folders: list[Path], num_draws: int = 3) -> None:
        for seed, folder in enumerate(folders):
            rng = np.random.default_rng(100 + seed)
            for draw in range(2, num_draws + 1):
                rows = write_scored_set(folder, f"test-noise-snr0-draw{draw}", 1.0, rng, num_speakers=8)
                update_results(folder / "results.json", rows)

    return write


@pytest.fixture
def add_set() -> Callable[..., None]:
    """add_set(folders, set_name, num_speakers): one more scored set, of model folders that write_folders made."""

    def write(folders: list[Path], set_name: str, num_speakers: int) -> None:
        for seed, folder in enumerate(folders):
            rows = write_scored_set(folder, set_name, 1.0, np.random.default_rng(seed), num_speakers)
            update_results(folder / "results.json", rows)

    return write
