import struct

import av
import numpy as np
import pytest
import soundfile

from local.prepare_voxceleb1 import read_genders, read_official_trials
from sv.kaldi import DataDirError, read_scp, read_trials, read_utt2dur, validate_data_dir

SCRIPT = "local/prepare_voxceleb1.py"


def test_both_sets_are_valid_and_complete(run, voxceleb1, tmp_path):
    done = run(SCRIPT, voxceleb1, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    for name in ("voxceleb1_dev", "voxceleb1_test"):
        assert validate_data_dir(tmp_path / "data" / name) == []
        assert (tmp_path / "data" / name / "quarantine.tsv").read_text() == ""
        for manifest in ("recordings", "supervisions", "cuts"):
            assert (tmp_path / "data" / name / f"{manifest}.jsonl.gz").exists()
    assert read_utt2dur(tmp_path / "data/voxceleb1_dev/utt2dur")["id20001-bbbbbbbbbbb-00001"] == 0.6
    trials = read_trials(tmp_path / "data/voxceleb1_test/trials")
    assert trials.is_target.tolist() == [True, False]
    assert trials.test == ["id10001-bbbbbbbbbbb-00001", "id10002-bbbbbbbbbbb-00001"]
    assert (tmp_path / "data/voxceleb1_dev/spk2gender").read_text() == "id20002 f\n"


def test_the_merged_layout_gives_the_same_sets(run, voxceleb1, tmp_path):
    assert run(SCRIPT, voxceleb1, tmp_path / "a").returncode == 0
    merged = tmp_path / "merged"
    merged.mkdir()
    for split in ("dev", "test"):
        (voxceleb1 / split / "wav").rename(tmp_path / split)
        for speaker in (tmp_path / split).iterdir():
            (merged / "wav").mkdir(exist_ok=True)
            speaker.rename(merged / "wav" / speaker.name)
    for name in ("veri_test2.txt", "vox1_meta.csv"):
        (voxceleb1 / name).rename(merged / name)
    assert run(SCRIPT, merged, tmp_path / "b").returncode == 0
    for table in ("voxceleb1_dev/utt2spk", "voxceleb1_test/utt2spk", "voxceleb1_test/trials"):
        assert (tmp_path / "a" / table).read_text() == (tmp_path / "b" / table).read_text()


def test_the_number_of_jobs_does_not_matter(run, voxceleb1, tmp_path):
    for nj, out in ((1, "data"), (3, "data3")):
        assert run(SCRIPT, "--nj", nj, voxceleb1, tmp_path / out).returncode == 0
    files = sorted(path.relative_to(tmp_path / "data") for path in (tmp_path / "data").rglob("*") if path.is_file())
    assert len(files) > 15
    for path in files:
        assert (tmp_path / "data" / path).read_bytes() == (tmp_path / "data3" / path).read_bytes(), path


def truncate(path):
    path.write_bytes(path.read_bytes()[:-400])


def empty(path):
    path.write_bytes(b"")


def no_samples(path):
    soundfile.write(path, np.zeros(0), 16_000)


def not_a_number(path):
    soundfile.write(path, np.r_[np.ones(100), np.nan], 16_000, subtype="FLOAT")


def silent(path):
    soundfile.write(path, np.zeros(800), 16_000)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "truncated: the header promises"),
        (empty, "unreadable"),
        (no_samples, "empty: no samples"),
        (not_a_number, "NaN or infinite samples"),
        (silent, "silent: every sample is zero"),
    ],
)
def test_a_bad_recording_is_quarantined_with_the_reason(run, voxceleb1, tmp_path, damage, reason):
    bad = voxceleb1 / "test/wav/id10002/bbbbbbbbbbb/00001.wav"
    damage(bad)
    done = run(SCRIPT, "--max-bad", 0.3, voxceleb1, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    line = (tmp_path / "data/voxceleb1_test/quarantine.tsv").read_text()
    assert line.startswith(f"id10002-bbbbbbbbbbb-00001\t{bad}\t{reason}")
    assert len(read_trials(tmp_path / "data/voxceleb1_test/trials")) == 1
    assert "1 dropped with quarantined utterances" in done.stdout


def test_too_many_bad_recordings_stop_the_stage(run, voxceleb1, tmp_path):
    empty(voxceleb1 / "test/wav/id10002/bbbbbbbbbbb/00001.wav")
    done = run(SCRIPT, voxceleb1, tmp_path / "data")
    assert done.returncode == 1
    assert "voxceleb1_test: 1 of 4 files are bad, more than --max-bad 0.01 allows" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in (tmp_path / "data/voxceleb1_test").iterdir()] == ["quarantine.tsv"]


def test_other_rates_and_channels_are_converted_and_counted(run, voxceleb1, speech, tmp_path):
    speech(voxceleb1 / "dev/wav/id20001/aaaaaaaaaaa/00001.wav", 1.0, rate=44_100)
    speech(voxceleb1 / "dev/wav/id20002/aaaaaaaaaaa/00001.wav", 1.0, channels=2)
    done = run(SCRIPT, voxceleb1, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert "voxceleb1_dev: 4 utterances, 2 converted to 16 kHz mono, 0 quarantined" in done.stderr
    path = read_scp(tmp_path / "data/voxceleb1_dev/wav.scp")["id20001-aaaaaaaaaaa-00001"]
    assert path == str(tmp_path / "data/converted/voxceleb1_dev/id20001-aaaaaaaaaaa-00001.wav")
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.frames) == (16_000, 1, 16_000)


