"""Training from the weights of another model, and the command that tells which of them fit."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import sv
from sv.base.files import sha256_of
from sv.bin import models
from sv.bin import train as train_command
from sv.kaldi import Trials, write_data_dir, write_table, write_trials
from sv.system.folder import read_system

STILL = """
[loss]
type = "classification"
[augment]
noise_prob = 0.0
[batches]
type = "shuffled"
batch_size = 4
[train]
num_epochs = 1
crop_samples = 4000
optimizer = "adamw"
lr = 1e-12
schedule = "constant"
weight_decay = 0.0
num_workers = 0
"""


@pytest.fixture(scope="module")
def config(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A system as large as the tiny one, trained hardly at all."""
    path = tmp_path_factory.mktemp("initial") / "still.toml"
    path.write_text((folder / "tiny.toml").read_text() + STILL)
    return path


@pytest.fixture
def words(config: Path, folder: Path, tmp_path: Path) -> list[str]:
    """Arguments of the training, but for --initial."""
    rng, sets = np.random.default_rng(1), {}
    for part, names in {
        "train": ["id1-1", "id1-2", "id2-1", "id2-2"],
        "valid": ["held1-1", "held1-2", "held2-1"],
    }.items():
        sets[part] = tmp_path / part
        for name in names:
            soundfile.write(tmp_path / f"{name}.wav", 0.1 * rng.normal(size=6000), 16_000, subtype="PCM_16")
        write_data_dir(
            sets[part],
            wav_scp={name: str(tmp_path / f"{name}.wav") for name in names},
            utt2spk={name: name[:-2] for name in names},
            utt2dur=dict.fromkeys(names, 0.375),
        )
        write_table(sets[part] / "reco2digest", {name: sha256_of(tmp_path / f"{name}.wav") for name in names})
    is_target = np.array([True, False])
    write_trials(sets["valid"] / "trials", Trials(["held1-1", "held1-1"], ["held1-2", "held2-1"], is_target))
    options = {"config": config, "train-dir": sets["train"], "valid-dir": sets["valid"], "exp-dir": tmp_path / "exp"}
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def test_training_starts_from_the_weights_of_the_model(words, folder, tmp_path, capfd) -> None:
    train_command.main([*words, "--initial", str(folder / "model")])
    assert f"weights, 100.0 % of the numbers, from --initial {folder / 'model'}" in capfd.readouterr().err
    started, trained = (torch.load(path / "checkpoints/best.pt", weights_only=True)["model"]
                        for path in (folder / "model", tmp_path / "exp"))  # fmt: skip
    for name, value in started.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(trained[name], value, rtol=0, atol=1e-9, msg=name)
    parent = read_system(tmp_path / "exp").parent
    assert (parent.name, parent.weights_sha256) == ("model", sha256_of(folder / "model/checkpoints/best.pt"))
    samples = 0.1 * np.random.default_rng(3).normal(size=9000).astype(np.float32)
    assert len(sv.load(tmp_path / "exp").embed(samples, rate=16_000)) == 12


def test_a_run_goes_on_only_from_the_same_model(words, folder, tmp_path, fails) -> None:
    train_command.main([*words, "--initial", str(folder / "model")])
    train_command.main([*words, "--initial", str(folder / "model")])
    assert "holds a run with other settings: system.parent" in fails(train_command.main, *words)


def test_the_command_tells_what_fits(config, folder, capsys) -> None:
    models.main(["fit", str(folder / "model"), str(config)])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith(f"100.0 % of the numbers, from {folder / 'model'}")


def test_other_features_are_said(config, folder, tmp_path, capsys) -> None:
    other = tmp_path / "other.toml"
    other.write_text(config.read_text().replace('type = "log_mel"', 'type = "log_mel"\nsubtract_mean = true'))
    models.main(["fit", str(folder / "model"), str(other)])
    warning = f"--initial {folder / 'model'} was trained on other features: subtract_mean is False, here True"
    assert capsys.readouterr().out.splitlines()[-1] == warning


@pytest.mark.parametrize("command", ["train", "fit"])
def test_a_model_of_other_sizes_is_refused(command, words, config, folder, tmp_path, fails) -> None:
    wide = tmp_path / "wide.toml"
    wide.write_text(config.read_text().replace("[4, 8, 8, 16]", "[6, 12, 12, 24]"))
    words[1] = str(wide)
    arguments = [*words, "--initial", folder / "model"] if command == "train" else ["fit", folder / "model", wide]
    said = fails(train_command.main if command == "train" else models.main, *arguments)
    assert f"--initial {folder / 'model'}: only " in said
    assert "fewer than half; the first that does not: " in said
    assert not (tmp_path / "exp" / "checkpoints").exists()


def test_a_model_without_gradients_or_none_is_refused(words, folder, tmp_path, fails) -> None:
    shutil.copytree(folder / "model", tmp_path / "empty")
    (tmp_path / "empty/checkpoints/best.pt").unlink()
    program = tmp_path / "program.toml"
    program.write_text('command = "true {wav_scp} {ark}"\nembedding_dim = 4\n')
    assert "best.pt" in fails(train_command.main, *words, "--initial", tmp_path / "empty")
    assert "a program, through which no gradient passes" in fails(train_command.main, *words, "--initial", program)
    assert "nobody: not there" in fails(train_command.main, *words, "--initial", "nobody")


