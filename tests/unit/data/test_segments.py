"""A data directory with segments is the one whose utterances were cut into files beforehand."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sv.data.audio import BadAudio
from sv.data.augment import AugmentConfig, NoiseLibrary
from sv.data.dataset import TrainingSet
from sv.data.importing import import_data_dir
from sv.data.index import UtteranceIndex
from sv.data.manifests import CUTS, cut_of, iter_waveforms, read_cuts, render, write_manifests
from sv.data.sampler import Item
from sv.data.utterances import read_utterances
from sv.kaldi import DataDirError, read_scp, read_utt2dur, validate_data_dir, write_table
from sv.kaldi.data_dir import subset_data_dir

CUT_TIMES = {"a-1": ("long-x", 0.25, 1.5), "a-2": ("long-x", 1.5, 2.75), "b-1": ("long-y", 0.0, 2.0)}
SPEAKERS = {utt: utt[0] for utt in CUT_TIMES}


@pytest.fixture
def recordings(noise):
    return {"long-x": noise(1, 48_000), "long-y": noise(2, 40_000)}


@pytest.fixture
def with_segments(tmp_path, make_set, recordings):
    path = make_set("long", recordings)
    write_table(path / "segments", {utt: f"{reco} {start:g} {end:g}" for utt, (reco, start, end) in CUT_TIMES.items()})
    write_table(path / "utt2spk", SPEAKERS)
    write_table(path / "spk2utt", {"a": "a-1 a-2", "b": "b-1"})
    write_table(path / "utt2dur", {utt: f"{end - start:g}" for utt, (_, start, end) in CUT_TIMES.items()})
    return path


@pytest.fixture
def cut_out(make_set, recordings):
    audio = {
        utt: recordings[name][round(start * 16_000) : round(end * 16_000)]
        for utt, (name, start, end) in CUT_TIMES.items()
    }
    return make_set("cut", audio, SPEAKERS)


def test_waveforms_are_those_of_the_files_cut_out(with_segments, cut_out):
    assert validate_data_dir(with_segments) == []
    found, expected = (dict(iter_waveforms(path, list(CUT_TIMES))) for path in (with_segments, cut_out))
    assert list(found) == list(CUT_TIMES)
    for utt, samples in expected.items():
        np.testing.assert_array_equal(found[utt], samples)


def test_a_pipe_runs_once_for_the_segments_of_its_recording(with_segments, cut_out, tmp_path):
    commands = {
        key: f"echo {key} >> {tmp_path}/ran; cat {file} |" for key, file in read_scp(with_segments / "wav.scp").items()
    }
    write_table(with_segments / "wav.scp", commands)
    with pytest.raises(DataDirError, match="--allow-pipes"):
        list(iter_waveforms(with_segments, ["a-1"]))
    found = dict(iter_waveforms(with_segments, list(CUT_TIMES), allow_pipes=True))
    assert (tmp_path / "ran").read_text() == "long-x\nlong-y\n"
    for utt, samples in iter_waveforms(cut_out, list(CUT_TIMES)):
        np.testing.assert_array_equal(found[utt], samples)


@pytest.mark.parametrize("speed", [1.0, 0.9])
def test_training_draws_the_same_crops_and_lhotse_renders_them(with_segments, cut_out, speed):
    config = AugmentConfig(noise_prob=0.0, reverb_prob=0.0, speeds=(speed,))
    whole, parts = (
        TrainingSet(UtteranceIndex(path), 8_000, config, NoiseLibrary({}), seed=3) for path in (cut_out, with_segments)
    )
    for row in range(3):
        item = Item(utterance=row, epoch=1, view=0, augment=False)
        np.testing.assert_array_equal(parts[item][0], whole[item][0])
        np.testing.assert_allclose(render(parts.to_cut(item)), parts[item][0], atol=1e-5)


def test_noise_is_read_from_segments_too(with_segments, cut_out):
    whole, parts = (NoiseLibrary({"noise": path}) for path in (cut_out, with_segments))
    pieces = [library.draw_noise(np.random.default_rng(0), "noise", 30_000) for library in (whole, parts)]
    assert pieces[0] == pieces[1]
    np.testing.assert_array_equal(*(one.sum_of("noise", pieces[0], 30_000) for one in (whole, parts)))
    rendered = [parts.noises["noise"].cut(piece.recording, piece.start, piece.num_samples) for piece in pieces[1]]
    expected = [whole.noises["noise"].read(piece.recording, piece.start, piece.num_samples) for piece in pieces[0]]
    for cut, samples in zip(rendered, expected, strict=True):
        np.testing.assert_array_equal(cut.load_audio()[0], samples)
    with pytest.raises(DataDirError, match="impulse responses are whole files"):
        NoiseLibrary({}, with_segments)


def test_manifests_point_into_the_recordings(with_segments, cut_out):
    write_manifests(with_segments)
    cuts = {cut.id: cut for cut in read_cuts(with_segments)}
    assert {cut.recording.id for cut in cuts.values()} == {"long-x", "long-y"}
    for utt, samples in iter_waveforms(cut_out, list(CUT_TIMES)):
        np.testing.assert_array_equal(render(cuts[utt]), samples)


def test_manifests_are_what_lhotse_writes(with_segments):
    write_manifests(with_segments)
    utterances = read_utterances(with_segments)
    cuts = [cut_of(utt, utt[0], utterances[utt]) for utt in CUT_TIMES]
    own = [cut.supervisions[0].with_offset(cut.start) for cut in cuts]
    for name, expected in ((CUTS, cuts), ("supervisions.jsonl.gz", own)):
        assert gzip.decompress((with_segments / name).read_bytes()).decode() == "".join(
            f"{json.dumps(one.to_dict())}\n" for one in expected
        )


def test_a_subset_keeps_its_segments_and_their_recordings(with_segments, tmp_path):
    subset_data_dir(with_segments, tmp_path / "one", ["b-1"])
    assert validate_data_dir(tmp_path / "one") == []
    assert list(read_scp(tmp_path / "one/wav.scp")) == ["long-y"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("b-1 long-z 0 1", r"segments:3: recording 'long-z'.* is not in wav\.scp"),
        ("b-1 long-y 2 1", r"segments:3: .*0 <= start < end, got 2 and 1"),
        ("b-1 long-y 0 -1", r"segments:3: .*import_data_dir\.py writes the seconds"),
        ("b-1 long-y 0", r"segments:3: .*expected '<utterance> <recording> <start> <end>'"),
        ("b-1 long-y 0 1 1", r"segments:3: .*of one channel"),
    ],
)
def test_bad_lines_are_named(with_segments, line, message):
    lines = (with_segments / "segments").read_text().splitlines()
    (with_segments / "segments").write_text("\n".join([*lines[:2], line]) + "\n")
    with pytest.raises(DataDirError, match=message):
        UtteranceIndex(with_segments)
    assert len(validate_data_dir(with_segments)) >= 1


def test_a_segment_beyond_its_recording(with_segments):
    text = (with_segments / "segments").read_text()
    (with_segments / "segments").write_text(text.replace("long-y 0 2", "long-y 0 3"))
    assert "'b-1' lasts 3 s, by utt2dur 2 s" in validate_data_dir(with_segments)[0]
    with pytest.raises(BadAudio, match="wanted samples 0 to 48000, the file ends at 40000"):
        list(iter_waveforms(with_segments, ["b-1"]))


def test_a_foreign_directory_is_imported(with_segments, cut_out, tmp_path):
    foreign, out = tmp_path / "foreign", tmp_path / "data/mine"
    shutil.copytree(with_segments, foreign)
    (foreign / "utt2dur").unlink()
    samples, _ = soundfile.read(foreign / "long-y.wav", dtype="int16")
    soundfile.write(foreign / "stereo.flac", np.stack([samples, samples], axis=1), 16_000)
    (foreign / "bad.wav").write_bytes(b"RIFF")
    write_table(
        foreign / "wav.scp",
        {
            "long-x": str(foreign / "long-x.wav"),
            "long-y": f"cat {foreign}/stereo.flac |",
            "z": str(foreign / "bad.wav"),
        },
    )
    text = (foreign / "segments").read_text().replace("long-y 0 2", "long-y 0 -1")
    (foreign / "segments").write_text(text + "b-2 long-y 0 2.9\nb-3 z 0 1\nb-4 long-y 1 9\n")
    for utt in ("b-2", "b-3", "b-4"):
        (foreign / "utt2spk").write_text((foreign / "utt2spk").read_text() + f"{utt} b\n")
    (foreign / "trials").write_text("a-1 a-2 target\na-1 b-1 nontarget\na-1 b-3 nontarget\n")
    with pytest.raises(DataDirError, match="--allow-pipes"):
        import_data_dir(foreign, out)
    with pytest.raises(DataDirError, match="2 of 6 files are bad, more than --max-bad"):
        import_data_dir(foreign, out, allow_pipes=True)
    assert import_data_dir(foreign, out, allow_pipes=True, max_bad=0.5) == 4
    assert validate_data_dir(out) == []
    assert read_utt2dur(out / "utt2dur") == {"a-1": 1.25, "a-2": 1.25, "b-1": 2.5, "b-2": 2.5}
    assert [line.split("\t")[0] for line in (out / "quarantine.tsv").read_text().splitlines()] == ["b-3", "b-4"]
    assert (out / "trials").read_text() == "a-1 a-2 target\na-1 b-1 nontarget\n"
    assert (out / "trials.dropped").read_text() == "a-1 b-3\n"
    found = dict(iter_waveforms(out, ["a-2", "b-1"]))
    expected = dict(iter_waveforms(cut_out, ["a-2", "b-1"]))
    np.testing.assert_array_equal(found["a-2"], expected["a-2"])
    np.testing.assert_allclose(found["b-1"][:32_000], expected["b-1"], atol=2 / 32768)
    assert {cut.id: cut.num_samples for cut in read_cuts(out)} == {
        "a-1": 20_000,
        "a-2": 20_000,
        "b-1": 40_000,
        "b-2": 40_000,
    }
    assert (out / CUTS).exists()


def test_a_foreign_directory_without_segments(cut_out, tmp_path):
    (cut_out / "utt2dur").unlink()
    with pytest.raises(DataDirError, match=r"there is no utt2dur; local/import_data_dir\.py makes it"):
        list(iter_waveforms(cut_out, ["a-1"]))
    write_table(tmp_path / "mine/trials", {"a-1": "gone target"})
    assert import_data_dir(cut_out, tmp_path / "mine") == 3
    assert not (tmp_path / "mine/trials").exists()
    assert validate_data_dir(tmp_path / "mine") == []
    assert read_scp(tmp_path / "mine/wav.scp") == read_scp(cut_out / "wav.scp")


def two_channels(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Write a foreign directory with one stereo recording, in segments of either channel; return the channels."""
    folder.mkdir()
    left, right = (np.round(8000 * np.sin(np.arange(32_000) / step)).astype(np.int16) for step in (7, 11))
    soundfile.write(folder / "call.wav", np.stack([left, right], axis=1), 16_000)
    write_table(folder / "wav.scp", {"call": str(folder / "call.wav")})
    write_table(folder / "segments", {"a-1": "call 0 1 0", "b-1": "call 0.5 1.5 1", "b-2": "call 1 -1.0 1"})
    write_table(folder / "utt2spk", {"a-1": "a", "b-1": "b", "b-2": "b"})
    return left, right


