"""Reading HDF5 files as h5py writes them, and refusing what is beyond that."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from sv.published.hdf5 import HDF5Error, read_datasets

GOLDEN = Path(__file__).parents[2] / "golden" / "rawnet" / "keras.h5.gz"


@pytest.fixture(scope="module")
def golden() -> bytes:
    return gzip.decompress(GOLDEN.read_bytes())


def read(tmp_path: Path, data: bytes) -> dict[str, np.ndarray]:
    path = tmp_path / "weights.h5"
    path.write_bytes(data)
    return read_datasets(path)


def test_every_dataset_of_a_file_with_nested_groups(golden, tmp_path) -> None:
    datasets = read(tmp_path, golden)
    norms = 2 * 6 + 3  # of the blocks, the first layer, the shortcut and the embedding
    assert len(datasets) == 2 * (1 + 12 + 1) + 4 * norms + 3 + 2 + 2
    assert datasets["strided_conv/strided_conv/kernel:0"].shape == (3, 1, 4)
    assert datasets["gru_0/gru_0/recurrent_kernel:0"].shape == (5, 15)
    rng = np.random.Generator(np.random.PCG64(3))  # the first numbers that were written
    kernel = rng.uniform(-1, 1, (3, 1, 4)).astype(np.float32)
    np.testing.assert_array_equal(datasets["strided_conv/strided_conv/kernel:0"], kernel * np.float32(1))


@pytest.mark.parametrize("length", [60, 2_000, 20_000, 100_000])
def test_a_file_cut_short_is_refused(golden, tmp_path, length: int) -> None:
    with pytest.raises(HDF5Error, match=r"weights\.h5: "):
        read(tmp_path, golden[:length])


def test_other_files_are_refused(golden, tmp_path) -> None:
    with pytest.raises(HDF5Error, match=r"weights\.h5: not an HDF5 file"):
        read(tmp_path, b"no weights")
    with pytest.raises(HDF5Error, match="superblock of version 2; only version 0 is read"):
        read(tmp_path, golden[:8] + b"\x02" + golden[9:])


def test_chunked_datasets_and_integers(golden, tmp_path) -> None:
    name = "strided_conv/strided_conv/kernel:0"
    values = read(tmp_path, golden)[name]
    layout = golden.index(b"\x03\x01" + struct.pack("<QQ", golden.index(values.tobytes()), values.nbytes))
    chunked = golden[: layout + 1] + b"\x02" + golden[layout + 2 :]
    with pytest.raises(HDF5Error, match=f"weights.h5: {name}: only contiguous datasets are read"):
        read(tmp_path, chunked)


def test_big_endian_floats_are_refused(golden, tmp_path) -> None:
    float32 = b"\x11\x20\x1f\x00" + struct.pack("<I", 4)
    at = golden.index(float32)
    with pytest.raises(HDF5Error, match="only little-endian floats are read"):
        read(tmp_path, golden[: at + 1] + b"\x21" + golden[at + 2 :])
