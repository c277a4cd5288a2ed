"""The command that adapts a model: from a folder to a folder, the same after a kill, and what it refuses."""

import json
import re
import shutil

import numpy as np
import pytest
import soundfile
import torch
import torch.nn.functional as F

import sv
from sv.base.files import sha256_of
from sv.bin import adapt, export
from sv.bin import train as train_command
from sv.kaldi import Trials, write_data_dir, write_table, write_trials
from sv.scoring.wccn import train_wccn
from sv.system.config import parse_system
from sv.system.folder import build_model, load_model, read_system, write_system
from sv.train import checkpoint
from sv.train.loop import Trainer

SIZES = {"adapt_full": "share = 0.5", "adapt_adapters": "rank = 2", "adapt_frontend": "feature_mse = 0.1"}
MODEL = "[model]\nchannels = [4, 4, 4, 8]\nblocks = [1, 1, 1, 1]\n"
CONFIG = """
[loss]
type = "{kind}"
{options}
similarity = 1.0
held_out = [["noise", 0.0]]
[augment]
noises = ["noise"]
[batches]
type = "shuffled"
batch_size = 4
repeats = 2
[train]
num_epochs = 2
crop_samples = 2000
optimizer = "adamw"
amsgrad = false
lr = 0.05
schedule = "constant"
num_workers = 0
log_interval = 1
checkpoint_interval = 1
"""
KINDS = pytest.mark.parametrize("kind", SIZES)


