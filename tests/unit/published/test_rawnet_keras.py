"""RawNet1's Keras weights: the same embedding as Keras computes, and what is refused."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from sv.published.checkpoint import CheckpointError
from sv.published.convert import convert_checkpoint
from sv.published.rawnet_keras import read_datasets
from sv.system.folder import load_model


def test_converted_weights_give_the_embedding_that_keras_gave(keras_file, tmp_path) -> None:
    notes = convert_checkpoint("rawnet1", keras_file, tmp_path / "model")
    assert notes == ["classifier of 7 speakers: not kept"]
    system, frontend, model = load_model(tmp_path / "model")
    assert (system.model.channels, system.model.gru_dim, system.num_speakers) == ((4, 4, 6, 6, 6, 6), 5, 7)
    wave = (2000 * np.sin(np.arange(9001) ** 1.3 / 50)).astype(np.int16)
    with torch.inference_mode():
        embedding = model.embed(frontend(torch.from_numpy(wave[None] / np.float32(32768))))
    np.testing.assert_allclose(embedding, [[0.1048407, 0.46033728, 0.66230154]], atol=2e-5)


def test_every_dataset_of_a_file_with_nested_groups(keras_file) -> None:
    datasets = read_datasets(keras_file)
    norms = 2 * 6 + 3  # of the blocks, the first layer, the shortcut and the embedding
    assert len(datasets) == 2 * (1 + 12 + 1) + 4 * norms + 3 + 2 + 2
    assert datasets["strided_conv/strided_conv/kernel:0"].shape == (3, 1, 4)
    assert datasets["gru_0/gru_0/recurrent_kernel:0"].shape == (5, 15)
    rng = np.random.Generator(np.random.PCG64(3))  # the first numbers that were written
    kernel = rng.uniform(-1, 1, (3, 1, 4)).astype(np.float32)
    np.testing.assert_array_equal(datasets["strided_conv/strided_conv/kernel:0"], kernel * np.float32(1))


def replaced(name: str, values: np.ndarray):
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = values

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.__delitem__("gru_0/gru_0/bias:0"), r"missing: gru\.bias \(our name\)$"),
        (lambda f: f.update({"gru_1/gru_1/bias:0": np.zeros(3)}), "unknown: gru_1/bias$"),
        (lambda f: f.update({"gru_0/gru_0/beta:0": np.zeros(3)}), "unknown: gru_0/beta$"),
        (replaced("gru_BN_0/gru_BN_0/gamma:0", np.zeros(4)), r"shapes: gru_BN_0/gamma is \(4,\), not \(3,\)$"),
        (lambda f: f.__delitem__("gru_dense_0/gru_dense_0/kernel:0"), "it has no gru_dense_0/kernel$"),
        (lambda f: f.__delitem__("res_conv_block_1_Conv1"), "it has no res_conv_block_1_Conv1/kernel$"),
    ],
)
def test_what_does_not_fit_is_named(keras_file, tmp_path, change, message: str) -> None:
    with h5py.File(keras_file, "r+") as file:
        change(file)
    with pytest.raises(CheckpointError, match=rf"weights\.h5: not a checkpoint of rawnet1: {message}"):
        convert_checkpoint("rawnet1", keras_file, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("length", [4, 60, 2_000, 20_000, 100_000])
def test_a_file_cut_short_is_refused(keras_file, tmp_path, length: int) -> None:
    keras_file.write_bytes(keras_file.read_bytes()[:length])
    with pytest.raises(CheckpointError, match=r"weights\.h5: (not an HDF5 file|an HDF5 file, but damaged)") as caught:
        convert_checkpoint("rawnet1", keras_file, tmp_path / "model")
    assert "\n" not in str(caught.value)


def test_damage_within_the_file_is_one_line(keras_file, tmp_path) -> None:
    whole, messages = bytearray(keras_file.read_bytes()), []
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = whole.copy()
        for at in rng.integers(8, 4000, size=3):
            damaged[at] = rng.integers(256)
        keras_file.write_bytes(damaged)
        try:
            convert_checkpoint("rawnet1", keras_file, tmp_path / "model")
        except CheckpointError as error:
            messages.append(str(error))
    assert len(messages) > 10
    assert all("\n" not in message and "RawNet_weights.h5: " in message for message in messages)


def test_values_in_other_files_are_not_read(tmp_path) -> None:
    secret, path = tmp_path / "secret", tmp_path / "weights.h5"
    secret.write_bytes(np.ones(4, dtype=np.float32).tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.ones(4)
    with h5py.File(path, "w") as file:
        file["link"] = h5py.ExternalLink("other.h5", "x")
        file["soft"] = h5py.SoftLink("/kept")
        file["kept"] = np.ones(2, dtype=">f8")
        file["count"] = np.arange(3)
        file["text"] = "of keras"
        file["none"] = h5py.Empty("f")
    assert list(read_datasets(path)) == ["kept"]
    for name, options in (("raw", {"external": [(str(secret), 0, 16)]}), ("virtual", {})):
        with h5py.File(path, "w") as file:
            if options:
                file.create_dataset(name, (4,), np.float32, **options)
            else:
                layout = h5py.VirtualLayout((4,), np.float64)
                layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", (4,))
                file.create_virtual_dataset(name, layout)
        with pytest.raises(CheckpointError, match=f"^{name}: its values are in another file, which is not read$"):
            read_datasets(path)


def test_a_small_file_cannot_ask_for_much_memory(tmp_path) -> None:
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        for name in "ab":
            file.create_dataset(name, (2**26,), np.float32, chunks=(1024,), compression="gzip")
    with pytest.raises(CheckpointError, match="536870912 bytes of weights, more than any rawnet1 has"):
        read_datasets(tmp_path / "weights.h5")


def test_compressed_weights_are_read(keras_file, tmp_path) -> None:
    with h5py.File(keras_file) as old, h5py.File(tmp_path / "new.h5", "w", libver="latest") as new:
        old.visititems(
            lambda name, item: None if isinstance(item, h5py.Group) else packed(new, name, item[()])
        )  # None goes on
    for name, values in read_datasets(keras_file).items():
        np.testing.assert_array_equal(read_datasets(tmp_path / "new.h5")[name], values)


def packed(file: h5py.File, name: str, values: np.ndarray) -> None:
    file.create_dataset(name, data=values, compression="gzip")


def test_without_h5py_the_extra_is_named(keras_file, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("sv.base.packages.find_spec", lambda name: None)
    with pytest.raises(
        CheckpointError, match=r"weights\.h5: a \.h5 file of Keras needs h5py: pip install '[\w-]+\[keras\]'"
    ):
        convert_checkpoint("rawnet1", keras_file, tmp_path / "model")
