"""Noisy copies and halves of a training set."""

import numpy as np
import pytest
import soundfile

from sv.bin import make_enhancement_inputs
from sv.data.audio import read_samples
from sv.data.manifests import read_cuts, render
from sv.data.mixing import measure_snr_db
from sv.data.trial_lists import sessions_of
from sv.kaldi import read_utt2spk, validate_data_dir, write_data_dir

LENGTHS = {"a-x-1": 9_000, "a-y-10": 30_011, "b-z-1": 16_001}
CONFIG = """
[features]
type = "embedding"
[model]
type = "embedding_mlp"
[loss]
type = "enhancement"
noisy_copies = {copies}
[augment]
noises = ["noise"]
snr_db = [5, 15]
"""


def write_set(path, lengths, rng):
    path.mkdir()
    for key, length in lengths.items():
        soundfile.write(path / f"{key}.wav", 0.1 * rng.standard_normal(length), 16_000)
    write_data_dir(
        path,
        wav_scp={key: str(path / f"{key}.wav") for key in lengths},
        utt2spk={key: key[0] for key in lengths},
        utt2dur={key: length / 16_000 for key, length in lengths.items()},
    )


@pytest.fixture
def make(tmp_path):
    """make(copies, *options) -> folder of the data directories."""
    rng = np.random.default_rng(0)
    write_set(tmp_path / "train", LENGTHS, rng)
    write_set(tmp_path / "noise", {"n0": 5_000, "n1": 40_000}, rng)

    def run(copies, *options, out="out"):
        (tmp_path / "x.toml").write_text(CONFIG.format(copies=copies))
        common = ["--config", tmp_path / "x.toml", "--train-dir", tmp_path / "train", "--noise-dir"]
        make_enhancement_inputs.main([*map(str, common), f"noise={tmp_path / 'noise'}", *options, str(tmp_path / out)])
        return tmp_path / out

    return run


def test_copies_are_sound_and_disturbed_as_configured_each_in_its_own_way(make, tmp_path) -> None:
    out = make(2)
    assert sorted(path.name for path in out.iterdir()) == ["noisy1", "noisy2"]
    heard = []
    for name in ("noisy1", "noisy2"):
        assert validate_data_dir(out / name) == []
        assert read_utt2spk(out / name / "utt2spk") == read_utt2spk(tmp_path / "train/utt2spk")
        heard.append({cut.id: render(cut) for cut in read_cuts(out / name)})
    for utt, length in LENGTHS.items():
        speech = read_samples(tmp_path / "train" / f"{utt}.wav")
        snrs = [measure_snr_db(speech, copy[utt]) for copy in heard]
        assert all(5 <= snr <= 15 for snr in snrs) and snrs[0] != pytest.approx(snrs[1], abs=1e-3)
        assert len(heard[0][utt]) == length


def test_draws_depend_on_the_utterance_and_the_seed_and_not_on_the_number_of_jobs(make) -> None:
    first = make(2)
    again, other = make(2, "--nj", "2", out="again"), make(1, "--seed", "1", out="other")
    assert (first / "noisy2/cuts.jsonl.gz").read_bytes() == (again / "noisy2/cuts.jsonl.gz").read_bytes()
    assert (first / "noisy1/cuts.jsonl.gz").read_bytes() != (other / "noisy1/cuts.jsonl.gz").read_bytes()


def test_halves_are_two_utterances_of_one_session(make, tmp_path) -> None:
    out = make(1, "--halves")
    utt2spk = read_utt2spk(out / "clean/utt2spk")
    assert validate_data_dir(out / "clean") == validate_data_dir(out / "noisy1") == []
    assert list(utt2spk) == [f"{utt}_{half}" for utt in LENGTHS for half in (1, 2)]
    assert sessions_of(utt2spk)["a-y-10_1"] == sessions_of(utt2spk)["a-y-10_2"] == "y"
    halves = {cut.id: render(cut) for cut in read_cuts(out / "clean")}
    whole = read_samples(tmp_path / "train/b-z-1.wav")
    np.testing.assert_array_equal(np.concatenate([halves["b-z-1_1"], halves["b-z-1_2"]]), whole)
    noisy = {cut.id: render(cut) for cut in read_cuts(out / "noisy1")}
    assert 5 <= measure_snr_db(halves["b-z-1_2"], noisy["b-z-1_2"]) <= 15


def test_noise_that_is_not_there_is_named(make, tmp_path) -> None:
    (tmp_path / "x.toml").write_text(CONFIG.format(copies=1))
    options = ["--config", str(tmp_path / "x.toml"), "--train-dir", str(tmp_path / "train"), str(tmp_path / "out")]
    with pytest.raises(SystemExit, match="noises: no recordings of 'noise'"):
        make_enhancement_inputs.main(options)
