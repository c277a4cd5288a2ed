"""Segments of utterances, and their features: how an utterance is cut for a model at test time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from sv.base.layout import FEATURE_KEYS, SAMPLING_RATE, VAD_KEYS
from sv.features.protocol import Frontend

TINY = 1e-12
MIN_COVERAGE = 0.75  # of the last of several sliding windows by the utterance


@dataclass(frozen=True, kw_only=True)
class SegmentConfig:
    """Cutting of utterances into segments, and averaging of their embeddings.

    Attributes
    ----------
    segment_samples : int
        Length of a test-time segment at 16 kHz.
    scheme : "consecutive", "overlapping", "even", "even_padded", "sliding" or "whole"
        "consecutive": one after the other, and a last one that ends with the utterance, as the published ExU-Net code
        has it. "overlapping": one every `step_samples` and a last one that ends with the utterance, as RawNet2. "even":
        `num_segments` of them, spread evenly from the first sample to the last; one of an utterance no longer than a
        segment. "even_padded": as that, but such an utterance is repeated to a sample more than a segment, and cut
        likewise, as voxceleb_trainer. "sliding": one every `step_samples`, cut from the features of the whole utterance,
        as the GE2E systems. "whole": the utterance, repeated if it is shorter than a segment, in a forward pass of its
        own.
    num_segments : int
        Of the even schemes.
    step_samples : int
        Of "overlapping"; of "sliding", where it is a multiple of the features' shift.
    unit_segments : bool
        Scale segments' embeddings to unit length before they are averaged to the utterance's.
    peak_normalise : bool
        Divide the utterance by its largest magnitude before anything else, as RawNet2's published evaluation does.
    raise_to_dbfs : float, optional
        Level to which quieter utterances are raised before anything else; louder ones stay as they are.
    batch_size : int
        Segments in a forward pass; embeddings do not depend on it beyond rounding.
    vad : "silero", optional
        Detector of speech: what it finds to be none is cut out before anything else.
    min_speech : float
        Seconds of speech (of audio, without a detector) below which the commands refuse a recording. The stages of a recipe
        embed an utterance with less speech whole, so that no trial is lost.
    """

    segment_samples: int = 61_360
    scheme: Literal["consecutive", "overlapping", "even", "even_padded", "sliding", "whole"] = "consecutive"
    num_segments: int = 10
    step_samples: int = 12_800
    unit_segments: bool = True
    peak_normalise: bool = False
    raise_to_dbfs: float | None = None
    batch_size: int = 8
    vad: Literal["silero"] | None = None
    min_speech: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_speech < float("inf"):
            raise ValueError(f"min_speech must be a number of seconds, got {self.min_speech}")
        for name in ("segment_samples", "num_segments", "step_samples", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.scheme == "overlapping" and self.step_samples > self.segment_samples:
            raise ValueError(
                f"overlapping segments of {self.segment_samples} samples cannot be {self.step_samples} samples apart"
            )


def segment_options(config: SegmentConfig) -> dict[str, object]:
    """The [extract] options that change stored features; those of a detector only with one."""
    return {name: getattr(config, name) for name in (*FEATURE_KEYS, *(VAD_KEYS if config.vad else ()))}


def segment_starts(num_samples: int, config: SegmentConfig) -> list[int]:
    """First samples of an utterance's segments.

    "consecutive" makes ceil((N - C) / C) + 1 segments of C samples, one if N <= C. "overlapping" makes
    floor((N - C) / S) + 2 of them, S samples apart but for the last: RawNet2's published code, which thereby may take the
    last one twice.
    """
    last = max(num_samples - config.segment_samples, 0)
    if config.scheme == "whole":
        return [0]
    if config.scheme == "overlapping":
        count = last // config.step_samples + 1 if last else 0
        return [*(number * config.step_samples for number in range(count)), last]
    if config.scheme in ("even", "even_padded") and last:
        return np.linspace(0, last, config.num_segments).astype(int).tolist()
    return [*range(0, last, config.segment_samples), last]


def cut_segments(samples: np.ndarray, config: SegmentConfig) -> np.ndarray:
    """Cut (samples,) into (num_segments, segment_samples); an utterance shorter than a segment is repeated.

    The one segment of "whole" is the utterance.

    Raises
    ------
    ValueError
        If there are no samples.
    """
    if len(samples) == 0:
        raise ValueError("an utterance without samples has no segments")
    length = config.segment_samples
    wanted = length + (config.scheme == "even_padded")
    if len(samples) < wanted:
        samples = np.tile(samples, -(-wanted // len(samples)))[:wanted]
    if config.scheme == "whole":
        return samples[None]
    return np.stack([samples[start : start + length] for start in segment_starts(len(samples), config)])


def cut_frames(matrix: np.ndarray, num_frames: int | None, config: SegmentConfig) -> np.ndarray:
    """Stack the segments of a whole utterance's features, made elsewhere: (frames, mels) to (num_segments * num_frames, mels).

    Segments lie as `segment_starts` has them, in frames. Features whose length is a multiple of a segment's are taken for
    stacked ones of stage 3, which consecutive segments of a whole utterance are as well.
    """
    if num_frames is None or len(matrix) % num_frames == 0:
        return matrix
    scheme = "overlapping" if config.scheme == "sliding" else config.scheme
    step = max(1, round(config.step_samples * num_frames / config.segment_samples))
    in_frames = replace(config, scheme=scheme, segment_samples=num_frames, step_samples=min(step, num_frames))
    return matrix[cut_segments(np.arange(len(matrix)), in_frames).reshape(-1)]


def compute_features(frontend: Frontend, samples: np.ndarray, config: SegmentConfig) -> np.ndarray:
    """Features of an utterance's segments, stacked in time: (num_segments * frames, mels) float32.

    What stage 3 stores: each segment's features are computed from that segment alone, as at the model's input.
    """
    samples = raised(samples, config.raise_to_dbfs)
    if config.peak_normalise:
        samples = samples / np.maximum(np.abs(samples).max(initial=0), np.float32(TINY))
    if config.scheme == "sliding":

        def whole(padded: np.ndarray) -> np.ndarray:
            return frontend(torch.from_numpy(padded[None]).to(frontend.device))[0].T.cpu().numpy()

        return slide(whole, samples, config, shift_of(frontend))
    segments = torch.from_numpy(cut_segments(samples, config)).to(frontend.device)
    features = frontend(segments).transpose(1, 2)  # (num_segments, frames, mels)
    return features.reshape(-1, features.shape[-1]).cpu().numpy()


def raised(samples: np.ndarray, dbfs: float | None) -> np.ndarray:
    """Samples raised to an RMS level in dB of full scale, if they are below it and not silent."""
    level = np.sqrt(np.mean(np.square(samples, dtype=np.float64)))
    if dbfs is None or level == 0:
        return samples
    return (samples * max(1.0, 10 ** (dbfs / 20) / level)).astype(np.float32)


def shift_of(frontend: Frontend) -> int:
    """Samples at 16 kHz between two frames of a front end; raises ValueError if it has no frames at a fixed shift."""
    if frontend.config.shift_ms is None:
        raise ValueError('[extract] scheme = "sliding" needs mel features; choose another scheme for waveforms')
    return round(frontend.config.shift_ms * SAMPLING_RATE / 1000)


def sliding_starts(num_samples: int, config: SegmentConfig, shift: int) -> list[int]:
    """First samples of the sliding windows over an utterance of `num_samples`; what follows the last one is not used.

    Windows start while frames remain for them, and the last of several is dropped if the utterance covers less than
    three quarters of it: the rule of Resemblyzer, which cuts 160 frames every 77 (or every 80, half of them, in the paper).
    """
    window, step = config.segment_samples // shift, config.step_samples // shift
    num_frames = -(-(num_samples + 1) // shift)
    starts = [start * shift for start in range(0, max(1, num_frames - window + step + 1), step)]
    short = num_samples - starts[-1] < MIN_COVERAGE * window * shift
    return starts[:-1] if short and len(starts) > 1 else starts


def slide(
    features: Callable[[np.ndarray], np.ndarray], samples: np.ndarray, config: SegmentConfig, shift: int
) -> np.ndarray:
    """Windows of the features of (samples,), filled up with zeros to the end of the last: (num_windows * frames, mels).

    Parameters
    ----------
    features : callable
        From (samples,) to (frames, mels), a frame every `shift` samples.
    """
    starts, window = sliding_starts(len(samples), config, shift), config.segment_samples // shift
    missing = starts[-1] + window * shift - len(samples)
    frames = features(np.pad(samples, (0, max(0, missing))).astype(np.float32))
    return np.concatenate([frames[start // shift : start // shift + window] for start in starts])


def frames_per_segment(frontend: Frontend, config: SegmentConfig) -> int | None:
    """Frames that the front end makes of a segment; None if segments are utterances of any length."""
    if config.scheme == "whole":
        return None
    if config.scheme == "sliding":
        return config.segment_samples // shift_of(frontend)
    one = replace(config, scheme="consecutive")
    return len(compute_features(frontend, np.zeros(config.segment_samples, dtype=np.float32), one))
