"""VoxCeleb2 beside a VoxCeleb1 that is prepared: only what depends on it is made, and nothing again where it is moved."""

import av
import numpy as np
import pytest

from sv.kaldi import read_table, read_utt2spk, validate_data_dir

SPEAKERS = [f"id000{number}" for number in range(12, 20)]


@pytest.fixture
def voxceleb2(tmp_path):
    """Eight speakers with two videos of one m4a each."""
    for number, speaker in enumerate(SPEAKERS):
        for video in ("21Uxsk56VDQ", "u7VNkYraCw0"):
            path = tmp_path / "vox2/dev/aac" / speaker / video / "00001.m4a"
            path.parent.mkdir(parents=True)
            samples = 0.1 * np.random.default_rng(number).standard_normal((1, 8192))
            with av.open(str(path), "w", format="mp4") as out:
                stream = out.add_stream("aac", rate=16_000, layout="mono")
                frame = av.AudioFrame.from_ndarray(samples.astype(np.float32), format="fltp", layout="mono")
                frame.sample_rate = 16_000
                for packet in [*stream.encode(frame), *stream.encode(None)]:
                    out.mux(packet)
    return tmp_path / "vox2"


def speakers_of(data_dir):
    return set(read_utt2spk(data_dir / "utt2spk").values())


def test_another_training_set_makes_what_depends_on_it_and_nothing_again(recipe, finish, voxceleb2, tmp_path):
    work = tmp_path / "work"
    until = ("--stop-stage", "1")
    code, output = finish(recipe(work, *until))
    assert code == 0, output
    code, output = finish(recipe(work, *until, "--voxceleb2", voxceleb2, "--train-set", "vox2"))
    assert code == 0, output
    for said in ("stage 0: prepare: up to date", "stage 0: musan: up to date", "stage 1: validate and cut: up to date"):
        assert said in output
    assert "8 speakers, the development set has 5994; is it unpacked in full?" in output
    data = work / "data"
    train, valid = (speakers_of(data / f"voxceleb2_{name}") for name in ("train", "valid"))
    assert (len(train), len(valid)) == (6, 2) and train | valid == set(SPEAKERS)
    moved = voxceleb2.rename(tmp_path / "elsewhere")
    code, output = finish(recipe(work, *until, "--voxceleb2", moved, "--train-set", "vox2"))
    assert code == 0 and "nothing to do: every stage from 0 to 1 is up to date" in output, output
    code, output = finish(recipe(work, *until, "--voxceleb2", moved, "--train-set", "vox1+vox2"))
    assert code == 0 and output.count(": done in") == 1, output
    assert "stage 1: training set vox1+vox2: it has not been completed yet" in output
    assert validate_data_dir(data / "voxceleb1+2_train") == []
    assert speakers_of(data / "voxceleb1+2_train") == speakers_of(data / "voxceleb1_train") | set(SPEAKERS)
    assert not speakers_of(data / "voxceleb1+2_train") & speakers_of(data / "voxceleb1_valid")
    code, output = finish(recipe(work, "--voxceleb2", moved, "--train-set", "vox2", "--dry-run"))
    assert code == 0 and "stage 4: train tiny_vox2: would run" in output, output
    assert ": features " in output and "-voxceleb2_valid: would run" in output
    tested, kaldi = min(speakers_of(data / "voxceleb1_test")), tmp_path / "kaldi"
    kaldi.mkdir()
    for name in ("wav.scp", "utt2spk"):
        table = read_table(data / "voxceleb1_test" / name)
        (kaldi / name).write_text("".join(f"{key} {value}\n" for key, value in table.items()))
    code, output = finish(recipe(work, *until, "--voxceleb2", kaldi, "--train-set", "vox2"))
    assert code == 1 and f"speakers of VoxCeleb1, e.g. {tested}, whose test set is among them" in output, output
