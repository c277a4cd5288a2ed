"""VoxCeleb2 in the layouts that people have it in, as distributed and converted, and folders that are none of them."""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from local import prepare_voxceleb2
from local.voxceleb2 import NUM_SPEAKERS, check_folder, find_layout, read_genders, refuse_others
from sv.data.corpus import CHUNK
from sv.kaldi import DataDirError, read_scp, read_table, read_utt2dur, read_utt2spk, validate_data_dir

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = "local/prepare_voxceleb2.py"
SPEAKERS = ("id00012", "id00015", "id09272")
FILES = [f"{speaker}/{video}/00001" for speaker in SPEAKERS for video in ("21Uxsk56VDQ", "u7VNkYraCw0")]


def write_m4a(path, seconds=0.512, seed=0):
    """AAC in an MP4, 16 kHz mono: 0.512 s are eight frames of 1,024 samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.random.default_rng(seed).standard_normal((1, round(seconds * 16_000)))
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples.astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)


@pytest.fixture
def make(tmp_path, speech):
    """make(place, suffix, files): recordings below a folder of the look-alike; returns its root."""

    def write(place="dev/aac", suffix=".m4a", files=FILES):
        for seed, name in enumerate(files):
            (write_m4a if suffix == ".m4a" else speech)(tmp_path / "VoxCeleb2" / place / f"{name}{suffix}", seed=seed)
        return tmp_path / "VoxCeleb2"

    return write


@pytest.fixture
def prepare(capsys):
    """prepare(root, data, max_bad=0.01): the program without a process of its own; returns what it printed."""

    def call(root, data, max_bad=0.01):
        prepare_voxceleb2.prepare(argparse.Namespace(root=root, data=data, nj=1, max_bad=max_bad))
        return "".join(capsys.readouterr())

    return call


def folders(root, place, names):
    for name in names:
        (root / place / name).mkdir(parents=True)


def test_m4a_as_distributed_is_decoded_into_a_folder_of_each_speaker(prepare, make, tmp_path):
    root = make()
    (root / "vox2_meta.csv").write_text(
        "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000012 ,m ,dev\nid09272 ,n009272 ,f ,dev\nid00017 ,n1 ,m ,test\n"
    )
    said = prepare(root, tmp_path / "data")
    out = tmp_path / "data/voxceleb2_dev"
    assert validate_data_dir(out) == []
    assert read_utt2spk(out / "utt2spk") == {name.replace("/", "-"): name[:7] for name in FILES}
    assert read_table(out / "spk2gender") == {"id00012": "m", "id09272": "f"}
    assert (out / "cuts.jsonl.gz").is_file()
    for utt, path in read_scp(out / "wav.scp").items():
        assert path == str(tmp_path / "data/converted/voxceleb2_dev" / utt[:7] / f"{utt}.wav")
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        assert info.frames == round(read_utt2dur(out / "utt2dur")[utt] * 16_000) >= 8 * 1024
    assert "6 .m4a in" in said and "6 converted to 16 kHz mono, 0 quarantined" in said
    assert "3 speakers, the development set has 5994; is it unpacked in full?" in said
    assert not list((tmp_path / "data/converted").glob("*.checked"))


@pytest.mark.parametrize("place", ["dev/wav", "wav", "dev", "", "dev/aac", "vox2_dev_wav/dev/aac"])
def test_wav_is_found_where_people_put_it_and_stays_there(prepare, make, tmp_path, place):
    root = make(place, ".wav")
    assert find_layout(root).folder == root / place
    if place == "wav":
        prepare(root, tmp_path / "data")
        paths = read_scp(tmp_path / "data/voxceleb2_dev/wav.scp")
        assert paths == {name.replace("/", "-"): str(root / place / f"{name}.wav") for name in FILES}


def test_wav_is_taken_beside_m4a_and_said(prepare, make, tmp_path):
    make("dev/aac", ".m4a", FILES[:2])
    root = make("wav", ".wav")
    assert f"{root}/wav is used, not dev/aac (1 speakers)" in prepare(root, tmp_path / "data")
    assert all(path.endswith(".wav") for path in read_scp(tmp_path / "data/voxceleb2_dev/wav.scp").values())


def test_wav_beside_m4a_in_one_folder_is_one_utterance_and_no_duplicate(prepare, make, tmp_path):
    make("dev/aac", ".m4a")
    root = make("dev/aac", ".wav", FILES[:4])  # a conversion in place that was not finished
    said = prepare(root, tmp_path / "data")
    assert "4 .wav, 2 .m4a in" in said and "2 converted to 16 kHz mono, 0 quarantined" in said
    assert len(read_scp(tmp_path / "data/voxceleb2_dev/wav.scp")) == 6


def test_dev_goes_before_what_the_archive_of_the_test_part_unpacks_to(make):
    make("aac", ".m4a", ["id00017/01dfn2spqyE/00001"])
    layout = find_layout(make("dev/aac", ".m4a"))
    assert layout.folder.parts[-2:] == ("dev", "aac") and layout.others == ("aac (1 speakers)",)


def test_bad_files_are_quarantined_up_to_the_limit(prepare, make, tmp_path):
    root = make()
    bad = root / "dev/aac" / f"{FILES[3]}.m4a"
    bad.write_bytes(bad.read_bytes()[:200])
    with pytest.raises(DataDirError, match=r"1 of 6 files are bad, more than --max-bad 0.01 allows"):
        prepare(root, tmp_path / "data")
    # Another limit decodes nothing again.
    assert "6 of 6 files were checked before" in prepare(root, tmp_path / "data", max_bad=0.2)
    assert (tmp_path / "data/voxceleb2_dev/quarantine.tsv").read_text().startswith(FILES[3].replace("/", "-"))
    assert len(read_scp(tmp_path / "data/voxceleb2_dev/wav.scp")) == 5


def test_what_changed_after_a_check_is_checked_again(prepare, make, tmp_path):
    root = make()
    bad = root / "dev/aac" / f"{FILES[5]}.m4a"
    bad.write_bytes(b"")
    with pytest.raises(DataDirError, match="1 of 6 files are bad"):
        prepare(root, tmp_path / "data")
    write_m4a(bad)
    next((tmp_path / "data/converted/voxceleb2_dev/id00012").iterdir()).unlink()
    os.utime(root / "dev/aac" / f"{FILES[2]}.m4a")
    said = prepare(root, tmp_path / "data")
    assert "3 of 6 files were checked before" in said and "6 converted to 16 kHz mono, 0 quarantined" in said
    assert validate_data_dir(tmp_path / "data/voxceleb2_dev") == []


def test_a_killed_preparation_goes_on_where_it_was(prepare, make, tmp_path):
    files = [f"id0{i:04d}/21Uxsk56VDQ/{j:05d}" for i in range(40) for j in range(5)]
    root, notes = make(files=files), tmp_path / "data/converted/voxceleb2_dev.checked"
    command = [sys.executable, ROOT / SCRIPT, "--nj", "1", root, tmp_path / "data"]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    killed = subprocess.Popen(command, env=env, start_new_session=True, stderr=subprocess.DEVNULL)
    while killed.poll() is None and (not notes.exists() or notes.read_bytes().count(b"\n") <= CHUNK):
        time.sleep(0.002)
    os.killpg(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL, "it had ended before"
    there = {path: path.stat().st_ino for path in (tmp_path / "data/converted").rglob("*.wav")}
    assert len(there) >= CHUNK and not (tmp_path / "data/voxceleb2_dev").exists()
    for path in there:
        assert path.stat().st_size == 44 + 2 * soundfile.info(path).frames
    num_noted = notes.read_bytes().count(b"\n") - 1  # of the first line
    assert f"{num_noted} of 200 files were checked before" in prepare(root, tmp_path / "data")
    assert sum(path.stat().st_ino == inode for path, inode in there.items()) >= num_noted
    prepare(root, tmp_path / "whole")
    for name in ("utt2dur", "utt2spk", "reco2digest", "quarantine.tsv"):
        first, second = ((tmp_path / data / "voxceleb2_dev" / name).read_bytes() for data in ("data", "whole"))
        assert first == second
    for path in (tmp_path / "whole/converted").rglob("*.wav"):
        assert path.read_bytes() == Path(str(path).replace("/whole/", "/data/")).read_bytes()


def test_a_kaldi_data_directory_stands_in_for_it(prepare, make, tmp_path):
    prepare(make("wav", ".wav"), tmp_path / "one")
    assert f"6 utterances of the Kaldi data directory {tmp_path}/one/voxceleb2_dev" in prepare(
        tmp_path / "one", tmp_path / "two"
    )
    table = tmp_path / "one/voxceleb2_dev/utt2spk"
    table.write_text(table.read_text().replace(" id09272", " id10270"))
    with pytest.raises(DataDirError, match=r"1 speakers of VoxCeleb1, e.g. id10270"):
        prepare(tmp_path / "one", tmp_path / "three")


def nothing(root):
    root.mkdir()


def parts(root):
    root.mkdir()
    for letter in "abc":
        (root / f"vox2_dev_aac_parta{letter}").touch()


def whole_archive(root):
    (root / "dev").mkdir(parents=True)
    (root / "vox2_aac.zip").touch()


def no_audio(root):
    folders(root, "dev/aac", SPEAKERS)
    (root / "dev/aac/id00012/notes.txt").touch()


def test_part_alone(root):
    folders(root, "test/aac", ["id00017"])


def videos(root):
    folders(root, "dev/mp4", SPEAKERS)


def one_folder_up(root):
    folders(root, "mine/dev/aac", SPEAKERS)


def voxceleb1(root):
    folders(root, "wav", ["id10001/a", "id10270/a"])
    (root / "wav/id10001/a/00001.wav").touch()


def both_corpora(root):
    folders(root, "wav", ["id00012/a", "id10270/a"])
    (root / "wav/id00012/a/00001.wav").touch()


def both_parts_by_the_table(root):
    folders(root, "aac", ["id00012/a", "id00017/a"])
    (root / "aac/id00012/a/00001.m4a").touch()
    (root / "vox2_meta.csv").write_text("VoxCeleb2 ID\tVGGFace2 ID\tGender\tSet\nid00017\tn000017\tm\ttest\n")


test_part_alone.__test__ = False


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            nothing,
            ": no folders of speakers (id00012 and so on) in dev/aac, dev/wav, aac, wav or itself; is this VoxCeleb2?",
        ),
        (parts, ": 3 of 8 parts of an archive, not joined and unpacked: cat vox2_dev_aac_part* > vox2_aac.zip; unzip"),
        (whole_archive, ": vox2_aac.zip is not unpacked: there are no folders of speakers"),
        (no_audio, "/dev/aac: 3 folders of speakers without audio (.wav, .flac, .m4a); unpack it again"),
        (test_part_alone, ": only VoxCeleb2's test part is here; its development set, dev/aac, is for training"),
        (videos, ": the videos alone are here (mp4)"),
        (one_folder_up, "/mine?"),
        (voxceleb1, "/wav: 2 speakers of VoxCeleb1, e.g. id10001, whose test set is among them"),
        (both_corpora, "/wav: 1 speakers of VoxCeleb1, e.g. id10270, whose test set is among them"),
        (both_parts_by_the_table, "/aac: 1 speakers of VoxCeleb2's test part, e.g. id00017, by vox2_meta.csv"),
    ],
)
def test_a_folder_that_cannot_be_trained_on_is_refused_in_a_line(tmp_path, fault, message):
    fault(tmp_path / "root")
    with pytest.raises(DataDirError) as error:
        check_folder(tmp_path / "root")
    assert str(error.value).startswith(f"{tmp_path}/root") and message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_more_speakers_than_dev_has_are_those_of_both_parts():
    speakers = [f"id0{number:04d}" for number in range(NUM_SPEAKERS + 118)]
    refuse_others(Path("dev/aac"), speakers[:NUM_SPEAKERS], set())
    with pytest.raises(
        DataDirError, match=r"^dev/aac: 6112 speakers, more than the 5994 of dev, so VoxCeleb2's test part"
    ):
        refuse_others(Path("dev/aac"), speakers, set())


def test_the_program_says_it_in_a_line_and_writes_nothing(run, tmp_path):
    parts(tmp_path / "root")
    done = run(SCRIPT, tmp_path / "root", tmp_path / "data")
    assert done.returncode == 1 and not (tmp_path / "data").exists()
    assert (
        done.stderr.startswith(f"prepare_voxceleb2.py: {tmp_path}/root: 3 of 8 parts") and done.stderr.count("\n") == 1
    )


def test_speakers_without_audio_are_warned_of(prepare, make, tmp_path):
    root = make("wav", ".wav")
    folders(root, "wav", ["id00020/aaaaaaaaaaa", "id00021"])
    said = prepare(root, tmp_path / "data")
    assert "2 folders of speakers without audio, e.g. id00020" in said
    assert "voxceleb2_dev: 3 speakers, the development set has 5994" in said


def test_a_file_at_another_depth_and_odd_tables_are_named(prepare, make, speech, tmp_path):
    root = make("wav", ".wav", FILES[:2])
    speech(root / "wav/id00012/00001.wav")
    with pytest.raises(DataDirError) as error:
        prepare(root, tmp_path / "data")
    assert str(error.value) == f"{root}/wav/id00012/00001.wav: expected {root}/wav/<speaker>/<video>/<file>"
    (root / "vox2_meta.csv").write_text("a,b\n")
    with pytest.raises(DataDirError, match=r"vox2_meta.csv:1: expected columns 'VoxCeleb2 ID', 'Gender' and 'Set'"):
        read_genders(root)
    (root / "vox2_meta.csv").write_text("VoxCeleb2 ID,Gender,Set\nid00012,m\n")
    with pytest.raises(DataDirError, match=r"vox2_meta.csv:2: expected 3 columns, got 2"):
        read_genders(root)
