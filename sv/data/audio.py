"""Read speech: whole files or just the samples needed, as float32 mono in [-1, 1).

A location of wav.scp may be a `command |`: it is run, in a shell, for callers alone that say `allow_pipes`.
"""

import errno
import os
import re
import struct
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile

from sv.base.layout import SAMPLING_RATE
from sv.kaldi.scp import DataDirError
from sv.kaldi.specifiers import open_read

_PCM16_SCALE = np.float32(1 / 32768)
_UNKNOWN_FROM = 0x7FFF0000  # bytes: sizes from here on, and 0, are no promise but a stream's placeholder (SoX, ffmpeg)
_BLOCK = 1 << 20  # samples of all channels decoded at a time: a header's length is never trusted for memory
MIN_RATE, MAX_RATE = (
    2_000,
    384_000,
)  # Hz; a forged 1 Hz would make 16 000 samples of each, a forged 2 GHz a filter of 300 GB
_WITH_AV = (".m4a", ".mp4", ".m4b", ".aac", ".wma", ".webm", ".mka", ".amr", ".3gp")  # libsndfile does not know them
MIN_RMS = 1 / 32768  # of the samples less their mean; one step of 16 bits
MAX_PEAK = 2.0  # lossy codecs overshoot full scale by a little, integers in a float file by a lot


