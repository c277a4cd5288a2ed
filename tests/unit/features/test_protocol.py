import numpy as np
import pytest
import torch

from sv.features import FEATURES
from sv.features.protocol import Frontend, FrontendConfig
from sv.features.segments import SegmentConfig, compute_features, frames_per_segment

ANSWERS = {  # input rate in Hz, rows, shift in ms
    "embedding": (None, None, None),
    "log_mel": (16_000, 64, 10.0),
    "fbank": (16_000, 80, 10.0),
    "decibel_mel": (16_000, 80, 10.0),
    "slaney_mel": (16_000, 40, 10.0),
    "waveform": (16_000, None, None),
}


@pytest.mark.parametrize("name", FEATURES)
def test_every_front_end_keeps_the_contract(name: str) -> None:
    config_class, module = FEATURES[name]
    config = config_class()
    frontend = module(config)
    assert isinstance(config, FrontendConfig) and isinstance(frontend, Frontend)
    assert frontend.config is config
    assert (config.input_rate, config.num_mel_bins, config.shift_ms) == ANSWERS[name]


@pytest.mark.parametrize("name", FEATURES)
def test_the_device_is_that_of_what_the_front_end_computes_with(name: str) -> None:
    config_class, module = FEATURES[name]
    computes = config_class().num_mel_bins is not None
    frontend = module(config_class())
    assert frontend.device == torch.device("cpu")
    assert frontend.to("meta").device == torch.device("meta" if computes else "cpu")


def test_the_rate_of_decimated_features_is_not_the_waveforms() -> None:
    config_class, _ = FEATURES["slaney_mel"]
    assert config_class(sampling_rate=8000).input_rate == 16_000
    config_class, _ = FEATURES["log_mel"]
    assert config_class(sampling_rate=8000, high_hz=4000.0).input_rate == 8000


def test_sliding_windows_of_waveforms_are_refused() -> None:
    config_class, module = FEATURES["waveform"]
    frontend, config = module(config_class()), SegmentConfig(scheme="sliding", segment_samples=800, step_samples=400)
    for call in (frames_per_segment, lambda *given: compute_features(given[0], np.zeros(900, np.float32), given[1])):
        with pytest.raises(ValueError, match='scheme = "sliding" needs mel features; choose another scheme'):
            call(frontend, config)
