import struct
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from sv.data.audio import BadAudio, can_be_cropped, decode, load_speech, read_samples, read_whole, tile_to, to_mono_16k


def riff(
    samples: np.ndarray, rate: int = 16_000, channels: int = 1, size: int | None = None, before: bytes = b""
) -> bytes:
    """A wav file of int16 samples; `size` is what its data chunk claims, `before` stands ahead of that chunk."""
    data = samples.astype("<i2").tobytes()
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, 2 * rate * channels, 2 * channels, 16)
    body = b"WAVE" + fmt + before + struct.pack("<4sI", b"data", len(data) if size is None else size) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


RAMP = np.arange(-500, 500, dtype=np.int16)


@pytest.mark.parametrize("before", [b"", struct.pack("<4sI6s", b"LIST", 5, b"hello\0")])
def test_pcm16_is_read_by_position_past_other_chunks(tmp_path, before):
    path = tmp_path / "a.wav"
    path.write_bytes(riff(RAMP, before=before))
    np.testing.assert_array_equal(read_samples(path), RAMP / np.float32(32768))
    np.testing.assert_array_equal(read_samples(path, 10, 5), RAMP[10:15] / np.float32(32768))


def test_chunks_after_the_data_are_no_samples(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(riff(RAMP) + struct.pack("<4sI4s", b"LIST", 4, b"tail"))
    assert len(read_samples(path)) == len(RAMP)


@pytest.mark.parametrize("claimed", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x7FFFF024, 0x80000000, 0xFFFFFFDB])
def test_a_header_written_to_a_pipe_does_not_know_its_length(tmp_path, claimed):
    path = tmp_path / "a.wav"
    path.write_bytes(riff(RAMP, size=claimed))
    if claimed:
        np.testing.assert_array_equal(read_samples(path), RAMP / np.float32(32768))
        assert len(decode(path)[0]) == len(RAMP)
        assert can_be_cropped(path)
    else:
        with pytest.raises(BadAudio, match=r"^empty: no samples$"):
            load_speech(path)


@pytest.mark.parametrize(("name", "subtype"), [("a.flac", "PCM_16"), ("b.wav", "PCM_24"), ("c.wav", "FLOAT")])
def test_other_formats_give_the_same_samples_from_any_position(tmp_path, name, subtype):
    expected = RAMP / np.float32(32768)
    soundfile.write(tmp_path / name, expected, 16_000, subtype=subtype)
    np.testing.assert_array_equal(read_samples(tmp_path / name), expected)
    np.testing.assert_array_equal(read_samples(tmp_path / name, 990, 10), expected[990:])


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
@pytest.mark.parametrize("start", [995, 1000, 1200])
def test_reading_past_the_end_says_where_the_file_ends(tmp_path, name, start):
    soundfile.write(tmp_path / name, RAMP, 16_000, subtype="PCM_16")
    with pytest.raises(BadAudio, match=rf"{name}: wanted samples {start} to {start + 10}, the file ends at"):
        read_samples(tmp_path / name, start, 10)


def test_a_wav_that_was_cut_off_is_refused(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(riff(RAMP)[:-201])
    with pytest.raises(BadAudio, match="wanted samples 0 to 1000, the file ends at 899"):
        read_samples(path)
    with pytest.raises(BadAudio, match=r"^truncated: the header promises 1000 samples, the file holds 899$"):
        load_speech(path)


def test_a_flac_that_was_cut_off_is_refused(tmp_path, noise):
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(0, 30_000), 16_000)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(BadAudio, match=r"^unreadable: "):
        load_speech(path)
    with pytest.raises(BadAudio, match=r"a\.flac: "):
        read_samples(path)


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (16_000, 2)])
@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_another_rate_or_several_channels_are_refused(tmp_path, name, rate, channels):
    soundfile.write(tmp_path / name, np.stack([RAMP] * channels, axis=1), rate, subtype="PCM_16")
    with pytest.raises(BadAudio, match=f"{name}: {rate} Hz, {channels} channels; expected 16000 Hz mono"):
        read_samples(tmp_path / name)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=name):
        read_samples(tmp_path / name)


def test_the_whole_file_must_have_the_promised_length(tmp_path):
    soundfile.write(tmp_path / "a.wav", RAMP, 16_000, subtype="PCM_16")
    assert len(read_whole(tmp_path / "a.wav", 1000)) == 1000
    with pytest.raises(BadAudio, match=r"a\.wav: has 1000 samples, its data directory says 1001"):
        read_whole(tmp_path / "a.wav", 1001)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(0), "^empty: no samples$"),
        (np.zeros(1000), "^silent: every sample is zero$"),
        (np.full(1000, 0.25), "^silent: its samples are constant, or differ by less than a step of 16 bits$"),
        (0.25 + 1e-5 * RAMP[:1000].astype(float) / 1000, "^silent: its samples are constant, or differ by less"),
        (np.array([0.5]), "^silent: its samples are constant, or differ by less than a step of 16 bits$"),
        (30_000 * np.sin(np.arange(1000)), r"^samples up to [\d.]+, beyond ±1: integers in a float file\? Scale them"),
        (np.full(1000, 1e38), r"^samples up to 1e\+38, beyond ±1"),
        (np.stack([np.sin(np.arange(1000.0)), -np.sin(np.arange(1000.0))], axis=1), "^silent: every sample is zero$"),
        (np.array([0.1, np.nan]), "^NaN or infinite samples$"),
        (np.array([0.1, -np.inf]), "^NaN or infinite samples$"),
    ],
)
def test_what_no_system_should_see_is_refused(tmp_path, samples, reason):
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    with pytest.raises(BadAudio, match=reason):
        load_speech(tmp_path / "a.wav")


