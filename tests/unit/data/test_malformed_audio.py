"""Ten thousand damaged headers: samples at 16 kHz that no system minds, or the reason why there are none."""

import io
import os
import shutil
import struct
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv.data import audio
from sv.data.audio import MAX_RATE, MIN_RATE, BadAudio, load_speech, read_samples

FORMATS = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("WAVEX", "PCM_24"), ("W64", "PCM_16")]
# Where the sampling rate lies; odd ones take a long filter, and are tried below.
RATES = {"WAV": range(24, 28), "WAVEX": range(24, 28), "W64": range(68, 72), "FLAC": range(18, 21)}
SAMPLES = (0.3 * np.sin(np.arange(200) / 3)).astype("f4")


def encoded(kind: str, subtype: str) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, SAMPLES, 16_000, format=kind, subtype=subtype)
    return out.getvalue()


FILES = [encoded(*form) for form in FORMATS]
PLACES = [[at for at in range(140) if at < len(FILES[i]) and at not in RATES[FORMATS[i][0]]] for i in range(len(FILES))]


def attempt(read):
    """Result and "" of a reader, or None and the message of its error."""
    try:
        return read(), ""
    except BadAudio as error:
        return None, str(error)


@pytest.fixture(scope="module")
def path():
    """A file that is written again and again, in memory where that is."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    yield folder / "x.wav"
    shutil.rmtree(folder)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    audio._wav_layout.cache_clear()
    return path


@settings(max_examples=10_000, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(program=st.binary(min_size=8, max_size=16))
def test_headers(path, program):
    which = program[0] % len(FILES)
    data, places = bytearray(FILES[which]), PLACES[which]
    for at, value in zip(program[2::2], program[3::2]):
        data[places[at % (60 if program[1] % 4 else len(places))]] = value
    if program[1] % 7 == 0:
        del data[program[2] :]
    speech, message = attempt(lambda: load_speech(written(path, data)))
    if speech is None:
        assert message and "\n" not in message
    else:
        assert speech.samples.dtype == np.float32 and speech.samples.ndim == 1
        assert 0 < np.abs(speech.samples).max() <= 1
        # No sample is made up: at most those of eight bits that the bytes can hold, or of a packed codec's half.
        assert len(speech.samples) <= 2 * len(data)
    samples, message = attempt(lambda: read_samples(path))
    assert str(path) in message if samples is None else len(samples) <= 2 * len(data)
    if speech is not None and samples is not None and np.abs(samples).max() <= 1:
        np.testing.assert_array_equal(speech.samples, samples)


def riff(channels: int, rate: int, bits: int, claimed: int, data: bytes) -> bytes:
    form = struct.pack(
        "<HHIIHH", 1, channels, rate, rate * channels * bits // 8 % 2**32, channels * bits // 8 % 2**16, bits
    )
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", claimed) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


NOISE = np.random.default_rng(0).integers(-9000, 9000, 4096).astype("<i2").tobytes()


@pytest.mark.parametrize("rate", [1, MIN_RATE - 1, MAX_RATE + 1, 2**20 - 3, 2**31 - 1])
def test_a_rate_that_no_recording_has_is_refused(path, rate):
    with pytest.raises(BadAudio, match=f"{rate} Hz, no sampling rate of speech"):
        load_speech(written(path, riff(1, rate, 16, len(NOISE), NOISE)))


@pytest.mark.parametrize("rate", [MIN_RATE, 8000, 11_025, 48_000, MAX_RATE])
def test_a_rate_that_recordings_have_gives_as_many_seconds(path, rate):
    speech = load_speech(written(path, riff(1, rate, 16, len(NOISE), NOISE)))
    assert len(speech.samples) == -(-4096 * 16_000 // rate)


@pytest.mark.parametrize("channels", [1, 2, 1024])
@pytest.mark.parametrize("claimed", [len(NOISE), 0x7FFE0000, 0x7FFFF000, 0xFFFFFFFF])
def test_memory_is_that_of_the_file_not_of_its_header(path, channels, claimed):
    written(path, riff(channels, 16_000, 16, claimed, NOISE))
    tracemalloc.start()
    attempt(lambda: load_speech(path))
    attempt(lambda: read_samples(path, 0, 2**40))
    attempt(lambda: read_samples(path, 2**40, 10))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 2**20


def test_a_pipe_file_or_device_is_no_recording(tmp_path):
    os.mkfifo(tmp_path / "fifo.wav")
    for path in (tmp_path / "fifo.wav", Path("/dev/zero")):
        with pytest.raises(BadAudio, match="not a file"):
            load_speech(path)


def test_a_flac_whose_header_does_not_know_its_length_is_read_whole_or_refused(path):
    data = bytearray(FILES[2])
    assert data[:4] == b"fLaC"
    data[21] &= 0xF0  # STREAMINFO's 36 bits of the number of samples, as encoders that write to a pipe leave them
    data[22:26] = bytes(4)
    speech, message = attempt(lambda: load_speech(written(path, data)))
    if speech is None:
        assert message.startswith("unreadable: ")
    else:
        np.testing.assert_allclose(speech.samples, SAMPLES, atol=1 / 32768)