def test_channels_of_segments_are_taken_as_they_are_named(tmp_path):
    left, right = two_channels(tmp_path / "foreign")
    assert import_data_dir(tmp_path / "foreign", tmp_path / "data/mine") == 3
    assert validate_data_dir(tmp_path / "data/mine") == []
    found = dict(iter_waveforms(tmp_path / "data/mine", ["a-1", "b-1", "b-2"]))
    for utt, expected in (("a-1", left[:16_000]), ("b-1", right[8000:24_000]), ("b-2", right[16_000:])):
        np.testing.assert_allclose(found[utt], expected / 32768, atol=1 / 32768)


def test_trials_of_unknown_utterances_are_refused_before_anything_is_written(tmp_path):
    two_channels(tmp_path / "foreign")
    (tmp_path / "foreign/trials").write_text("a-1 b-1 nontarget\na-1 gone target\n")
    with pytest.raises(DataDirError, match=r"trials:2: the trial names 'gone', which is not in .*/utt2spk"):
        import_data_dir(tmp_path / "foreign", tmp_path / "data/mine")
    assert not (tmp_path / "data").exists()


def test_ids_that_are_paths_are_refused(tmp_path):
    two_channels(tmp_path / "foreign")
    before = (tmp_path / "foreign/call.wav").read_bytes()
    for name in ("wav.scp", "segments"):
        text = (tmp_path / "foreign" / name).read_text()
        (tmp_path / "foreign" / name).write_text(text.replace("call ", f"{tmp_path}/foreign/call ", 3))
    with pytest.raises(DataDirError, match="is a path, not an id"):
        import_data_dir(tmp_path / "foreign", tmp_path / "data/mine")
    assert (tmp_path / "foreign/call.wav").read_bytes() == before


def test_ids_that_kaldi_would_not_take_are_refused(tmp_path):
    two_channels(tmp_path / "foreign")
    for name in ("segments", "utt2spk"):
        text = (tmp_path / "foreign" / name).read_text()
        for old, new in (("a-1", "1_1"), ("b-1", "13_1"), ("b-2", "13_2"), (" a", " 1"), (" b", " 13")):
            text = text.replace(old, new)
        (tmp_path / "foreign" / name).write_text(text)
    with pytest.raises(
        DataDirError, match=r"utt2spk:3: not sorted by speaker, .* '1_1' of '1' after '13_2' of '13'; begin"
    ):
        import_data_dir(tmp_path / "foreign", tmp_path / "data/mine")
    assert not (tmp_path / "data").exists()
