"""RawNet1's Keras weights: the same embedding as Keras computes, and what is refused."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from sv.published.convert import CheckpointError, convert_checkpoint
from sv.published.hdf5 import read_datasets
from sv.published.rawnet import PublishedError
from sv.published.rawnet_keras import from_keras
from sv.system.folder import load_model

GOLDEN = Path(__file__).parents[2] / "golden" / "rawnet" / "keras.h5.gz"


@pytest.fixture
def weights_file(tmp_path) -> Path:
    path = tmp_path / "RawNet_weights.h5"
    path.write_bytes(gzip.decompress(GOLDEN.read_bytes()))
    return path


def test_converted_weights_give_the_embedding_that_keras_gave(weights_file, tmp_path) -> None:
    notes = convert_checkpoint("rawnet1", weights_file, tmp_path / "model")
    assert notes == ["classifier of 7 speakers: not kept"]
    system, frontend, model = load_model(tmp_path / "model")
    assert (system.model.channels, system.model.gru_dim, system.num_speakers) == ((4, 4, 6, 6, 6, 6), 5, 7)
    wave = (2000 * np.sin(np.arange(9001) ** 1.3 / 50)).astype(np.int16)
    with torch.inference_mode():
        embedding = model.embed(frontend(torch.from_numpy(wave[None] / np.float32(32768))))
    np.testing.assert_allclose(embedding, [[0.1048407, 0.46033728, 0.66230154]], atol=2e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("gru_0/gru_0/bias:0"), "missing, by our names: gru.bias"),
        (lambda w: w.update({"gru_1/gru_1/bias:0": np.zeros(3)}), "unknown: gru_1/bias"),
        (
            lambda w: w.update({"gru_BN_0/gru_BN_0/gamma:0": np.zeros(4)}),
            r"shapes: gru_BN_0/gamma is \(4,\) turned, not \(3,\)",
        ),
        (lambda w: w.pop("gru_dense_0/gru_dense_0/kernel:0"), "it has no gru_dense_0/kernel"),
        (lambda w: w.clear(), "it has no res_conv_block_1_Conv1/kernel"),
    ],
)
def test_what_does_not_fit_is_named(weights_file, change, message: str) -> None:
    datasets = read_datasets(weights_file)
    change(datasets)
    with pytest.raises(PublishedError, match=f"not a checkpoint of rawnet1: .*{message}"):
        from_keras(datasets)


def test_a_file_of_another_kind_is_refused_by_name(tmp_path) -> None:
    (tmp_path / "weights.h5").write_text("no weights")
    with pytest.raises(CheckpointError, match=r"weights\.h5: not an HDF5 file"):
        convert_checkpoint("rawnet1", tmp_path / "weights.h5", tmp_path / "model")
    assert not (tmp_path / "model").exists()
