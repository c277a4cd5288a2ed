"""Read speech: whole files or just the samples needed, as float32 mono in [-1, 1).

A location of wav.scp may be a `command |`: it is run, in a shell, for callers alone that say `allow_pipes`.
"""

import errno
import os
import struct
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from sv.base.layout import SAMPLING_RATE
from sv.kaldi.scp import DataDirError
from sv.kaldi.specifiers import open_read

_PCM16_SCALE = np.float32(1 / 32768)
_UNKNOWN_SIZES = (0, 0x7FFFFFFF, 0xFFFFFFFF)  # in headers by programs that write to a pipe


class BadAudio(ValueError):
    """A recording that cannot be used; the message is the reason."""


@dataclass(frozen=True, kw_only=True)
class AudioInfo:
    """Length, rate and channels of a recording; `num_samples` is per channel."""

    num_samples: int
    sampling_rate: int
    num_channels: int


@dataclass(frozen=True)
class _WavLayout:
    data_start: int  # byte
    num_samples: int  # per channel, as the header claims; 0 if it does not know
    plain: bool  # 16-bit PCM, one channel, 16 kHz, and the header knows its length


@lru_cache(maxsize=4096)
def _wav_layout(path: str) -> _WavLayout | None:
    """Position of a RIFF file's samples; None if the file is not RIFF."""
    with Path(path).open("rb") as file:
        return _layout_of(file.read(4096))