def write_set(folder, names, seconds=0.3):
    """A data directory of noise-like recordings, two utterances a speaker, with all trials."""
    rng = np.random.default_rng(len(names[0]))
    folder.mkdir(parents=True)
    for name in names:
        soundfile.write(folder / f"{name}.wav", 0.1 * rng.normal(size=int(16_000 * seconds)), 16_000, subtype="PCM_16")
    write_data_dir(
        folder,
        wav_scp={name: str(folder / f"{name}.wav") for name in names},
        utt2spk={name: name.rpartition("-")[0] or name for name in names},
        utt2dur=dict.fromkeys(names, seconds),
    )
    write_table(folder / "reco2digest", {name: sha256_of(folder / f"{name}.wav") for name in names})
    pairs = [(a, b) for a in names for b in names if a < b]
    is_target = np.array([a.rpartition("-")[0] == b.rpartition("-")[0] for a, b in pairs])
    write_trials(folder / "trials", Trials([a for a, _ in pairs], [b for _, b in pairs], is_target))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Training, held-out and noise directories."""
    root = tmp_path_factory.mktemp("corpus")
    write_set(root / "train", [f"id{i // 2}-{i}" for i in range(4)])
    write_set(root / "valid", [f"held{i // 2}-{i}" for i in range(4)])
    write_set(root / "noise", ["noise-1", "noise-2"])
    return root


@pytest.fixture
def words(corpus, folder, tmp_path):
    """words(kind, exp="exp", config=..., **other options): arguments of the command."""

    def build(kind, exp="exp", config=None, **others):
        path = tmp_path / f"{kind}.toml"
        text = config or (MODEL if kind == "adapt_frontend" else "") + CONFIG.format(kind=kind, options=SIZES[kind])
        path.write_text(text)
        options = {"config": path, "extractor": folder / "model", "train-dir": corpus / "train"}
        options |= {"valid-dir": corpus / "valid", "noise-dir": f"noise={corpus / 'noise'}", "exp-dir": tmp_path / exp}
        options |= {name.replace("_", "-"): value for name, value in others.items()}
        return [word for name, value in options.items() for word in (f"--{name}", str(value))]

    return build


@KINDS
def test_the_result_is_a_model_folder_that_hears_otherwise_than_its_parent(kind, words, folder, tmp_path) -> None:
    adapt.main(words(kind))
    parent, result = sv.load(folder / "model"), sv.load(tmp_path / "exp")
    samples = np.random.default_rng(3).normal(size=9000).astype(np.float32) * 0.1
    before, after = parent.embed(samples, rate=16_000), result.embed(samples, rate=16_000)
    assert before.shape == after.shape
    assert not np.allclose(before, after, atol=1e-4)
    system = read_system(tmp_path / "exp")
    assert system.parent.name == "model"
    assert system.parent.weights_sha256 == sha256_of(folder / "model/checkpoints/best.pt")
    assert system.extract == read_system(folder / "model").extract
    assert system.name == f"{kind}-model"
    if kind != "adapt_frontend":  # nothing new is needed to run it
        assert system.model == read_system(folder / "model").model
        assert system.model_type == "exu_net"
    journal = [json.loads(line) for line in (tmp_path / "exp/train.jsonl").read_text().splitlines()]
    evaluated = [line for line in journal if "valid_eer" in line]
    assert len(evaluated) == 2
    for line in evaluated:
        assert line["valid_eer"] == pytest.approx((line["valid_eer_clean"] + line["valid_eer_noise-snr0"]) / 2)


def test_a_probe_tells_what_all_of_it_takes_and_keeps_nothing(words, tmp_path, capsys) -> None:
    adapt.main([*words("adapt_full"), "--probe", "2"])
    said = re.fullmatch(
        r"probe: adapt_full-model: (\S+) s a step of 4 utterances, (\S+) s an evaluation; 2 epochs of 2 steps: (\S+) h on 1 "
        r"process without a GPU\n",
        capsys.readouterr().out,
    )
    step, evaluation, hours = map(float, said.groups())
    assert step > 0 and evaluation > 0
    assert hours == pytest.approx(2 * (2 * step + evaluation) / 3600, rel=0.02)
    assert not (tmp_path / "exp").exists()


SEPARATING = f"{MODEL}background = true\n" + CONFIG.format(kind="adapt_frontend", options="mixture = 0.1")


def test_a_front_end_that_separates_is_a_model_folder_too(words, folder, tmp_path) -> None:
    adapt.main(words("adapt_frontend", config=SEPARATING))
    samples = np.random.default_rng(3).normal(size=9000).astype(np.float32) * 0.1
    found = sv.load(tmp_path / "exp").embed(samples, rate=16_000)
    assert not np.allclose(found, sv.load(folder / "model").embed(samples, rate=16_000), atol=1e-4)
    journal = [json.loads(line) for line in (tmp_path / "exp/train.jsonl").read_text().splitlines()]
    assert all(line["mixture"] > 0 for line in journal if "loss" in line)


@pytest.mark.parametrize(
    "config",
    [SEPARATING.replace("background = true\n", ""), SEPARATING.replace("mixture = 0.1", "")],
    ids=["no background", "no mixture"],
)
def test_a_mixture_and_a_background_need_each_other(config, words, tmp_path) -> None:
    with pytest.raises(SystemExit, match=r"adapt_frontend\.toml: 'loss\.mixture' .* set both or neither"):
        adapt.main(words("adapt_frontend", config=config))
    assert not (tmp_path / "exp").exists()


class Killed(Exception):
    pass


@KINDS
def test_a_run_that_was_killed_ends_with_the_same_bytes(kind, words, tmp_path, monkeypatch) -> None:
    adapt.main(words(kind, "whole"))
    step = Trainer.train_step

    def killed(self, *arguments):
        if self.step == 3:
            raise Killed
        return step(self, *arguments)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Trainer, "train_step", killed)
        adapt.main(words(kind, "cut"))
    assert (tmp_path / "cut/checkpoints/last.pt").resolve().name == "step-0000003.pt"
    adapt.main(words(kind, "cut"))
    for name in ("best.pt", "step-0000004.pt"):
        assert (tmp_path / "whole/checkpoints" / name).read_bytes() == (
            tmp_path / "cut/checkpoints" / name
        ).read_bytes()


@KINDS
def test_weights_that_are_gone_are_made_again_as_they_were(kind, words, tmp_path) -> None:
    adapt.main(words(kind))
    best = tmp_path / "exp/checkpoints/best.pt"
    before = best.read_bytes()
    best.unlink()
    adapt.main(words(kind))
    assert best.read_bytes() == before


def test_all_weights_stay_between_parent_and_trained_ones(words, folder, tmp_path) -> None:
    adapt.main(words("adapt_full"))
    state = torch.load(tmp_path / "exp/checkpoints/last.pt", weights_only=True)["system"]
    best = torch.load(tmp_path / "exp/checkpoints/best.pt", weights_only=True)
    parent = load_model(folder / "model")[2].state_dict()
    if best["step"] == 4:
        torch.testing.assert_close(best["model"]["fc.weight"], (state["model.fc.weight"] + parent["fc.weight"]) / 2)
    assert all(torch.equal(value, parent[name]) for name, value in best["model"].items() if "running" in name)


def test_another_parent_is_another_run(words, folder, tmp_path, fails) -> None:
    adapt.main(words("adapt_full"))
    other = tmp_path / "model"
    shutil.copytree(folder / "model", other)
    weights = torch.load(other / "checkpoints/best.pt", weights_only=True)
    weights["model"]["fc.bias"] += 1
    torch.save(weights, other / "checkpoints/best.pt")
    said = fails(adapt.main, *words("adapt_full", extractor=other))
    assert "holds a run with other settings: system.parent.weights_sha256 was" in said


def test_what_has_no_gradient_is_refused_in_one_line(words, tmp_path, fails) -> None:
    program = tmp_path / "mine.toml"
    program.write_text('command = "run {wav_scp} {ark}"\nembedding_dim = 4\n')
    said = fails(adapt.main, *words("adapt_full", extractor=program))
    assert f"--extractor {program}: a program, through which no gradient passes" in said
    graph = tmp_path / "mine.onnx"
    graph.write_bytes(b"")
    (tmp_path / "mine.onnx.toml").write_text('input = "fbank"\nembedding_dim = 4\n')
    said = fails(adapt.main, *words("adapt_full", extractor=graph))
    assert f"--extractor {graph}: an .onnx file, through which no gradient passes" in said
    said = fails(adapt.main, *words("adapt_full", extractor="nosuch"))
    assert "nosuch: not there; neither a file or folder nor a name of sv models list" in said


def test_weights_that_fit_by_half_are_counted(words, folder, tmp_path, fails) -> None:
    half = tmp_path / "half"
    shutil.copytree(folder / "model", half)
    weights = torch.load(half / "checkpoints/best.pt", weights_only=True)["model"]
    count = len(weights)
    weights["fc.weight"] = weights["fc.weight"][:3]
    weights["other"] = weights.pop("fc.bias")
    torch.save({"model": weights}, half / "checkpoints/best.pt")
    said = fails(adapt.main, *words("adapt_full", extractor=half))
    assert (
        f"best.pt: does not fit its configuration: 1 of {count} weights are not there, e.g. fc.bias; "
        "1 have another shape, e.g. fc.weight (3, " in said
    )
    assert "; 1 are of no layer, e.g. other" in said
    assert not (tmp_path / "exp").exists()


def test_a_corpus_without_clean_audio_is_named(words, corpus, tmp_path, fails) -> None:
    noisy = tmp_path / "noisy"
    shutil.copytree(corpus / "train", noisy)
    lines = (noisy / "wav.scp").read_text().splitlines()
    (noisy / "wav.scp").write_text("".join(f"{line.split()[0]} sv render_cut x |\n" for line in lines))
    said = fails(adapt.main, *words("adapt_full", train_dir=noisy))
    assert "wav.scp:1: 'id0-0' is a pipe; training reads files only" in said
    silent = CONFIG.format(kind="adapt_full", options="").replace('noises = ["noise"]', "noise_prob = 0.0")
    said = fails(adapt.main, *words("adapt_full", config=silent))
    assert "augment.noise_prob, reverb_prob and channel_prob are all 0" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("adapt_full", "pairs"), "'loss.type' must be one of adapt_full, adapt_adapters, adapt_frontend, adapt_wccn to adapt a"),
        (("[augment]", '[features]\ntype = "fbank"\n[augment]'), "'features' is that of --extractor; remove the table"),
        (("[augment]", '[model]\ntype = "exu_net"\n[augment]'), "'model' is that of --extractor; remove the table"),
        (('["noise", 0.0]', '["babble", 0.0]'), "loss.held_out: no recordings of 'babble'; there are noise"),
        (("num_epochs = 2", 'num_epochs = 2\ninitial = "x"'), "train.initial is 'x', but an adaptation starts from --extractor"),
    ],
)  # fmt: skip
def test_a_file_that_describes_no_adaptation_is_named(change, message, words, tmp_path, fails) -> None:
    config = CONFIG.format(kind="adapt_full", options="").replace(*change)
    said = fails(adapt.main, *words("adapt_full", config=config))
    assert f"{tmp_path}/adapt_full.toml: {message}" in said


def test_a_front_end_before_a_waveform_model_is_refused(words, folder, tmp_path, fails) -> None:
    raw = tmp_path / "raw"
    (raw / "checkpoints").mkdir(parents=True)
    config = MODEL + CONFIG.format(kind="adapt_frontend", options="")
    system = parse_system({"features": {"type": "waveform"}, "model": {"type": "rawnet2"}}, "raw.toml")
    write_system(raw, system)
    torch.save({"model": build_model(system).state_dict()}, raw / "checkpoints/best.pt")
    said = fails(adapt.main, *words("adapt_frontend", config=config, extractor=raw))
    assert (
        "'rawnet2' reads waveforms, and a U-Net enhances features of mel bins; adapt all of it, or by adapters" in said
    )


def test_the_other_command_names_this_one(words, tmp_path, fails) -> None:
    config = tmp_path / "x.toml"
    config.write_text(
        '[features]\ntype = "log_mel"\n[model]\ntype = "exu_net"\n[loss]\ntype = "adapt_full"\n[batches]\ntype = "shuffled"\n'
    )
    folders = [word for name in ("train-dir", "valid-dir", "exp-dir") for word in (f"--{name}", str(tmp_path / name))]
    said = fails(train_command.main, "--config", config, *folders)
    assert 'loss.type = "adapt_full" adapts a trained model; train it with sv.bin.adapt' in said


CLOSED = """
[loss]
type = "adapt_wccn"
shrinkage = {shrinkage}
held_out = [["noise", 0.0]]
[augment]
noises = ["noise", "crowd"]
num_babble = [1, 2]
[batches]
type = "shuffled"
batch_size = 4
repeats = 6
[train]
num_epochs = 1
crop_samples = 3000
num_workers = 0
"""
SAMPLES = np.random.default_rng(3).normal(size=9000).astype(np.float32) * 0.1


@pytest.fixture
def adapted(words, tmp_path):
    """adapted(shrinkage, exp): the folder that the command makes."""

    def build(shrinkage=1.0, exp="exp", **options):
        adapt.main(words("adapt_wccn", exp=exp, config=CLOSED.format(shrinkage=shrinkage), **options))
        return tmp_path / exp

    return build


def test_the_result_is_its_parent_and_a_map_of_the_embeddings(adapted, folder) -> None:
    exp = adapted()
    (_, frontend, parent), (_, _, result) = load_model(folder / "model"), load_model(exp)
    features = frontend(torch.from_numpy(SAMPLES)[None])
    with torch.no_grad():
        torch.testing.assert_close(
            result.embed(features), (F.normalize(parent.embed(features)) - result.mean) @ result.transform.T
        )
    size = result.transform[0, 0]
    assert not torch.allclose(result.transform / size, torch.eye(len(result.transform)), atol=1e-2)
    heard = sv.load(exp).embed(SAMPLES, rate=16_000)
    assert not np.allclose(heard, sv.load(folder / "model").embed(SAMPLES, rate=16_000), atol=1e-3)


def test_the_map_is_of_augmented_crops_of_length_one(adapted, folder, monkeypatch) -> None:
    heard = {}

    def watched(embeddings, speakers, shrinkage):
        heard.update(embeddings=embeddings, speakers=speakers, shrinkage=shrinkage)
        return train_wccn(embeddings, speakers, shrinkage)

    monkeypatch.setattr("sv.adaptation.closed_form.train_wccn", watched)
    exp = adapted(shrinkage=0.25)
    np.testing.assert_allclose(np.linalg.norm(heard["embeddings"], axis=1), 1, rtol=1e-5)
    assert (len(heard["embeddings"]), set(heard["speakers"]), heard["shrinkage"]) == (24, {0, 1}, 0.25)
    assert len(np.unique(heard["embeddings"], axis=0)) == 24
    system = read_system(exp)
    assert (system.name, system.model_type, system.num_speakers) == ("adapt_wccn-model", "transformed", 2)
    assert system.parent.weights_sha256 == sha256_of(folder / "model/checkpoints/best.pt")
    assert 0 <= checkpoint.load_weights(exp / "checkpoints/best.pt")["valid_eer"] <= 100


def test_again_it_is_the_same_and_of_its_own_result_too(adapted, tmp_path) -> None:
    first, second = adapted(), adapted(exp="second")
    assert sha256_of(first / "checkpoints/best.pt") == sha256_of(second / "checkpoints/best.pt")
    system, _, model = load_model(adapted(exp="third", extractor=first))
    assert (system.model, system.name) == (read_system(first).model, "adapt_wccn-exp")
    own = load_model(first)[2]
    assert torch.equal(model.extractor.fc.weight, own.extractor.fc.weight)
    torch.testing.assert_close(model.transform, own.transform)  # another map in place of the first, not behind it


def test_by_gradients_it_is_adapted_as_any_model(adapted, words, tmp_path) -> None:
    first = adapted()
    adapt.main(words("adapt_adapters", exp="more", extractor=first))
    assert read_system(tmp_path / "more").model_type == "transformed"
    assert not torch.equal(load_model(first)[2].transform, load_model(tmp_path / "more")[2].transform)


def test_it_exports(adapted, tmp_path) -> None:
    export.main(["--model", str(adapted()), "--format", "torchscript", str(tmp_path / "model.pt")])
    assert (tmp_path / "model.pt").is_file()


def test_what_cannot_be_fitted_or_kept_is_one_line(words, tmp_path, fails, capsys) -> None:
    few = CLOSED.format(shrinkage=0).replace("repeats = 6", "repeats = 1")
    said = fails(adapt.main, *words("adapt_wccn", config=few))
    assert "embeddings needs" in said and "got 4; or a shrinkage above 0" in said
    assert not (tmp_path / "exp").exists()
    said = fails(adapt.main, *words("adapt_wccn", config=CLOSED.format(shrinkage=-1)))
    assert "shrinkage" in said
    (tmp_path / "exp/checkpoints").mkdir(parents=True)
    torch.save({"model": {}}, tmp_path / "exp/checkpoints/best.pt")
    said = fails(adapt.main, *words("adapt_wccn", config=CLOSED.format(shrinkage=1)))
    assert "weights that no training of this system made here" in said
    capsys.readouterr()
    adapt.main([*words("adapt_wccn", exp="none", config=CLOSED.format(shrinkage=1)), "--probe", "2"])
    assert capsys.readouterr().out.startswith("probe: adapt_wccn-model: not trained, but computed of ")
    assert not (tmp_path / "none").exists()
