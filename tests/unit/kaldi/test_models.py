import struct
from pathlib import Path

import kaldi_native_io
import kaldiio
import numpy as np
import pytest

from sv.kaldi import DataDirError
from sv.kaldi.models import read_matrix_file, read_plda, read_vector_file, write_array_file, write_plda

GOLDEN = Path(__file__).parents[2] / "golden" / "kaldi_plda"


@pytest.mark.parametrize("text", [True, False])
def test_a_plda_model_of_kaldis_is_written_as_the_same_bytes(tmp_path, text) -> None:
    write_plda(tmp_path / "plda", *read_plda(GOLDEN / "A.plda.bin"), text)
    assert (tmp_path / "plda").read_bytes() == (GOLDEN / f"A.plda.{'txt' if text else 'bin'}").read_bytes()


@pytest.mark.parametrize("text", [True, False])
def test_a_transform_of_kaldis_is_written_as_the_same_bytes(tmp_path, text) -> None:
    write_array_file(tmp_path / "transform.mat", read_matrix_file(GOLDEN / "A.lda.bin"), text)
    assert (tmp_path / "transform.mat").read_bytes() == (GOLDEN / f"A.lda.{'txt' if text else 'bin'}").read_bytes()


def test_a_mean_of_kaldis_is_written_as_the_same_bytes(tmp_path) -> None:
    write_array_file(tmp_path / "mean.vec", read_vector_file(GOLDEN / "A.mean.txt"), text=True)
    assert (tmp_path / "mean.vec").read_bytes() == (GOLDEN / "A.mean.txt").read_bytes()


def test_text_and_binary_hold_the_same_to_seven_digits() -> None:
    for text, binary in zip(read_plda(GOLDEN / "A.plda.txt"), read_plda(GOLDEN / "A.plda.bin")):
        np.testing.assert_allclose(text, binary, rtol=6e-7)
    np.testing.assert_allclose(
        read_matrix_file(GOLDEN / "A.lda.txt"), read_matrix_file(GOLDEN / "A.lda.bin"), rtol=6e-7
    )


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("shape", [(1,), (7,), (1, 5), (4, 3), (3, 1)])
def test_what_is_written_is_read(tmp_path, shape, text) -> None:
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    write_array_file(tmp_path / "array", array, text)
    found = (read_vector_file if len(shape) == 1 else read_matrix_file)(tmp_path / "array")
    assert found.shape == shape
    np.testing.assert_allclose(found, array, rtol=6e-7 if text else 0)


def test_other_readers_read_our_binary(tmp_path) -> None:
    rng = np.random.default_rng(0)
    vector, matrix = rng.normal(size=5).astype(np.float32), rng.normal(size=(3, 6)).astype(np.float32)
    write_array_file(tmp_path / "mean.vec", vector)
    write_array_file(tmp_path / "transform.mat", matrix)
    np.testing.assert_array_equal(kaldiio.load_mat(str(tmp_path / "mean.vec")), vector)
    np.testing.assert_array_equal(kaldiio.load_mat(str(tmp_path / "transform.mat")), matrix)
    np.testing.assert_array_equal(kaldi_native_io.FloatVector.read(str(tmp_path / "mean.vec")), vector)
    np.testing.assert_array_equal(kaldi_native_io.FloatMatrix.read(str(tmp_path / "transform.mat")), matrix)


def test_kaldis_own_code_reads_our_text(tmp_path) -> None:
    matrix = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    write_array_file(tmp_path / "text", matrix, text=True)
    np.testing.assert_allclose(kaldi_native_io.FloatMatrix.read(str(tmp_path / "text")), matrix, rtol=6e-7)


def test_double_precision_is_read(tmp_path) -> None:
    (tmp_path / "mean.vec").write_bytes(b"\0BDV " + struct.pack("<bi2d", 4, 2, np.pi, -1e-12))
    assert read_vector_file(tmp_path / "mean.vec").tolist() == [np.pi, -1e-12]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\0BFV \4\5\0\0\0" + bytes(16), "not a whole Kaldi vector"),
        (b"\0BFM \4\1\0\0\0\4\1\0\0\0" + bytes(4), "not a whole Kaldi vector"),
        (b"\0BFV", "not a whole Kaldi vector"),
        (b" [ 1 2\n", "not a whole Kaldi vector"),
        (b" [\n 1 2\n 3 4 ]\n", "not a whole Kaldi vector"),
        (b" [ 1 two ]\n", "not a whole Kaldi vector"),
        (b" [ ]\n", "not a whole Kaldi vector"),
        (b"x [ 1 ]\n", "not a whole Kaldi vector"),
        (b" [ 1 nan ]\n", "holds NaN or infinity"),
        (b" [ 1 ]\n [ 2 ]\n", "there is more in the file than one object"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, data, message) -> None:
    (tmp_path / "mean.vec").write_bytes(data)
    with pytest.raises(DataDirError, match=rf"mean\.vec: {message}"):
        read_vector_file(tmp_path / "mean.vec")


def test_ragged_rows_are_refused(tmp_path) -> None:
    (tmp_path / "transform.mat").write_text(" [\n 1 2\n 3 ]\n")
    with pytest.raises(DataDirError, match=r"transform\.mat: not a whole Kaldi matrix"):
        read_matrix_file(tmp_path / "transform.mat")


def test_a_damaged_plda_model_is_named(tmp_path) -> None:
    whole = (GOLDEN / "A.plda.bin").read_bytes()
    for data, message in (
        (whole.replace(b"<Plda> ", b"<Lda> ", 1), "expected Kaldi's '<Plda>', got b'<Lda>'"),
        (whole[:-8], "expected Kaldi's '</Plda>', got b''"),
        (whole[:3000], "not a whole Kaldi matrix"),
    ):
        (tmp_path / "plda").write_bytes(data)
        with pytest.raises(DataDirError, match=f"plda: {message}"):
            read_plda(tmp_path / "plda")


def test_numbers_that_are_none_are_not_written(tmp_path) -> None:
    with pytest.raises(ValueError, match="holds NaN or infinity"):
        write_array_file(tmp_path / "mean.vec", np.array([1.0, np.nan]))
    assert list(tmp_path.iterdir()) == []
