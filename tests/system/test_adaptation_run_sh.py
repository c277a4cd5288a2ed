"""The recipe with --extractor and an adaptation: a trained model made robust, scored and reported beside itself."""

import json
import shutil
from pathlib import Path

from sv.base.files import sha256_of
from sv.kaldi import read_utt2spk, read_vectors
from sv.system.folder import read_system

CONFIG = """
[loss]
type = "adapt_full"
similarity = 1.0
held_out = [["noise", 0.0]]
[augment]
noises = ["noise"]
[batches]
type = "shuffled"
batch_size = 4
[train]
num_epochs = 1
crop_samples = 8000
num_workers = 0
log_interval = 1
"""


def test_an_adapted_model_stands_beside_its_parent_in_the_report(work, recipe, finish, tmp_path) -> None:
    """Two ranks; the parent is a folder elsewhere, as a published model is."""
    config, exp = tmp_path / "adapt_full.toml", work / "exp"
    config.write_text(CONFIG)
    parent = tmp_path / "parent"
    (parent / "checkpoints").mkdir(parents=True)
    for name in ("config.json", "checkpoints/best.pt"):
        shutil.copy(exp / "tiny" / name, parent / name)
    options = ["--config", config, "--extractor", parent, "--stage", "3", "--num-ranks", "2"]
    code, output = finish(recipe(work, *options))
    assert code == 0, output
    result = exp / "adapt_full-parent"
    assert read_system(result).parent.weights_sha256 == sha256_of(parent / "checkpoints/best.pt")
    assert read_system(result).model == read_system(parent).model
    vectors = read_vectors(result / "embeddings/voxceleb1_test-noise-snr0/xvector.scp")
    assert vectors.keys() == read_utt2spk(work / "data/voxceleb1_test/utt2spk").keys()
    other = read_vectors(exp / "parent/embeddings/voxceleb1_test-noise-snr0/xvector.scp")
    assert all((vectors[key] != other[key]).any() for key in vectors)
    rows = [json.loads((exp / name / "results.json").read_text()) for name in ("adapt_full-parent", "parent")]
    assert {row["condition"] for row in rows[0]} == {row["condition"] for row in rows[1]}
    assert "adapt_full-parent" in (result / "report/index.html").read_text()
    code, output = finish(recipe(work, *options))
    assert code == 0
    assert "nothing to do: every stage from 3 to 8 is up to date" in output

    closed = tmp_path / "adapt_wccn.toml"  # of the result, in closed form, by two ranks
    closed.write_text(CONFIG.replace("adapt_full", "adapt_wccn").replace("similarity", "shrinkage"))
    options = ["--config", closed, "--extractor", result, "--stage", "4", "--stop-stage", "5", "--num-ranks", "2"]
    code, output = finish(recipe(work, *options))
    assert code == 0, output
    mapped = exp / "adapt_wccn-adapt_full-parent"
    assert read_system(mapped).parent.weights_sha256 == sha256_of(result / "checkpoints/best.pt")
    found = read_vectors(mapped / "embeddings/voxceleb1_test-noise-snr0/xvector.scp")
    assert found.keys() == vectors.keys()


def test_an_adaptation_without_extractor_is_explained(recipe, finish, tmp_path) -> None:
    config = Path(__file__).parents[2] / "egs/voxceleb1/conf/adapt_full.toml"
    code, output = finish(recipe(tmp_path, "--config", config))
    assert code == 1
    assert "adapts a trained model: name it, --extractor MODEL" in output