def _layout_of(head: bytes) -> _WavLayout | None:
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    at, coding = 12, (0, 0, 0, 0)
    while at + 8 <= len(head):
        chunk, size = head[at : at + 4], struct.unpack("<I", head[at + 4 : at + 8])[0]
        if chunk == b"fmt " and at + 24 <= len(head):
            tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", head[at + 8 : at + 24])
            coding = (tag, channels, bits, rate)
        elif chunk == b"data":
            width = max(1, coding[1] * coding[2] // 8)
            num_samples = 0 if size in _UNKNOWN_SIZES else size // width
            return _WavLayout(at + 8, num_samples, coding == (1, 1, 16, SAMPLING_RATE) and num_samples > 0)
        at += 8 + size + size % 2
    return None


def read_samples(path: str | Path, start: int = 0, num_samples: int | None = None) -> np.ndarray:
    """Read samples [start, start + num_samples) of a mono 16 kHz file, (samples,) float32.

    Raises
    ------
    BadAudio
        If the file cannot be read, is cut off, is shorter, has another sampling rate or several channels.
    FileNotFoundError
    """
    layout = _wav_layout(str(path)) if str(path).endswith(".wav") else None
    if layout and layout.plain:
        if num_samples is None:
            num_samples = max(0, layout.num_samples - start)
        with Path(path).open("rb", buffering=0) as file:  # half of np.fromfile's time
            file.seek(layout.data_start + 2 * start)
            data = file.read(2 * num_samples)
        samples = np.frombuffer(data, dtype="<i2", count=len(data) // 2) * _PCM16_SCALE
    else:
        samples = _read_with_soundfile(path, start, num_samples)
    if num_samples is not None and len(samples) != num_samples:
        raise BadAudio(
            f"{path}: wanted samples {start} to {start + num_samples}, the file ends at {start + len(samples)}"
        )
    return samples


def is_pipe(location: str | Path) -> bool:
    """True if a location of wav.scp is a command that writes the audio."""
    return str(location).endswith("|")


def read_whole(path: str | Path, num_samples: int, allow_pipes: bool = False) -> np.ndarray:
    """Read a mono 16 kHz file (or pipe) that must have `num_samples`, (num_samples,) float32.

    Raises
    ------
    BadAudio
        If it has another number, or as `read_samples` does.
    DataDirError
        For a pipe that is not allowed.
    """
    samples = read_pipe(str(path), allow_pipes) if is_pipe(path) else read_samples(path)
    if len(samples) != num_samples:
        raise BadAudio(f"{path}: has {len(samples)} samples, its data directory says {num_samples}")
    return samples


def _read_with_soundfile(path: str | Path, start: int, num_samples: int | None) -> np.ndarray:
    try:
        with soundfile.SoundFile(path) as file:
            if file.samplerate != SAMPLING_RATE or file.channels != 1:
                raise BadAudio(
                    f"{path}: {file.samplerate} Hz, {file.channels} channels; expected {SAMPLING_RATE} Hz mono"
                )
            file.seek(min(start, file.frames))  # past the end: nothing is read, and the caller says so
            return file.read(-1 if num_samples is None else num_samples, dtype="float32")
    except soundfile.LibsndfileError as error:
        if not Path(path).exists():  # libsndfile calls that a system error
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
        raise BadAudio(f"{path}: {error.error_string}") from error


def read_pipe(command: str, allow_pipes: bool) -> np.ndarray:
    """All that a `command |` writes, which must be mono at 16 kHz; raises as `read_whole` does."""
    samples, rate = decode(command, allow_pipes)
    if (rate, samples.shape[1]) != (SAMPLING_RATE, 1):
        raise BadAudio(f"{command}: {rate} Hz, {samples.shape[1]} channels; expected {SAMPLING_RATE} Hz mono")
    return samples[:, 0]


def decode(path: str | Path, allow_pipes: bool = False) -> tuple[np.ndarray, int]:
    """Decode a whole file of any kind (wav, flac, m4a, ...), or, if allowed, what a `command |` writes, as it is.

    Returns
    -------
    samples : (samples, channels) float32 numpy.ndarray
    sampling_rate : int

    Raises
    ------
    BadAudio
        If it is empty, cut off, or no audio, or a pipe's command fails.
    DataDirError
        For a pipe that is not allowed.
    """
    if is_pipe(path):
        if not allow_pipes:
            raise DataDirError(f"{path}: a pipe would run in a shell; --allow-pipes allows it")
        try:
            with open_read(str(path), allow_pipes) as stream:
                output = stream.read()
        except DataDirError as error:  # the command failed
            raise BadAudio(str(error)) from error
        return _decode(BytesIO(output), _layout_of(output[:4096]))
    if Path(path).suffix.lower() in (".m4a", ".mp4", ".aac"):
        return _decode_with_av(path)
    return _decode(path, _wav_layout(str(path)) if Path(path).is_file() else None)


def _decode(source: str | Path | BytesIO, layout: _WavLayout | None) -> tuple[np.ndarray, int]:
    try:
        samples, rate = soundfile.read(source, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise BadAudio(f"unreadable: {error.error_string}") from error
    if layout and layout.num_samples > len(samples):
        raise BadAudio(f"truncated: the header promises {layout.num_samples} samples, the file holds {len(samples)}")
    return samples, rate


def _decode_with_av(path: str | Path) -> tuple[np.ndarray, int]:
    import av  # only for files that libsndfile cannot read

    blocks = []
    try:
        with av.open(str(path)) as container:
            rate = container.streams.audio[0].rate
            to_float = av.AudioResampler(format="fltp")
            for frame in container.decode(audio=0):
                blocks += [part.to_ndarray() for part in to_float.resample(frame)]
    except (av.FFmpegError, IndexError) as error:
        raise BadAudio(f"unreadable: {error}") from error
    if not blocks:
        raise BadAudio("empty: no samples")
    return np.concatenate(blocks, axis=1).T.astype(np.float32), rate


def load_checked(path: str | Path, allow_pipes: bool = False) -> tuple[np.ndarray, int]:
    """Decode a whole file (or pipe) and refuse what no system should see: nothing in it, NaN, silence.

    Raises
    ------
    BadAudio
        With the reason.
    """
    samples, rate = decode(path, allow_pipes)
    if samples.size == 0:
        raise BadAudio("empty: no samples")
    if not np.isfinite(samples).all():
        raise BadAudio("NaN or infinite samples")
    if not samples.any():
        raise BadAudio("silent: every sample is zero")
    return samples, rate


def inspect(path: str | Path) -> AudioInfo:
    """Decode a whole file once and say what it holds; raises BadAudio as `load_checked` does."""
    samples, rate = load_checked(path)
    return AudioInfo(num_samples=len(samples), sampling_rate=rate, num_channels=samples.shape[1])


def to_mono_16k(samples: np.ndarray, rate: int) -> np.ndarray:
    """Mean of the channels at 16 kHz: (samples, channels) to (samples',) float32, by a polyphase filter."""
    mono = samples.mean(axis=1)
    if rate != SAMPLING_RATE:
        ratio = Fraction(SAMPLING_RATE, rate)
        mono = resample_poly(mono, ratio.numerator, ratio.denominator)
    return mono.astype(np.float32)


def tile_to(samples: np.ndarray, num_samples: int) -> np.ndarray:
    """Repeat a recording until it has `num_samples`; a longer one is returned as it is."""
    if len(samples) >= num_samples:
        return samples
    return np.tile(samples, -(-num_samples // len(samples)))[:num_samples]
