"""The recipe for a corpus of one's own, from a folder of speakers and a folder of noise to its report."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sv.base.files import sha256_of
from sv.kaldi import read_trials, read_utt2spk
from sv.system.folder import read_system

ROOT = Path(__file__).resolve().parents[2]
ADAPTATION = """
[loss]
type = "adapt_full"
held_out = [["street", 0.0]]
[augment]
noises = ["street"]
[batches]
type = "shuffled"
batch_size = 4
[train]
num_epochs = 1
crop_samples = 8000
num_workers = 0
"""


def voice(path, pitch, seed, rate=16_000):
    """Write 1.2 s of a buzz with a pitch, in noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time, rng = np.arange(int(1.2 * rate)) / rate, np.random.default_rng(seed)
    buzz = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 8))
    soundfile.write(path, 0.1 * buzz + 0.02 * rng.standard_normal(len(time)), rate)


@pytest.fixture
def work(tmp_path):
    """Eight speakers of two sessions and two rates; noise of one's own; a system that trains with it in seconds."""
    for number in range(8):
        for session, rate in (("may", 16_000), ("june", 44_100)):
            for part in range(2):
                path = tmp_path / f"my calls/speaker {number}/{session}/{part}.wav"
                voice(path, 90 + 25 * number, 10 * number + part, rate)
    for number in range(4):
        voice(tmp_path / f"street/{number}.wav", 400, 100 + number)
    tiny = (ROOT / "tests/system/tiny.toml").read_text()
    (tmp_path / "tiny.toml").write_text(f'{tiny}\n[augment]\nnoises = ["street"]\nreverb_prob = 0.0\n')
    return tmp_path


def run(work, *options):
    folders = ["--data", work / "data", "--exp", work / "exp", "--nj", "2", "--num-gpus", "0"]
    noise = ["--noise", f"street={work}/street", "--snrs", "0", "--corpora", work]
    command = [ROOT / "egs/own/run.sh", *folders, *noise, *options]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=env, timeout=500)
    return done.returncode, done.stdout + done.stderr


def test_a_folder_of_speakers_trains_a_system_and_then_tests_it_alone(work):
    train = ["--corpus", work / "my calls", "--config", work / "tiny.toml", "--num-test", 2, "--valid-fraction", 0.3]
    code, output = run(work, *train)
    assert code == 0, output
    data = work / "data"
    speakers = {
        part: set(read_utt2spk(data / f"my_calls_{part}/utt2spk").values()) for part in ("train", "test", "valid")
    }
    assert [len(speakers[part]) for part in ("train", "test", "valid")] == [4, 2, 2]
    assert len(set.union(*speakers.values())) == 8  # MUSAN was not asked for, speakers are disjoint
    trials = read_trials(data / "my_calls_test/trials")
    assert (trials.is_target.sum(), (~trials.is_target).sum()) == (2 * 4, 16)
    sessions = [[utt.split("-")[1] for utt in pair] for pair in zip(trials.enrolment, trials.test)]
    assert all(set(pair) == {"may", "june"} for pair, label in zip(sessions, trials.is_target) if label)
    page = (work / "exp/tiny/report/index.html").read_text()
    assert "tiny on my_calls_test" in page and "voxceleb" not in page.lower()
    assert "\nstreet 0 dB " in output and "clean" in output
    code, output = run(work, *train)
    assert code == 0 and "nothing to do: every stage from 0 to 8 is up to date" in output

    adapted_system_stands_beside_it(work, train)

    alone = ["--corpus", work / "my calls", "--model", work / "exp/tiny", "--exp", work / "alone"]
    code, output = run(work, *alone)
    assert code == 0, output
    assert "stage 0: prepare: up to date" in output
    assert len(read_trials(data / "my_calls/trials")) == 8 * 4 + 28 * 16
    assert "tiny on my_calls<" in (work / "alone/tiny/report/index.html").read_text()


def adapted_system_stands_beside_it(work, train):
    """The trained system made robust, and a system that starts from its weights."""
    options = [word for word in train if word not in ("--config", work / "tiny.toml")]
    (work / "adapt.toml").write_text(ADAPTATION)
    (work / "again.toml").write_text((work / "tiny.toml").read_text())
    code, output = run(work, *options, "--config", work / "adapt.toml", "--extractor", work / "exp/tiny")
    assert code == 0, output
    assert "adapt-tiny" in (work / "exp/adapt-tiny/report/index.html").read_text()
    assert (work / "exp/adapt-tiny/scores/my_calls_test-street-snr0/cosine.scores").is_file()
    parent = read_system(work / "exp/adapt-tiny").parent
    assert parent.weights_sha256 == sha256_of(work / "exp/tiny/checkpoints/best.pt")
    again = ["--config", work / "again.toml", "--initial", work / "exp/tiny", "--stop-stage", 4]
    code, output = run(work, *options, *again)
    assert code == 0, output
    assert "100.0 % of the numbers" in output
    assert read_system(work / "exp/again").parent == parent
    code, output = run(work, *options, *again)
    assert code == 0 and "nothing to do" in output


def test_without_a_system_there_is_nothing_to_do(work):
    code, output = run(work, "--corpus", work / "my calls", "--config", "none")
    assert code == 1
    assert output.splitlines()[-1].endswith("error: no system: name one, --config conf/NAME.toml or --model MODEL")
    assert not (work / "data").exists()


def test_a_corpus_without_speakers_is_one_line_before_any_work(work):
    for words in ([], ["--dry-run"]):
        code, output = run(work, "--corpus", work / "street", "--model", "x", *words)
        assert (code, len(output.splitlines())) == (2, 1)
        assert f"--corpus {work}/street: 4 recordings, in no speaker's folder: " in output
    assert not (work / "data").exists()
