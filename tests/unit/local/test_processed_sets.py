"""Test sets in rooms, through codecs, clipped, from afar: keyed, sound, and what lhotse's own transforms make of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import lhotse
import numpy as np
import pytest
import soundfile

from local import hold_out_rooms, kinds
from local.check_options import problem
from local.kinds import kinds_of
from local.make_noisy_test import set_names
from local.noisy_sets import write_condition
from local.processed_sets import BAND
from sv.base.layout import parse_condition
from sv.data.audio import read_samples
from sv.data.manifests import CUTS, read_cuts, render
from sv.data.mixing import measure_snr_db, power, reverberate
from sv.kaldi.data_dir import validate_data_dir, write_data_dir
from sv.kaldi.scp import read_scp, read_utt2spk
from sv.results.rows import stamp_of

LENGTHS = {"a-1": 9_000, "a-2": 20_011, "b-1": 16_000}
SIZES = ("small", "medium", "large")
GOLDEN = Path(__file__).resolve().parents[2] / "golden/condition_audio.json"


def write_set(path: Path, audio: dict[str, np.ndarray], speakers: dict[str, str] | None = None) -> None:
    path.mkdir()
    for key, samples in audio.items():
        soundfile.write(path / f"{key}.wav", samples, 16_000)
    write_data_dir(
        path,
        wav_scp={key: str(path / f"{key}.wav") for key in audio},
        utt2spk=speakers or {key: key for key in audio},
        utt2dur={key: len(samples) / 16_000 for key, samples in audio.items()},
    )


@pytest.fixture
def data(tmp_path) -> Path:
    """A test set of three utterances, noise, and four rooms of each size with two responses each."""
    rng = np.random.default_rng(0)
    speech = {utt: 0.1 * rng.standard_normal(n).clip(-3, 3) for utt, n in LENGTHS.items()}
    write_set(tmp_path / "test", speech, {utt: utt[0] for utt in LENGTHS})
    (tmp_path / "test/trials").write_text("a-1 a-2 target\na-1 b-1 nontarget\n")
    write_set(tmp_path / "musan_noise_test", {"n": 0.05 * rng.standard_normal(30_000)})
    tail = np.exp(-np.arange(1_600) / 300)
    responses = {
        f"{size}room-Room{room:03d}-Room{room:03d}-{i:05d}": 0.2 * tail * rng.standard_normal(1_600) + 0.7 * (np.arange(1_600) == 9)
        for size in SIZES for room in range(4) for i in range(2)
    }  # fmt: skip
    write_set(tmp_path / "rirs", responses | {"RWCP_type1_rir_a": 0.5 * tail})
    hold_out_rooms.main([str(tmp_path)])
    return tmp_path


RENDER = """
import hashlib, json, sys
from pathlib import Path
from sv.data.manifests import iter_waveforms
from sv.kaldi.scp import read_utt2spk
found = {}
for path in map(Path, sys.argv[1:]):
    waveforms = iter_waveforms(path, read_utt2spk(path / "utt2spk"))
    found[path.name] = {utt: hashlib.sha256(samples.tobytes()).hexdigest()[:16] for utt, samples in waveforms}
