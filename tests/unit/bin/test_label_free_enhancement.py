"""vMF-PL and SEED by the commands: noisy copies of utterances, towards the clean ones, no labels used in training."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sv.base.config import load_json, load_toml, write_json
from sv.bin import enhance, export, make_enhancement_lists, train_enhancement
from sv.enhancement.archive import EmbeddingArchive
from sv.kaldi import open_ark_scp, read_vectors, write_table
from sv.system.folder import load_model

CONF = Path(__file__).parents[3] / "egs/voxceleb1/conf"
DIM = 8
RUN = {"lr": 1e-2, "schedule": '"constant"', "log_interval": 1, "checkpoint_interval": 2}
VMF_PL = """
[features]
type = "embedding"
[model]
type = "embedding_mlp"
hidden = [2]
normalise_output = true
[loss]
type = "enhancement"
terms = [["log_distance", 1.0]]
target = "utterance"
leave_one_out = false
"""
SEED = """
[features]
type = "embedding"
[model]
type = "embedding_diffusion"
{sampling}
[loss]
type = "embedding_diffusion"
"""


def write_set(folder: Path, speakers: range, noise: float = 0.0) -> None:
    """Embeddings of six utterances a speaker, two segments each, and what noise makes of them; utt2spk and trials."""
    rng, utt2spk = np.random.default_rng(speakers[0]), {}
    shifts = np.random.default_rng(5).normal(size=(2, DIM))  # the directions of noise are the same in all sets
    with open_ark_scp(folder / "segments.ark", folder / "segments.scp") as write:
        for speaker in speakers:
            centre = rng.normal(size=DIM)
            for number in range(6):
                utt = f"id{speaker}-s{number // 3}-{number}"
                utt2spk[utt] = f"id{speaker}"
                clean = centre + 0.3 * rng.normal(size=(2, DIM))
                write(utt, clean + noise * rng.normal(size=2) @ shifts)
    write_table(folder / "utt2spk", utt2spk)
    utts = sorted(utt2spk)
    pairs = [(one, two) for place, one in enumerate(utts) for two in utts[place + 1 :]]
    kind = {True: "target", False: "nontarget"}
    lines = [f"{one} {two} {kind[utt2spk[one] == utt2spk[two]]}\n" for one, two in pairs]
    (folder / "trials").write_text("".join(lines))


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Folder with train/ and its copy noisy/, valid/ and lists."""
    write_set(tmp_path / "train", range(10, 18))
    write_set(tmp_path / "noisy", range(10, 18), noise=1.0)
    write_set(tmp_path / "valid", range(20, 24))
    for name in ("train", "valid"):
        make_enhancement_lists.main([str(tmp_path / name), str(tmp_path / f"lists/{name}")])
    return tmp_path


def train(world: Path, kind: str, exp: str = "exp", num_epochs: int = 4, copies: int = 1, sampling: str = "") -> Path:
    config = {"vmf_pl": VMF_PL, "seed": SEED.format(sampling=sampling)}[kind] + f"noisy_copies = {copies}\n"
    options = "".join(f"{key} = {value}\n" for key, value in {**RUN, "num_epochs": num_epochs}.items())
    config += f'[batches]\ntype = "shuffled"\nbatch_size = 16\n[train]\n{options}'
    (world / f"{kind}.toml").write_text(config)
    archives = [world / "train/segments.scp", *[world / "noisy/segments.scp"] * copies]
    train_enhancement.main(
        ["--config", str(world / f"{kind}.toml"), "--lists", str(world / "lists/train"),
         *(f"--embeddings={scp}" for scp in archives), "--valid-lists", str(world / "lists/valid"), "--valid-trials",
         str(world / "valid/trials"), "--valid-embeddings", str(world / "valid/segments.scp"), "--exp-dir", str(world / exp)]
    )  # fmt: skip
    return world / exp


