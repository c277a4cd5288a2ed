import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from sv.bin import extract
from sv.embed.embedder import utterance_embedding
from sv.embed.inputs import set_features
from sv.embed.opening import open_model
from sv.kaldi import iter_matrices, read_vectors
from sv.system.config import load_system
from sv.system.folder import build_frontend, build_model, write_system


@pytest.mark.parametrize("num_jobs", [2, 4])
def test_embeddings_do_not_depend_on_the_number_of_jobs(
    folder, staged, run_stages, assert_same, tmp_path, num_jobs
) -> None:
    assert_same(run_stages(folder, tmp_path, num_jobs), staged[1])


def test_the_vector_is_the_mean_of_the_normalised_segments(staged) -> None:
    for utt, segments in iter_matrices(staged[0] / "test" / "segments.1.scp"):
        np.testing.assert_allclose(utterance_embedding(segments), staged[1][utt], atol=1e-7)


def test_the_library_embeds_as_the_command_does(folder, staged) -> None:
    embedder = open_model(folder / "model")
    features = set_features(
        embedder.system, embedder.frontend, folder / "data/test", staged[0] / "feats", list(staged[1])
    )
    stored = dict(iter_matrices(staged[0] / "test" / "segments.1.scp"))
    for utt, vector, segments in embedder(features):
        np.testing.assert_array_equal(vector, staged[1][utt])
        np.testing.assert_array_equal(segments, stored[utt])


def test_bf16_is_recorded_beside_the_embeddings_and_float32_again(folder, staged, tmp_path) -> None:
    def run(*options: str) -> dict[str, np.ndarray]:
        extract.main(["--model", str(folder / "model"), "--out", str(tmp_path), *options, str(folder / "data/test")])
        return dict(iter_matrices(tmp_path / "test" / "segments.1.scp"))

    record = tmp_path / "test" / "computed.1.json"
    rounded = run("--precision", "bf16")
    assert json.loads(record.read_text()) == {"precision": "bf16", "runtime": "torch"}
    exact = run()
    assert json.loads(record.read_text()) == {"precision": "float32", "runtime": "torch"}
    assert all(not np.array_equal(exact[utt], rounded[utt]) for utt in exact)


def test_a_set_is_embedded_from_its_audio_beside_stored_ones(folder, staged, tmp_path) -> None:
    test, train = folder / "data/test", tmp_path / "data/train"  # of which no features are stored
    shutil.copytree(test, train)
    both = ["--model", folder / "model", "--feats", staged[0] / "feats", "--from-audio", train, "--out", tmp_path]
    extract.main([str(word) for word in (*both, train, test)])
    for name in ("train", "test"):
        found = dict(read_vectors(tmp_path / name / "xvector.1.scp"))
        assert found.keys() == staged[1].keys()
        for utt, vector in found.items():
            np.testing.assert_allclose(vector, staged[1][utt], atol=1e-6)


def test_features_of_another_system_are_refused(folder, staged, fails, tmp_path) -> None:
    feats = staged[0] / "feats"
    stored = json.loads((feats / "config.json").read_text()) | {"segment_samples": 8000, "num_mel_bins": 32}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    said = fails(
        extract.main, "--model", folder / "model", "--feats", tmp_path, "--out", tmp_path, folder / "data/test"
    )
    assert "its features differ from the system's in num_mel_bins, segment_samples; run stage 3 again" in said


def test_missing_features_say_which_stage_makes_them(folder, fails, tmp_path) -> None:
    said = fails(
        extract.main, "--model", folder / "model", "--feats", tmp_path, "--out", tmp_path, folder / "data/test"
    )
    assert f"{tmp_path}/config.json: not there; run stage 3 first" in said


def test_a_set_without_stored_features_says_which_stage_makes_them(folder, staged, fails, tmp_path) -> None:
    shutil.copy(staged[0] / "feats" / "config.json", tmp_path)
    arguments = ["--model", folder / "model", "--feats", tmp_path, "--out", tmp_path / "out", folder / "data/test"]
    assert fails(extract.main, *arguments) == f"error: {tmp_path}/test/feats.scp: not there; run stage 3 first"
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_whoever_reads_stored_features_compares_them_with_the_system(folder, staged, tmp_path) -> None:
    system = load_system(folder / "model" / "config.json")
    other = replace(system, extract=replace(system.extract, peak_normalise=True))
    with pytest.raises(ValueError, match="its features differ from the system's in peak_normalise; run stage 3 again"):
        next(set_features(other, build_frontend(other), folder / "data/test", staged[0] / "feats", ["any"]))


DIFF_SV = """
[features]
type = "log_mel"
num_mel_bins = 16
[model]
type = "diff_sv"
num_mel_bins = 16
channels = [4, 8, 8, 16]
blocks = [1, 1, 1, 1]
embedding_dim = 12
enhancer_layers = 1
enhancer_channels = 8
score_channels = 8
score_heads = 1
[model.sampling]
num_steps = 1
seed = {seed}
[extract]
segment_samples = 4000
batch_size = 4
"""


def test_a_model_that_draws_noise_embeds_a_further_draw_by_the_next_seed(folder, staged, tmp_path) -> None:
    """From the recordings, and the stored features, of the first; a model that draws nothing embeds it alike."""

    def embedded(model, name, *options):
        extract.main(["--model", str(model), "--out", str(model / "out"), *options, str(tmp_path / "data" / name)])
        return read_vectors(model / "out" / name / "xvector.1.scp")

    shutil.copytree(folder / "data/test", tmp_path / "data/test")
    (tmp_path / "data/test-clean-draw3").symlink_to("test")
    for seed in (5, 7):
        (tmp_path / "diff_sv.toml").write_text(DIFF_SV.format(seed=seed))
        system = load_system(tmp_path / "diff_sv.toml")
        torch.manual_seed(0)
        write_system(tmp_path / str(seed), system)
        (tmp_path / str(seed) / "checkpoints").mkdir()
        torch.save({"model": build_model(system).state_dict()}, tmp_path / str(seed) / "checkpoints/best.pt")
    first, expected = embedded(tmp_path / "5", "test"), embedded(tmp_path / "7", "test")
    further = embedded(tmp_path / "5", "test-clean-draw3")
    assert all(np.array_equal(further[utt], expected[utt]) for utt in expected)
    assert all(not np.array_equal(further[utt], first[utt]) for utt in first)
    shutil.copytree(folder / "model", tmp_path / "model")
    same = embedded(tmp_path / "model", "test-clean-draw3", "--feats", str(staged[0] / "feats"))
    assert all(np.array_equal(same[utt], vector) for utt, vector in staged[1].items())