def test_flac_is_read_and_m4a_converted(run, voxceleb1, tmp_path):
    flac = voxceleb1 / "dev/wav/id20001/aaaaaaaaaaa/00002.flac"
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    soundfile.write(flac, tone, 16_000)
    m4a = voxceleb1 / "dev/wav/id20001/aaaaaaaaaaa/00003.m4a"
    with av.open(str(m4a), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    done = run(SCRIPT, voxceleb1, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    paths = read_scp(tmp_path / "data/voxceleb1_dev/wav.scp")
    assert paths["id20001-aaaaaaaaaaa-00002"] == str(flac)
    decoded, _ = soundfile.read(paths["id20001-aaaaaaaaaaa-00003"])
    spectrum = np.abs(np.fft.rfft(decoded[2000:14_000]))
    assert np.argmax(spectrum) / len(decoded[2000:14_000]) * 16_000 == pytest.approx(440, abs=2)


def test_a_second_file_of_one_utterance_is_quarantined(run, voxceleb1, speech, tmp_path):
    speech(voxceleb1 / "dev/wav/id20001/aaaaaaaaaaa/00001.flac")
    done = run(SCRIPT, "--max-bad", 0.5, voxceleb1, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    line = (tmp_path / "data/voxceleb1_dev/quarantine.tsv").read_text()
    assert line.startswith("id20001-aaaaaaaaaaa-00001\t")
    assert "00001.wav\tduplicate utterance id, first at" in line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "1 id10001/aaaaaaaaaaa/00001.wav id10001/ccccccccccc/00001.wav",
            "veri_test2.txt:3: the trial names id10001-ccccccccccc-00001",
        ),
        ("2 a/b/c.wav a/b/d.wav", "veri_test2.txt:3: expected '1|0 speaker/video/file speaker/video/file'"),
        ("1 a/b/c.wav", "veri_test2.txt:3: expected"),
    ],
)
def test_a_bad_trial_is_named_by_line(run, voxceleb1, tmp_path, line, message):
    with (voxceleb1 / "veri_test2.txt").open("a") as file:
        file.write(line + "\n")
    done = run(SCRIPT, voxceleb1, tmp_path / "data")
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data/voxceleb1_dev").exists()


def test_a_folder_that_is_not_voxceleb1_is_refused(run, voxceleb1, tmp_path):
    (voxceleb1 / "dev").rename(voxceleb1 / "other")
    done = run(SCRIPT, voxceleb1, tmp_path / "data")
    assert done.returncode == 1
    assert "found neither dev/wav and test/wav, nor wav; is this VoxCeleb1, unpacked?" in done.stderr
    (voxceleb1 / "veri_test2.txt").unlink()
    assert "no trial list; looked for" in run(SCRIPT, voxceleb1, tmp_path / "data").stderr


def test_the_corpus_is_only_read(run, voxceleb1, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in voxceleb1.rglob("*")}
    assert run(SCRIPT, voxceleb1, tmp_path / "data").returncode == 0
    assert before == {path: path.stat().st_mtime_ns for path in voxceleb1.rglob("*")}


def test_a_header_with_other_chunks_before_the_data_is_no_truncation(run, voxceleb1, tmp_path):
    path = voxceleb1 / "dev/wav/id20001/aaaaaaaaaaa/00001.wav"
    data = path.read_bytes()
    extra = b"LIST" + struct.pack("<I", 4) + b"INFO"
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8 + len(extra)) + data[8:36] + extra + data[36:])
    assert run(SCRIPT, voxceleb1, tmp_path / "data").returncode == 0
    assert (tmp_path / "data/voxceleb1_dev/quarantine.tsv").read_text() == ""


def test_a_kaldi_test_directory_without_trials_is_refused_before_anything_is_written(run, voxceleb1, tmp_path):
    assert run(SCRIPT, voxceleb1, tmp_path / "data").returncode == 0
    (tmp_path / "data/voxceleb1_test/trials").unlink()
    done = run(SCRIPT, tmp_path / "data", tmp_path / "mine")
    assert done.returncode == 1
    assert f"{tmp_path}/data/voxceleb1_test: there is no trials" in done.stderr
    assert not (tmp_path / "mine").exists()


def test_frames_of_the_tables_are_nothing_and_odd_lines_are_named(tmp_path):
    header = "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality (class)\tSet\r\n"
    row = "id10001\tA.J._Buckley\tm\tIreland\tdev\r\n"
    (tmp_path / "vox1_meta.csv").write_bytes(f"\ufeff{header}{row}\r\n".encode())
    assert read_genders(tmp_path) == {"id10001": "m"}
    (tmp_path / "vox1_meta.csv").write_text(header + row + "id10002\tx\n")
    with pytest.raises(DataDirError, match=r"vox1_meta.csv:3: expected 5 tab-separated columns, got 2"):
        read_genders(tmp_path)
    (tmp_path / "veri_test2.txt").write_bytes(b"\xef\xbb\xbf1 id1/a/1.wav id1/b/2.wav\r\n\r\n")
    assert read_official_trials(tmp_path / "veri_test2.txt") == [(True, "id1-a-1", "id1-b-2")]
