import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from sv.bin import extract
from sv.embed.embedder import utterance_embedding
from sv.embed.inputs import set_features
from sv.embed.opening import open_model
from sv.kaldi import iter_matrices
from sv.system.config import load_system
from sv.system.folder import build_frontend


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
