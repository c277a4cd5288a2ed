"""Speech by Silero's network, which is robust to noise and level; its weights come with the package silero-vad.

The rules by which probabilities become spans, and their constants, are those of the package's `get_speech_timestamps`
(github.com/snakers4/silero-vad, version 6), so that spans agree with it sample by sample. One thread computes, whatever the
process is set to: the spans do not depend on the machine's cores.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from threading import Lock

import numpy as np
import torch

from sv.base.layout import SAMPLING_RATE
from sv.base.packages import require

WINDOW = 512  # samples, which the network reads at a time
THRESHOLD, LEAVE = 0.5, 0.35  # probabilities from which speech begins, and below which it may end
MIN_SPEECH, MIN_SILENCE, PAD = 4000, 1600, 480  # samples: of a span, of the gap that ends one, added at both ends
_LOCK = Lock()  # the network keeps a state between windows


def speech_spans(samples: np.ndarray) -> list[tuple[int, int]]:
    """Find speech in (samples,) float32 at 16 kHz: [(first sample, end sample), ...], in order; empty if there is none.

    Raises
    ------
    ValueError
        If the package silero-vad is not installed.
    """
    return padded(raw_spans(speech_probabilities(samples), len(samples)), len(samples))


def only_speech(samples: np.ndarray) -> np.ndarray:
    """Samples that are speech, one span after the other; (0,) if there is none. Raises as `speech_spans`."""
    return np.concatenate([samples[:0], *(samples[start:end] for start, end in speech_spans(samples))])


def speech_probabilities(samples: np.ndarray) -> np.ndarray:
    """Probability that each window of `WINDOW` samples is speech, (num_windows,); the last window is filled with zeros."""
    network = _network()
    windows = torch.from_numpy(np.pad(samples, (0, -len(samples) % WINDOW)).astype(np.float32)).view(-1, WINDOW)
    with _LOCK, _one_thread(), torch.inference_mode():
        network.reset_states()
        return np.array([network(window, SAMPLING_RATE).item() for window in windows])


def raw_spans(probabilities: np.ndarray, num_samples: int) -> list[tuple[int, int]]:
    """Spans that begin at `THRESHOLD` and end before a gap of `MIN_SILENCE` below `LEAVE`; short ones are dropped."""
    spans: list[tuple[int, int]] = []
    start = gap = None
    for number, probability in enumerate(probabilities):
        at = number * WINDOW
        if probability >= THRESHOLD:
            start, gap = at if start is None else start, None
        elif probability < LEAVE and start is not None:
            gap = at if gap is None else gap
            if at - gap >= MIN_SILENCE:
                spans.append((start, gap))
                start = gap = None
    if start is not None:
        spans.append((start, num_samples))
    return [(first, end) for first, end in spans if end - first > MIN_SPEECH]


def padded(spans: list[tuple[int, int]], num_samples: int) -> list[tuple[int, int]]:
    """Spans widened by `PAD` samples; two that are nearer share what is between them."""
    rooms = [PAD, *(_room(before[1], after[0]) for before, after in pairwise(spans)), PAD]
    return [
        (max(0, start - rooms[number]), min(num_samples, end + rooms[number + 1]))
        for number, (start, end) in enumerate(spans)
    ]


def _room(end: int, start: int) -> int:
    return (start - end) // 2 if start - end < 2 * PAD else PAD


def is_installed() -> bool:
    """Tell whether the package silero-vad is there."""
    return find_spec("silero_vad") is not None


@cache
def _network() -> torch.jit.ScriptModule:
    require("the detector of speech", "vad", "silero_vad")
    package = find_spec("silero_vad")
    # Read without importing the package, which would bring torchaudio and set the number of threads.
    return torch.jit.load(str(Path(package.origin).parent / "data" / "silero_vad.jit"), map_location="cpu").eval()


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
