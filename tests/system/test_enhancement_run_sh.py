"""The recipe with --extractor: from the embeddings of a run to enhanced ones, scored and reported beside it."""

import json
from pathlib import Path

from sv.kaldi import read_utt2spk, read_vectors
from sv.system.folder import read_system

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


def test_an_enhancement_without_extractor_is_explained(recipe, finish, tmp_path) -> None:
    config = Path(__file__).parents[2] / "egs/voxceleb1/conf/embedding_mlp_mse.toml"
    code, output = finish(recipe(tmp_path, "--config", config))
    assert code == 1
    assert "name the model that they come from, --extractor MODEL" in output