def journal_of(exp: Path) -> list[dict]:
    return [json.loads(line) for line in (exp / "train.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", ["vmf_pl", "seed"])
def test_training_lowers_the_loss_and_says_why_there_is_none_on_held_out_speakers(kind, world, capsys) -> None:
    exp = train(world, kind, num_epochs=12)
    losses = [line["loss"] for line in journal_of(exp) if "loss" in line]
    assert np.mean(losses[-6:]) < np.mean(losses[:6])
    held_out = [line for line in journal_of(exp) if "valid_eer" in line]
    assert len(held_out) == 12 and "valid_loss" not in held_out[0]
    said = capsys.readouterr().err
    assert "no loss on held-out speakers: their utterances are their own targets" in said
    assert "48 items of 8 speakers (0 speakers are left out), 3 steps an epoch" in said


@pytest.mark.parametrize("kind", ["vmf_pl", "seed"])
def test_a_run_cut_off_and_resumed_ends_like_an_undisturbed_one(kind, world) -> None:
    whole = train(world, kind, exp="whole")
    train(world, kind, num_epochs=2, exp="cut")
    (world / "cut/checkpoints/step-0000006.pt").unlink()  # the next newest is from within the second epoch
    cut = train(world, kind, exp="cut")
    for name in ("step-0000012.pt", "best.pt"):
        assert (whole / "checkpoints" / name).read_bytes() == (cut / "checkpoints" / name).read_bytes()


def apply(world: Path, exp: Path, out: str, name: str = "noisy") -> dict[str, np.ndarray]:
    enhance.main(["--model", str(exp), "--embeddings", str(world), "--out", str(world / out), name])
    return dict(read_vectors(world / out / name / "xvector.scp"))


def test_enhanced_embeddings_are_the_same_again_and_in_another_batch(world) -> None:
    exp = train(world, "seed", sampling="sampling = {num_steps = 3}")
    first, again = (apply(world, exp, out) for out in ("a", "b"))
    (world / "few").mkdir()
    lines = (world / "noisy/segments.scp").read_text().splitlines()[1::3]
    (world / "few/segments.scp").write_text("\n".join(lines) + "\n")
    other = apply(world, exp, "c", "few")
    assert len(other) == 16
    for utt, vector in other.items():
        np.testing.assert_array_equal(first[utt], again[utt])
        np.testing.assert_allclose(vector, first[utt], atol=1e-6)
    segments = EmbeddingArchive(world / "a/noisy/segments.scp").segments(0)
    _, frontend, model = load_model(exp)
    with torch.no_grad():
        rows = torch.from_numpy(EmbeddingArchive(world / "noisy/segments.scp").segments(0))
        np.testing.assert_allclose(segments, model.embed(frontend(rows)).numpy(), atol=1e-6)


def test_another_seed_of_the_sampler_is_another_draw(world) -> None:
    exp = train(world, "seed", num_epochs=1)
    first = apply(world, exp, "a")
    config = load_json(exp / "config.json")
    config["model"]["sampling"]["seed"] = 1
    write_json(exp / "config.json", config)
    other = apply(world, exp, "b")
    assert all((first[utt] != other[utt]).any() for utt in first)


def test_the_extractors_precision_is_recorded_beside_what_is_made_of_its_embeddings(world) -> None:
    exp = train(world, "vmf_pl", num_epochs=1)
    apply(world, exp, "plain")
    assert not (world / "plain/noisy/computed.json").exists()
    write_json(world / "noisy/computed.json", {"precision": "bf16", "runtime": "torch"})
    apply(world, exp, "rounded")
    assert load_json(world / "rounded/noisy/computed.json") == {"precision": "bf16", "runtime": "torch"}


def test_a_further_draw_of_what_is_not_random_is_the_next_seed_of_the_sampler(world) -> None:
    exp = train(world, "seed", num_epochs=1)
    names = ["noisy-clean-draw3", "noisy", "noisy-codec-gsm-draw2"]  # the extractor's own: of the first draw
    shutil.copytree(world / "noisy", world / "noisy-codec-gsm")
    enhance.main(["--model", str(exp), "--embeddings", str(world), "--out", str(world / "drawn"), *names])
    config = load_json(exp / "config.json")
    for seed, name in ((2, names[0]), (0, names[1]), (1, names[2])):
        config["model"]["sampling"]["seed"] = seed
        write_json(exp / "config.json", config)
        expected = apply(world, exp, f"seed{seed}")
        found = read_vectors(world / "drawn" / name / "xvector.scp")
        assert all(np.array_equal(found[utt], vector) for utt, vector in expected.items())


def test_a_network_without_draws_is_exported(world, fails) -> None:
    drawing = train(world, "seed", num_epochs=1)
    said = fails(export.main, "--model", drawing, "--format", "torchscript", world / "out.pt")
    assert f"{drawing}: SEED draws its noise by a digest of each embedding, which no exported graph can" in said
    assert not (world / "out.pt").exists()
    exp = train(world, "seed", exp="still", num_epochs=1, sampling='sampling = {start = "zero", num_steps = 2}')
    export.main(["--model", str(exp), "--format", "torchscript", str(world / "out.pt")])
    archive = EmbeddingArchive(world / "noisy/segments.scp")
    inputs = torch.from_numpy(archive.rows(range(len(archive))))
    expected = apply(world, exp, "enhanced")
    np.testing.assert_allclose(torch.jit.load(world / "out.pt")(inputs).numpy(), list(expected.values()), atol=1e-5)


def test_inputs_that_are_their_own_targets_are_one_clear_line(world) -> None:
    with pytest.raises(SystemExit, match=r'vmf_pl.toml: loss.target = "utterance" needs loss.noisy_copies and') as stop:
        train(world, "vmf_pl", copies=0)
    assert "\n" not in stop.value.code
    assert not (world / "exp").exists()


def test_the_configurations_that_are_shipped_have_the_published_settings() -> None:
    seed, vmf_pl = (load_toml(CONF / f"embedding_{name}.toml") for name in ("seed", "mlp_vmf_pl"))
    assert {key: seed["train"][key] for key in ("optimizer", "lr", "weight_decay", "num_epochs")} == {
        "optimizer": "adamw", "lr": 5e-4, "weight_decay": 5e-5, "num_epochs": 300,
    }  # fmt: skip
    assert seed["model"] == {
        "type": "embedding_diffusion", "width": 2, "num_blocks": 3, "diffusion_steps": 1000,
        "sampling": {"noise_step": 50, "num_steps": 1},
    }  # fmt: skip
    assert vmf_pl["loss"]["terms"] == [["log_distance", 1.0]]
    assert vmf_pl["loss"]["target"] == "utterance"
