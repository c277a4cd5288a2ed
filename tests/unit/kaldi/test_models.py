import re
import struct
from pathlib import Path

import kaldi_native_io
import kaldiio
import numpy as np
import pytest

from sv.kaldi import DataDirError
from sv.kaldi.models import read_matrix_file, read_plda, read_vector_file, write_array_file, write_plda

NUMBER = r"-?\d[\d.e+-]*"
GOLDEN = Path(__file__).parents[2] / "golden" / "kaldi_plda"


def test_a_plda_model_of_kaldis_is_written_as_the_same_bytes(tmp_path) -> None:
    write_plda(tmp_path / "plda", *read_plda(GOLDEN / "A.plda.bin"))
    assert (tmp_path / "plda").read_bytes() == (GOLDEN / "A.plda.bin").read_bytes()


def test_a_transform_of_kaldis_is_written_as_the_same_bytes(tmp_path) -> None:
    write_array_file(tmp_path / "transform.mat", read_matrix_file(GOLDEN / "A.lda.bin"))
    assert (tmp_path / "transform.mat").read_bytes() == (GOLDEN / "A.lda.bin").read_bytes()


def test_kaldis_text_is_its_binary_to_seven_digits() -> None:
    for text, binary in zip(read_plda(GOLDEN / "A.plda.txt"), read_plda(GOLDEN / "A.plda.bin")):
        np.testing.assert_allclose(text, binary, rtol=6e-7)
    np.testing.assert_allclose(
        read_matrix_file(GOLDEN / "A.lda.txt"), read_matrix_file(GOLDEN / "A.lda.bin"), rtol=6e-7
    )


def test_our_text_is_kaldis_with_every_digit(tmp_path) -> None:
    """The same lines and numbers; ours loses nothing."""
    plda = read_plda(GOLDEN / "A.plda.bin")
    write_plda(tmp_path / "plda", *plda, text=True)
    for found, expected in zip(read_plda(tmp_path / "plda"), plda):
        np.testing.assert_array_equal(found, expected)
    write_array_file(tmp_path / "mean.vec", read_vector_file(GOLDEN / "A.mean.txt"), text=True)
    write_array_file(tmp_path / "transform.mat", read_matrix_file(GOLDEN / "A.lda.bin"), text=True)
    for name, golden in (("plda", "A.plda.txt"), ("mean.vec", "A.mean.txt"), ("transform.mat", "A.lda.txt")):
        found, expected = ((folder / file).read_text() for folder, file in ((tmp_path, name), (GOLDEN, golden)))
        assert re.sub(NUMBER, "0", found) == re.sub(NUMBER, "0", expected)


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("shape", [(1,), (7,), (1, 5), (4, 3), (3, 1)])
def test_what_is_written_is_read(tmp_path, shape, text) -> None:
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    write_array_file(tmp_path / "array", array, text)
    found = (read_vector_file if len(shape) == 1 else read_matrix_file)(tmp_path / "array")
    assert found.shape == shape
    np.testing.assert_array_equal(found, array)


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
    np.testing.assert_array_equal(kaldi_native_io.FloatMatrix.read(str(tmp_path / "text")), matrix)


def test_double_precision_is_read(tmp_path) -> None:
    (tmp_path / "mean.vec").write_bytes(b"\0BDV " + struct.pack("<bi2d", 4, 2, np.pi, -1e-12))
    assert read_vector_file(tmp_path / "mean.vec").tolist() == [np.pi, -1e-12]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\0BFV \4\5\0\0\0" + bytes(16), "the record needs 20 bytes, the file ends before"),
        (b"\0BFM \4\1\0\0\0\4\1\0\0\0" + bytes(4), r"expected a Kaldi vector, got shape \(1, 1\)"),
        (b"\0BXV", "no float vector or matrix starts there"),
        (b" [ 1 2\n", "the file ends before the closing bracket"),
        (b" [\n 1 2\n 3 4 ]\n", r"a line end within the brackets; is it a matrix\?"),
        (b" [ 1 two ]\n", "expected numbers in brackets"),
        (b" [ ]\n", r"expected a Kaldi vector, got shape \(0,\)"),
        (b" [ 1 nan ]\n", "holds NaN or infinity"),
        (b" [ 1 ]\n [ 2 ]\n", "there is more in the file than one object"),
        (b"\0BFV \4\1\0\0\0" + bytes(8), "there is more in the file than one object"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, data, message) -> None:
    (tmp_path / "mean.vec").write_bytes(data)
    with pytest.raises(DataDirError, match=rf"mean\.vec: {message}"):
        read_vector_file(tmp_path / "mean.vec")


def test_ragged_rows_are_refused(tmp_path) -> None:
    (tmp_path / "transform.mat").write_text(" [\n 1 2\n 3 ]\n")
    with pytest.raises(DataDirError, match=r"transform\.mat: row 2 holds 1 numbers, the first 2"):
        read_matrix_file(tmp_path / "transform.mat")


def test_a_damaged_plda_model_is_named(tmp_path) -> None:
    whole = (GOLDEN / "A.plda.bin").read_bytes()
    for data, message in (
        (whole.replace(b"<Plda> ", b"<Mean> ", 1), "expected '.*<Plda> ' of a Kaldi PLDA model, got b'.*<Mean> '"),
        (whole[:-8], "expected '</Plda> ' of a Kaldi PLDA model, got b''"),
        (whole[:3000], "the record needs 4608 bytes, the file ends before"),
        (whole + b"x", "there is more in the file than one object"),
        ((GOLDEN / "A.lda.txt").read_bytes(), "expected '<Plda> ' of a Kaldi PLDA model"),
    ):
        (tmp_path / "plda").write_bytes(data)
        with pytest.raises(DataDirError, match=f"plda: {message}"):
            read_plda(tmp_path / "plda")


def test_numbers_that_are_none_are_not_written(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"mean\.vec: would hold NaN or infinity"):
        write_array_file(tmp_path / "mean.vec", np.array([1.0, np.nan]))
    assert list(tmp_path.iterdir()) == []
