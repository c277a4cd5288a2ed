"""The recipe with --extractor: from the embeddings of a run to enhanced ones, scored and reported beside it."""

import json
from pathlib import Path

import torch

from sv.kaldi import read_utt2spk, read_vectors
from sv.system.config import load_system
from sv.system.folder import build_model, read_system, write_system

CONFIG = """
[features]
type = "embedding"
[model]
type = "embedding_mlp"
hidden = [2]
[loss]
type = "enhancement"
terms = [["mmd", 1.0], ["cosine", 1.0]]
noisy_copies = 1
[augment]
noises = ["noise"]
[batches]
type = "shuffled"
batch_size = 4
[train]
num_epochs = 2
log_interval = 1
"""

SEED = """
[features]
type = "embedding"
[model]
type = "embedding_diffusion"
[loss]
type = "embedding_diffusion"
noisy_copies = 1
[augment]
noises = ["noise"]
[batches]
type = "shuffled"
batch_size = 4
[train]
num_epochs = 1
log_interval = 1
"""
DIFF_SV = """
[features]
type = "log_mel"
num_mel_bins = 16
[model]
type = "diff_sv"
num_mel_bins = 16
channels = [4, 8, 8, 16]
blocks = [1, 1, 1, 1]
embedding_dim = 16
enhancer_layers = 1
enhancer_channels = 8
score_channels = 8
score_heads = 1
[model.sampling]
num_steps = 1
[extract]
segment_samples = 16000
"""


def test_enhanced_embeddings_stand_beside_the_extractors_in_the_report(work, recipe, finish, tmp_path) -> None:
    """From noisy halves of utterances, which have the pairs that the session term needs."""
    config, exp = tmp_path / "mlp.toml", work / "exp/mlp"
    config.write_text(CONFIG)
    options = ["--config", config, "--extractor", work / "exp/tiny", "--halves", "true"]
    options += ["--stage", "4", "--num-ranks", "2"]
    code, output = finish(recipe(work, *options))
    assert code == 0, output
    whole = read_utt2spk(work / "data/voxceleb1_train/utt2spk")
    assert len(read_utt2spk(exp / "inputs/data/noisy1/utt2spk")) == 2 * len(whole)
    assert (exp / "lists/train_distribution_list.txt").read_text().count("_1 ") > 0
    journal = [json.loads(line) for line in (exp / "train.jsonl").read_text().splitlines()]
    assert {"mmd", "cosine"} <= journal[0].keys()
    assert read_system(exp).model.embedding_dim == 16
    vectors = read_vectors(exp / "embeddings/voxceleb1_test-noise-snr0/xvector.scp")
    assert vectors.keys() == read_utt2spk(work / "data/voxceleb1_test/utt2spk").keys()
    conditions = {row["condition"] for row in json.loads((exp / "results.json").read_text())}
    assert conditions == {"clean", "noise-snr0", "noise-snr10", "babble-snr0", "babble-snr10"}
    page = (exp / "report/index.html").read_text()
    for heading in ("Enhancement", "Distances of pairs", "mlp minus tiny"):
        assert heading in page
    code, output = finish(recipe(work, *options))
    assert code == 0
    assert "nothing to do: every stage from 4 to 8 is up to date" in output


def test_systems_that_draw_noise_have_draws_of_clean_speech_and_codecs_too(work, recipe, finish, tmp_path) -> None:
    """Diff-SV, untrained, and SEED on its embeddings: more draws make the new ones alone, and the report has the spread."""
    (tmp_path / "diff.toml").write_text(DIFF_SV)
    system = load_system(tmp_path / "diff.toml")
    torch.manual_seed(0)
    model = build_model(system)
    for layer in model.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.momentum = 1.0
    with torch.no_grad():
        model.train().embed(
            torch.randn(16, 16, 100) * torch.linspace(1, 8, 16)[:, None, None]
        )  # or all speech is alike
    write_system(tmp_path / "diff", system)
    (tmp_path / "diff/checkpoints").mkdir()
    torch.save({"model": model.state_dict()}, tmp_path / "diff/checkpoints/best.pt")
    config = tmp_path / "seed.toml"
    config.write_text(SEED)
    options = ["--config", config, "--extractor", tmp_path / "diff", "--noises", "noise"]
    options += ["--conditions", "noise,codec-gsm"]
    code, output = finish(recipe(work, *options))
    assert code == 0, output
    first = {name: json.loads((work / f"exp/{name}/results.json").read_text()) for name in ("diff", "seed")}
    code, output = finish(recipe(work, *options, "--draws", "2"))
    assert code == 0, output
    for title in ("5: extract diff", "4: train seed", "5: enhance seed"):
        assert f"stage {title}: up to date" in output
    noisy = {f"noise-snr{snr}" for snr in (0, 10)}
    for name, before in first.items():
        rows = json.loads((work / f"exp/{name}/results.json").read_text())
        of_test = [row for row in rows if row["test_set"] == "voxceleb1_test"]
        fixed = {"clean", "codec-gsm"} | noisy
        assert {row["condition"] for row in of_test} == fixed | {f"{condition}-draw2" for condition in fixed}
        assert [row for row in rows if not row["condition"].endswith("-draw2")] == before
        scores = work / f"exp/{name}/scores"
        for base, redrawn in (("", "-clean"), ("-codec-gsm", "-codec-gsm")):
            one, two = (scores / f"voxceleb1_test{each}/cosine.scores" for each in (base, f"{redrawn}-draw2"))
            assert one.read_text() != two.read_text()
    table = (work / "exp/seed/report.txt").read_text().partition("over draws")[2]
    assert {"clean", "codec-gsm"} <= {line.split("  ")[0] for line in table.splitlines()}
    code, output = finish(recipe(work, *options, "--draws", "2"))
    assert "nothing to do: every stage from 0 to 8 is up to date" in output


def test_an_enhancement_without_extractor_is_explained(recipe, finish, tmp_path) -> None:
    config = Path(__file__).parents[2] / "egs/voxceleb1/conf/embedding_mlp_mse.toml"
    code, output = finish(recipe(tmp_path, "--config", config))
    assert code == 1
    assert "name the model that they come from, --extractor MODEL" in output
