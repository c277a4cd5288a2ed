"""Small data directories of 16-bit wavs."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sv.kaldi.data_dir import write_data_dir


@pytest.fixture
def make_set(tmp_path: Path) -> Callable[..., Path]:
    """(name, key -> samples, key -> speaker) -> data directory; without speakers each recording is its own."""

    def build(name: str, audio: Mapping[str, np.ndarray], speakers: Mapping[str, str] | None = None) -> Path:
        path = tmp_path / name
        path.mkdir()
        for key, samples in audio.items():
            soundfile.write(path / f"{key}.wav", samples, 16_000, subtype="PCM_16")
        write_data_dir(
            path,
            wav_scp={key: str(path / f"{key}.wav") for key in audio},
            utt2spk=speakers or {key: key for key in audio},
            utt2dur={key: len(samples) / 16_000 for key, samples in audio.items()},
        )
        return path

    return build


@pytest.fixture
def noise() -> Callable[..., np.ndarray]:
    """(seed, num_samples, level=0.1) -> white noise, float32."""

    def draw(seed: int, num_samples: int, level: float = 0.1) -> np.ndarray:
        return (level * np.random.default_rng(seed).standard_normal(num_samples)).astype(np.float32)

    return draw