def test_the_classifier_goes_on_where_the_speakers_are_the_same(words, config, tmp_path, capfd) -> None:
    """Large-margin fine-tuning: speakers at another speed are gone, the others keep their class vectors."""
    base, tuned = tmp_path / "base.toml", tmp_path / "tuned.toml"
    base.write_text(config.read_text().replace("[augment]", "[augment]\nspeeds = [1.0, 0.9]"))
    tuned.write_text(config.read_text().replace("[loss]", "[loss]\nmargin = 0.5"))
    train_command.main([words[0], str(base), *words[2:]])
    to = words.index("--exp-dir") + 1
    tuned_words = [words[0], str(tuned), *words[2:to], str(tmp_path / "tuned"), *words[to + 1 :]]
    train_command.main([*tuned_words, "--initial", str(tmp_path / "exp")])
    assert "the classifier, too, of the same speakers: criterion.weight" in capfd.readouterr().err
    before, after = (
        torch.load(tmp_path / name / "checkpoints/last.pt", weights_only=False)["system"]["criterion.weight"]
        for name in ("exp", "tuned")
    )
    assert len(before) == 4 and len(after) == 2
    torch.testing.assert_close(after, before[:2], rtol=0, atol=1e-9)


def test_the_classifier_of_other_speakers_is_new(words, config, tmp_path, capfd) -> None:
    train_command.main(words)
    utt2spk = tmp_path / "train/utt2spk"
    utt2spk.write_text(utt2spk.read_text().replace(" id2", " id3"))
    tuned_words = [str(tmp_path / "tuned") if word == str(tmp_path / "exp") else word for word in words]
    train_command.main([*tuned_words, "--initial", str(tmp_path / "exp")])
    assert "the classifier, too" not in capfd.readouterr().err


ECAPA = """
num_mel_bins = 16
channels = 16
squeezed_channels = 4
attention_channels = 4
aggregated_channels = 12
embedding_dim = 5
"""
CLEAN = (
    '[features]\ntype = "log_mel"\nnum_mel_bins = 16\n[extract]\nsegment_samples = 4000\n[model]\ntype = "ecapa_tdnn"\n'
    "summed_inputs = true\nattention_norm = true\n"
)
NOISE_LORA = CLEAN.replace("ecapa_tdnn", "noise_lora") + ECAPA + "noise_channels = [2, 2, 4, 4]\n"
NOISE_LORA += STILL.replace("classification", "noise_lora")


@pytest.fixture
def taught(words, tmp_path) -> tuple[list[str], dict[str, torch.Tensor]]:
    """Arguments that train a NoiseLoRA-SV without weights to start from, and the weights of a clean ECAPA-TDNN in teacher."""
    (tmp_path / "teacher.toml").write_text(CLEAN + ECAPA + STILL)
    (tmp_path / "student.toml").write_text(NOISE_LORA)
    to = words.index("--exp-dir") + 1
    train_command.main([words[0], str(tmp_path / "teacher.toml"), *words[2:to], str(tmp_path / "teacher")])
    weights = torch.load(tmp_path / "teacher/checkpoints/best.pt", weights_only=True)["model"]
    return [words[0], str(tmp_path / "student.toml"), *words[2:]], weights


def teacher_of(folder: Path) -> dict[str, torch.Tensor]:
    state = torch.load(folder / "checkpoints/last.pt", weights_only=False)["system"]
    return {name.removeprefix("teacher."): value for name, value in state.items() if name.startswith("teacher.")}


def test_noise_lora_without_a_teacher_is_refused_in_one_line(taught, tmp_path, fails) -> None:
    said = fails(train_command.main, *taught[0])
    assert (
        'student: loss.type = "noise_lora" starts from a trained network, its teacher; name it by [train] initial'
        in said
    )
    assert not (tmp_path / "exp/checkpoints").exists()


@pytest.mark.parametrize("option", ["--initial", "[train] initial"])
def test_teacher_and_student_of_noise_lora_start_alike_and_the_teacher_stays(option, taught, tmp_path, capfd) -> None:
    words, weights = taught
    config, named = Path(words[1]), "nobody" if option == "--initial" else "teacher"
    config.write_text(config.read_text().replace("[train]", f'[train]\ninitial = "{named}"'))
    train_command.main(words if named == "teacher" else [*words, "--initial", str(tmp_path / "teacher")])
    assert "weights, " in capfd.readouterr().err
    kept = teacher_of(tmp_path / "exp")
    assert kept.keys() == weights.keys() and all(torch.equal(kept[name], value) for name, value in weights.items())
    trained = torch.load(tmp_path / "exp/checkpoints/best.pt", weights_only=True)["model"]
    assert not [name for name in trained if name.startswith("teacher.")]
    for name, value in weights.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(trained[name], value, rtol=0, atol=1e-9, msg=name)


def test_the_clean_teacher_of_noise_lora_stays_in_large_margin_fine_tuning(taught, tmp_path, capfd) -> None:
    words, weights = taught
    config = Path(words[1])
    config.write_text(
        config.read_text().replace("lr = 1e-12", "lr = 1e-3")
    )  # so that the student is another one by then
    train_command.main([*words, "--initial", str(tmp_path / "teacher")])
    tuned = [str(tmp_path / "tuned") if word == str(tmp_path / "exp") else word for word in words]
    train_command.main([*tuned, "--initial", str(tmp_path / "exp")])
    assert "the same speakers: criteria.speaker.weight, teacher\n" in capfd.readouterr().err
    kept = teacher_of(tmp_path / "tuned")
    assert all(torch.equal(kept[name], value) for name, value in weights.items() if value.dim())
