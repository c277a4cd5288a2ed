#!/usr/bin/env python3
"""Feature extraction on one core: ours, kaldi-native-fbank and lhotse's Fbank, per second of audio.

python benchmarks/features.py
"""

import os

os.environ.setdefault("LHOTSE_AUDIO_BACKEND", "LibsndfileBackend")  # lhotse looks for its backends on import

import kaldi_native_fbank
import lhotse
import numpy as np
import torch
from common import median_seconds, print_table

from sv.features import Fbank, FbankConfig, LogMel, LogMelConfig

SAMPLING_RATE = 16_000
NUM_SAMPLES = 61_360  # a test segment of ExU-Net
NUM_WAVEFORMS = 8
AIMS = {"kaldi-native-fbank": 4.0, "lhotse Fbank": 1.0}


def native_fbank(waveforms: np.ndarray, num_mel_bins: int) -> list[np.ndarray]:
    """kaldi-native-fbank, the waveform as an array (its fastest input) and the features as one matrix."""
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = num_mel_bins
    features = []
    for waveform in waveforms:
        fbank = kaldi_native_fbank.OnlineFbank(options)
        fbank.accept_waveform(SAMPLING_RATE, waveform * 32_768)
        fbank.input_finished()
        features.append(np.stack([fbank.get_frame(frame) for frame in range(fbank.num_frames_ready)]))
    return features


def main() -> None:
    """Time the front ends in turns and print what ours gains."""
    torch.set_num_threads(1)
    waveforms = np.random.default_rng(0).normal(0, 0.05, (NUM_WAVEFORMS, NUM_SAMPLES)).astype(np.float32)
    batch = torch.from_numpy(waveforms)
    fbank, log_mel = Fbank(FbankConfig()), LogMel(LogMelConfig())
    lhotse_fbank = lhotse.Fbank(lhotse.FbankConfig(num_filters=80, dither=0.0))
    seconds = median_seconds(
        {
            "our Fbank, 80 bins": lambda: fbank(batch),
            "our LogMel, 64 bins, FFT of 1024": lambda: log_mel(batch),
            "kaldi-native-fbank": lambda: native_fbank(waveforms, 80),
            "lhotse Fbank": lambda: [lhotse_fbank.extract(waveform, SAMPLING_RATE) for waveform in waveforms],
        }
    )
    audio_seconds = NUM_WAVEFORMS * NUM_SAMPLES / SAMPLING_RATE
    rows = [
        [name, f"{1e3 * spent / audio_seconds:.3f}", f"{audio_seconds / spent:.0f}"] for name, spent in seconds.items()
    ]
    print_table("Feature extraction, one core", ["front end", "ms per s of audio", "times real time"], rows)
    ratios = [
        [ours, other, f"{seconds[other] / seconds[ours]:.2f}", f"{aim:.1f}"]
        for ours in ("our Fbank, 80 bins", "our LogMel, 64 bins, FFT of 1024")
        for other, aim in AIMS.items()
    ]
    print_table("Ratios", ["ours", "against", "times faster", "aim"], ratios)


if __name__ == "__main__":
    main()