print(json.dumps(found))
"""


LHOTSE = """
import sys, lhotse, numpy
numpy.savez(sys.argv[2], **{cut.id: cut.load_audio()[0] for cut in lhotse.CutSet.from_file(sys.argv[1])})
"""


def digests_of(data: Path, names: list[str], **env: str) -> dict[str, dict[str, str]]:
    """Hashes of the audio of sets by utterance, as a process of its own with these variables reads it."""
    command = [sys.executable, "-c", RENDER, *(str(data / name) for name in names)]
    return json.loads(subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=True).stdout)


def audio_of(data: Path, name: str) -> dict[str, np.ndarray]:
    write_condition(name, data / "test", data, seed=0)
    return {cut.id: render(cut) for cut in read_cuts(data / name)}


def test_rooms_are_held_out_whole_and_real_ones_stay_with_training(data) -> None:
    parts = {part: set(read_utt2spk(data / f"rirs_{part}/utt2spk")) for part in ("train", "test")}
    assert parts["train"] | parts["test"] == set(read_utt2spk(data / "rirs/utt2spk"))
    rooms = {part: {hold_out_rooms.room_of(utt) for utt in utts} for part, utts in parts.items()}
    assert not rooms["train"] & rooms["test"] and "RWCP_type1_rir_a" in parts["train"]
    for size in SIZES:
        assert all(any(room.startswith(size) for room in own) for own in rooms.values())


def test_one_room_of_a_size_is_not_held_out_and_one_of_two_is() -> None:
    assert hold_out_rooms.held_out({"smallroom-Room001"}) == set()
    assert all(len(hold_out_rooms.held_out({f"a{i}", f"b{i}"})) == 1 for i in range(40))
    share = len(hold_out_rooms.held_out({f"smallroom-Room{i:03d}" for i in range(200)})) / 200
    assert share == pytest.approx(0.25, abs=0.1)


def test_a_kind_is_its_conditions_and_each_name_is_parsed_again() -> None:
    names = set_names("test", "noise,reverb,codec,clip,far", "babble", "5", "street=/x")
    assert names == [
        "test-babble-snr5", "test-street-snr5", "test-reverb-small", "test-reverb-medium", "test-reverb-large", "test-codec-gsm",
        "test-codec-opus", "test-codec-mp3", "test-codec-vorbis", "test-codec-telephone", "test-clip", "test-far-babble-snr5",
        "test-far-street-snr5",
    ]  # fmt: skip
    kinds_found = ["babble", "street", *["reverb"] * 3, *["codec"] * 5, "clip", "far babble", "far street"]
    assert [parse_condition(name).kind for name in names] == kinds_found
    assert all(
        f"test-{parse_condition(name).name}" == name and parse_condition(name).test_set == "test" for name in names
    )
    assert set_names("test", "codec-gsm,reverb-large", "babble", "5") == ["test-codec-gsm", "test-reverb-large"]


@pytest.mark.parametrize(("text", "message"), [
    ("wind", "unknown kind 'wind'; known are noise, reverb, codec, clip, far, reverb-small"),
    ("codec-flac", "unknown kind 'codec-flac'"),
    ("codec,codec-gsm", "a condition appears twice"),
    ("noise,,far", "unknown kind"),
])  # fmt: skip
def test_a_kind_that_is_none_is_named(text, message) -> None:
    said = problem({"noises": "noise", "snrs": "5", "conditions": text})
    assert said.startswith("--conditions") and message in said and len(said.splitlines()) == 1


def test_a_codec_that_the_library_lacks_is_one_line(monkeypatch) -> None:
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"WAV": "", "OGG": ""})
    monkeypatch.setattr(soundfile, "available_subtypes", lambda container: {"VORBIS": ""} if container == "OGG" else {})
    assert kinds_of("codec-vorbis,codec-telephone") == ["codec-vorbis", "codec-telephone"]
    for codec, subtype in (("opus", "OPUS"), ("mp3", "MPEG_LAYER_III"), ("gsm", "GSM610")):
        with pytest.raises(
            ValueError, match=rf"codec-{codec} needs a libsndfile that encodes {subtype}, this is [\d.]+; "
        ):
            kinds_of(f"codec-{codec}")
    assert kinds.FORMATS.keys() < set(kinds.CODECS)


@pytest.mark.parametrize("name", set_names("test", "reverb,codec,clip,far", "noise", "5"))
def test_a_condition_is_a_sound_directory_and_depends_on_seed_and_utterance_alone(data, name) -> None:
    audio = audio_of(data, name)
    assert validate_data_dir(data / name) == [] and (data / name / "trials").exists()
    assert {utt: len(samples) for utt, samples in audio.items()} == LENGTHS
    again = {
        cut.id: cut.load_audio()[0] for cut in lhotse.CutSet.from_file(data / name / CUTS)
    }  # as lhotse alone reads it
    for utt, samples in audio.items():
        assert np.array_equal(samples, again[utt]) and not np.array_equal(
            samples, read_samples(data / "test" / f"{utt}.wav")
        )
    first = (data / name / "draws.tsv").read_text().splitlines()
    few = {utt: read_samples(data / "test" / f"{utt}.wav") for utt in ("a-2",)}
    (data / "test").rename(data / "all")
    write_set(data / "test", few, {"a-2": "a"})
    write_condition(name, data / "test", data, seed=0)
    assert (data / name / "draws.tsv").read_text().splitlines() == [first[0], first[2]]
    write_condition(name, data / "test", data, seed=1)
    drawn = not name.startswith("test-codec")
    assert drawn == ((data / name / "draws.tsv").read_text().splitlines()[1] != first[2]) or "reverb" in name


PROCESSORS = [  # one with AVX2 and no more, for numpy and for torch
    {"OMP_NUM_THREADS": "1", "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"},
    {"OMP_NUM_THREADS": "2", "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
]


@pytest.mark.parametrize("env", PROCESSORS, ids=["numpy", "torch"])
def test_audio_is_the_same_to_the_bit_by_any_number_of_threads_and_on_processors_from_avx2_on(data, env) -> None:
    names = set_names("test", "noise,reverb,codec,clip,far", "noise", "5")
    for name in names:
        write_condition(name, data / "test", data, seed=0)
    found, golden = digests_of(data, names, **env), json.loads(GOLDEN.read_text())
    # libopus and mpg123 choose their arithmetic by the processor: these two are held against this machine alone.
    here = {f"test-codec-{codec}" for codec in ("opus", "mp3")}
    assert found.keys() - here == golden.keys()
    assert {name: own for name, own in found.items() if name not in here} == golden
    assert found == digests_of(data, names)


def test_audio_depends_neither_on_the_order_nor_on_the_rest_of_the_set(data) -> None:
    names = set_names("test", "noise,reverb,codec,clip,far", "noise", "5")
    for name in names:
        write_condition(name, data / "test", data, seed=0)
    whole = digests_of(data, names)
    audio = {utt: read_samples(data / "test" / f"{utt}.wav") for utt in ("b-1", "a-1")}
    (data / "test").rename(data / "all")
    write_set(data / "test", audio, {utt: utt[0] for utt in audio})
    for name in reversed(names):
        write_condition(name, data / "test", data, seed=0)
    assert digests_of(data, names) == {name: {utt: own[utt] for utt in ("a-1", "b-1")} for name, own in whole.items()}


def test_lhotse_alone_reads_the_same_but_for_rounding(data) -> None:
    """Its rooms convolve by torch, the last bits of which depend on the number of threads."""
    ours, out = audio_of(data, "test-reverb-large"), data / "alone.npz"
    subprocess.run([sys.executable, "-c", LHOTSE, str(data / "test-reverb-large" / CUTS), str(out)], check=True)
    alone = np.load(out)
    for utt, samples in ours.items():
        np.testing.assert_allclose(samples, alone[utt], atol=1e-6)


CLIPPED = {"a-1": "13.941 dB", "a-2": "17.262 dB", "b-1": "10.863 dB"}  # by seed 0, before there were further draws


@pytest.mark.parametrize("name", ["test-reverb-small", "test-clip", "test-far-noise-snr5"])
def test_further_draws_of_a_condition_differ_from_the_first_and_each_other(data, name) -> None:
    def drawn(suffix: str) -> dict[str, str]:
        return dict(line.split("\t") for line in (data / f"{name}{suffix}/draws.tsv").read_text().splitlines()[1:])

    found = {}
    for suffix in ("", "-draw2", "-draw3", "-draw4", "-draw5"):
        audio = audio_of(data, name + suffix)
        assert {utt: len(samples) for utt, samples in audio.items()} == LENGTHS
        found[suffix] = drawn(suffix)
    different = {tuple(own.values()) for own in found.values()}
    assert len(different) == 5 or ("reverb" in name and len(different) > 1)  # few rooms are held out here
    if name == "test-clip":
        assert found[""] == CLIPPED
    for suffix in ("-draw2", ""):
        write_condition(name + suffix, data / "test", data, seed=0)
        assert drawn(suffix) == found[suffix]


def test_reverberation_is_ours_by_a_held_out_room_of_the_size(data) -> None:
    audio = audio_of(data, "test-reverb-medium")
    rooms = dict(line.split("\t") for line in (data / "test-reverb-medium/draws.tsv").read_text().splitlines()[1:])
    paths = read_scp(data / "rirs_test/wav.scp")
    for utt, room in rooms.items():
        assert room.startswith("mediumroom-")
        ours = reverberate(read_samples(data / "test" / f"{utt}.wav"), read_samples(paths[room]))
        np.testing.assert_allclose(audio[utt], ours, atol=2e-6)


def test_clipping_keeps_what_is_below_the_ceiling_and_flattens_the_rest(data) -> None:
    audio = audio_of(data, "test-clip")
    for line in (data / "test-clip/draws.tsv").read_text().splitlines()[1:]:
        utt, gain_db = line.split("\t")
        speech = read_samples(data / "test" / f"{utt}.wav")
        ceiling = np.abs(speech).max() / 10 ** (float(gain_db.removesuffix(" dB")) / 20)
        assert 10 <= float(gain_db.removesuffix(" dB")) <= 20
        np.testing.assert_allclose(audio[utt], speech.clip(-ceiling, ceiling), atol=1e-6)


def test_a_telephone_passes_its_band_alone(data) -> None:
    audio = audio_of(data, "test-codec-telephone")["a-2"]
    spectrum, clean = (np.abs(np.fft.rfft(x)) ** 2 for x in (audio, read_samples(data / "test/a-2.wav")))
    hertz = np.fft.rfftfreq(len(audio), 1 / 16_000)
    kept = {part: spectrum[mask].mean() / clean[mask].mean() for part, mask in {
        "below": hertz < BAND[0] - 100, "inside": (hertz > BAND[0] + 100) & (hertz < BAND[1] - 100), "above": hertz > 4_000,
    }.items()}  # fmt: skip
    assert kept["below"] < 0.02 * kept["inside"] and kept["above"] < 0.02 * kept["inside"]


def test_far_speech_is_quieter_reverberated_and_at_its_snr(data) -> None:
    audio = audio_of(data, "test-far-noise-snr5")
    paths = read_scp(data / "rirs_test/wav.scp")
    for line in (data / "test-far-noise-snr5/draws.tsv").read_text().splitlines()[1:]:
        utt, drawn = line.split("\t")
        room, level, *_ = drawn.split(", ")
        factor = float(level.removeprefix("level "))
        assert 0.1 <= factor <= 1
        wet = reverberate(factor * read_samples(data / "test" / f"{utt}.wav"), read_samples(paths[room]))
        assert measure_snr_db(wet, audio[utt]) == pytest.approx(5, abs=0.02)
        assert power(wet) == pytest.approx(factor**2 * power(read_samples(data / "test" / f"{utt}.wav")), rel=1e-3)


def test_no_room_of_a_size_is_one_line(data) -> None:
    rooms = data / "rirs_test"
    table = {key: path for key, path in read_scp(rooms / "wav.scp").items() if not key.startswith("large")}
    write_data_dir(rooms, wav_scp=table, utt2spk={key: key for key in table}, utt2dur=dict.fromkeys(table, 0.1))
    with pytest.raises(ValueError, match="rirs_test: no large room was held out"):
        write_condition("test-reverb-large", data / "test", data, seed=0)


def test_the_encoder_is_in_the_stamp(data, tmp_path) -> None:
    model = tmp_path / "model"
    (model / "checkpoints").mkdir(parents=True)
    (model / "checkpoints/best.pt").write_bytes(b"")
    (model / "config.json").write_text("{}")
    for name, encoder in (
        ("codec-opus", f"libsndfile {soundfile.__libsndfile_version__}, compression 0.99"),
        ("clip", "none"),
    ):
        write_condition(f"test-{name}", data / "test", data, seed=0)
        assert stamp_of(model, data / f"test-{name}", 0).encoder == encoder