@pytest.mark.parametrize("name", ["a.wav", "a.m4a"])
def test_what_is_no_audio_is_unreadable(tmp_path, name):
    (tmp_path / name).write_bytes(b"hello, world " * 100)
    with pytest.raises(BadAudio, match=r"^unreadable: "):
        decode(tmp_path / name)


def write_aac(path, samples: np.ndarray, rate: int, container_format: str = "mp4") -> None:
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        for start in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
            frame.rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("name", "kind"), [("a.m4a", "mp4"), ("a.MKA", "matroska"), ("a.3gp", "3gp"), ("a.aac", "adts")]
)
def test_what_libsndfile_does_not_know_is_decoded(tmp_path, name, kind):
    rate, hertz = 44_100, 1000
    tone = (0.5 * np.sin(2 * np.pi * hertz / rate * np.arange(rate))).astype(np.float32)
    write_aac(tmp_path / name, tone, rate, kind)
    samples, found_rate = decode(tmp_path / name)
    middle = samples[10_000:30_000, 0]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert found_rate == rate
    assert samples.shape == (pytest.approx(rate, abs=3 * 1024), 1)
    assert np.argmax(spectrum) * rate / len(middle) == pytest.approx(hertz, abs=rate / len(middle))
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.5, rel=0.02)


def test_a_container_without_a_packet_is_empty(tmp_path):
    (tmp_path / "a.m4a").write_bytes(riff(RAMP[:0]))  # the decoder goes by content, not by name
    with pytest.raises(BadAudio, match=r"^empty: no samples$"):
        decode(tmp_path / "a.m4a")


def test_a_channel_is_taken_or_refused(tmp_path):
    left, right = 0.5 * np.sin(np.arange(1000) / 5), 0.2 * np.cos(np.arange(1000) / 7)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 16_000, subtype="FLOAT")
    for channel, expected in ((0, left), (1, right), (None, (left + right) / 2)):
        speech = load_speech(tmp_path / "a.wav", channel=channel)
        np.testing.assert_allclose(speech.samples, expected, atol=1e-6)
        assert (speech.as_stored, speech.num_channels) == (False, 2)
    with pytest.raises(BadAudio, match=r"^it has 2 channels, channel 2 is asked for$"):
        load_speech(tmp_path / "a.wav", channel=2)


def test_what_exceeds_full_scale_a_little_is_scaled_and_not_clipped(tmp_path):
    samples = 1.5 * np.sin(np.arange(1000) / 5)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    speech = load_speech(tmp_path / "a.wav")
    np.testing.assert_allclose(speech.samples, samples / np.abs(samples).max(), atol=1e-6)
    assert not speech.as_stored


def test_reasons_name_what_the_path_is(tmp_path):
    (tmp_path / "x.ark").write_bytes(b"utt \0BFM ")
    for path, reason in (
        (tmp_path / "none.wav", "^no such file$"),
        (tmp_path, "^a folder, not a file$"),
        (f"{tmp_path}/x.ark:4", "^a place in an archive; waves in archives are not read, write them out as files$"),
        ("a.wav b.wav", "^no such file$"),
    ):
        with pytest.raises(BadAudio, match=reason):
            decode(path)


@pytest.mark.parametrize(
    ("subtype", "usable"), [("GSM610", False), ("G721_32", False), ("PCM_16", True), ("ULAW", True)]
)
def test_only_codecs_that_can_be_sought_in_are_read_as_they_are(tmp_path, subtype, usable):
    kind = "AU" if subtype == "G721_32" else "WAV"
    soundfile.write(tmp_path / "a.wav", RAMP / 32768, 16_000, subtype=subtype, format=kind)
    assert can_be_cropped(tmp_path / "a.wav") is usable


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_resampling_keeps_a_tone_and_averages_channels(rate):
    seconds, hertz = 1, 440
    tone = np.sin(2 * np.pi * hertz * np.arange(rate * seconds) / rate)
    resampled = to_mono_16k(np.stack([0.4 * tone, 0.2 * tone], axis=1), rate)
    expected = 0.3 * np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000)
    assert len(resampled) == -(-len(tone) * Fraction(16_000, rate) // 1)
    np.testing.assert_allclose(resampled[500:-500], expected[500:-500], atol=2e-3)


def test_tiling_repeats_from_the_first_sample():
    np.testing.assert_array_equal(tile_to(np.array([1, 2, 3]), 7), [1, 2, 3, 1, 2, 3, 1])
    long = np.arange(9)
    assert tile_to(long, 7) is long