class BadAudio(ValueError):
    """A recording that cannot be used; the message is the reason."""


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
            num_samples = 0 if size >= _UNKNOWN_FROM else size // width
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
        data = _read_bytes(path, layout.data_start + 2 * start, 2 * num_samples)
        samples = np.frombuffer(data, dtype="<i2", count=len(data) // 2).astype(np.float32)
        samples *= _PCM16_SCALE
    else:
        samples = _read_with_soundfile(path, start, num_samples)
    if num_samples is not None and len(samples) != num_samples:
        raise BadAudio(
            f"{path}: wanted samples {start} to {start + num_samples}, the file ends at {start + len(samples)}"
        )
    return samples


def _read_bytes(path: str | Path, first: int, count: int) -> bytes:
    """Bytes of a file, fewer where it ends; in a quarter of the time of a file object."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if count > _BLOCK:  # the memory that is asked for is taken, and a header may lie
            count = min(count, max(0, os.fstat(file).st_size - first))
        return os.pread(file, count, first)
    finally:
        os.close(file)


def can_be_cropped(path: str | Path) -> bool:
    """True if training can read any crop of a mono 16 kHz file: a wav or flac whose codec allows seeking."""
    if not str(path).endswith((".wav", ".flac")):
        return False
    try:
        with soundfile.SoundFile(path) as file:
            middle = file.frames // 2
            if not file.seekable() or file.frames >= _UNKNOWN_FROM:
                return False
            file.seek(middle)
            return file.tell() == middle and len(file.read(1)) == 1
    except (soundfile.LibsndfileError, RuntimeError, ValueError):
        return False


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
    if not Path(path).is_file():
        in_archive = re.fullmatch(r"(.+):\d+", str(path))
        if in_archive and Path(in_archive[1]).is_file():
            raise BadAudio("a place in an archive; waves in archives are not read, write them out as files")
        kind = "a folder, not a file" if Path(path).is_dir() else "not a file"
        raise BadAudio(kind if Path(path).exists() else "no such file")
    if Path(path).suffix.lower() in _WITH_AV:
        return _decode_with_av(path)
    return _decode(path, _wav_layout(str(path)))


def _decode(source: str | Path | BytesIO, layout: _WavLayout | None) -> tuple[np.ndarray, int]:
    blocks = []
    try:
        with soundfile.SoundFile(source) as file:
            rate, channels = file.samplerate, file.channels
            while len(block := file.read(max(1, _BLOCK // channels), dtype="float32", always_2d=True)):
                blocks.append(block)
    except soundfile.LibsndfileError as error:
        raise BadAudio(f"unreadable: {error.error_string}") from error
    except (ValueError, RuntimeError, TypeError) as error:
        raise BadAudio(f"unreadable: {error}") from error
    samples = np.concatenate(blocks) if blocks else np.zeros((0, channels), np.float32)
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
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise BadAudio(f"unreadable: {error}") from error
    if not blocks:
        raise BadAudio("empty: no samples")
    if len({len(block) for block in blocks}) > 1:
        raise BadAudio("its number of channels changes within the file")
    return np.concatenate(blocks, axis=1).T.astype(np.float32), rate


@dataclass(frozen=True)
class Speech:
    """A recording that was decoded, mixed and checked.

    Attributes
    ----------
    samples : (samples,) float32 numpy.ndarray
        One channel at 16 kHz, in [-1, 1].
    as_stored : bool
        The file holds these very samples, as one channel at 16 kHz.
    num_channels : int
        Of the file.
    """

    samples: np.ndarray
    as_stored: bool
    num_channels: int


def load_speech(path: str | Path, allow_pipes: bool = False, channel: int | None = None) -> Speech:
    """Decode a whole file (or pipe) to one channel at 16 kHz, and refuse what no system should see.

    Samples beyond full scale, up to `MAX_PEAK`, are scaled down: nothing is clipped.

    Parameters
    ----------
    path : path
    allow_pipes : bool
    channel : int, optional
        The channel to take, from 0; the mean of all by default.

    Raises
    ------
    BadAudio
        With the reason: nothing in it, NaN, a channel that is not there, a rate outside `MIN_RATE` to `MAX_RATE`, samples
        far beyond full scale, or, after mixing, constant or silent ones (a single sample is constant).
    DataDirError
        For a pipe that is not allowed.
    """
    return speech_of(*decode(path, allow_pipes), channel)


def speech_of(samples: np.ndarray, rate: int, channel: int | None = None) -> Speech:
    """Mix and check (samples, channels) float32 that were decoded; parameters and errors of `load_speech`."""
    if samples.size == 0:
        raise BadAudio("empty: no samples")
    if not np.isfinite(samples).all():
        raise BadAudio("NaN or infinite samples")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise BadAudio(f"{rate} Hz, no sampling rate of speech ({MIN_RATE} to {MAX_RATE} Hz); is its header damaged?")
    num_channels = samples.shape[1]
    if channel is not None and channel >= num_channels:
        raise BadAudio(f"it has {num_channels} channels, channel {channel} is asked for")
    if (peak := float(np.abs(samples).max())) > MAX_PEAK:
        raise BadAudio(f"samples up to {peak:g}, beyond ±1: integers in a float file? Scale them to [-1, 1]")
    mono = to_mono_16k(samples if channel is None else samples[:, channel : channel + 1], rate)
    check_speech(mono)
    over = float(np.abs(mono).max())
    if over > 1:
        mono = mono / np.float32(over)
    return Speech(mono, as_stored=rate == SAMPLING_RATE and num_channels == 1 and over <= 1, num_channels=num_channels)


def check_speech(samples: np.ndarray) -> None:
    """Raise BadAudio, with the reason, for (samples,) that are constant or silent."""
    if not samples.any():
        raise BadAudio("silent: every sample is zero")
    centred = samples - samples.mean(dtype=np.float64)
    if np.sqrt(np.mean(np.square(centred))) < MIN_RMS:
        raise BadAudio("silent: its samples are constant, or differ by less than a step of 16 bits")


def to_mono_16k(samples: np.ndarray, rate: int) -> np.ndarray:
    """Mean of the channels at 16 kHz: (samples, channels) to (samples',) float32, by a polyphase filter."""
    mono = samples.mean(axis=1)
    if rate != SAMPLING_RATE:
        from scipy.signal import resample_poly  # a second to import, for the few who need it

        ratio = Fraction(SAMPLING_RATE, rate)
        mono = resample_poly(mono, ratio.numerator, ratio.denominator)
    return mono.astype(np.float32)


def tile_to(samples: np.ndarray, num_samples: int) -> np.ndarray:
    """Repeat a recording until it has `num_samples`; a longer one is returned as it is."""
    if len(samples) >= num_samples:
        return samples
    return np.tile(samples, -(-num_samples // len(samples)))[:num_samples]
