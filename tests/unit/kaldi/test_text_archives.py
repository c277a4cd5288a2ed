"""Kaldi's text archives, by whoever wrote them: read as Kaldi's own programs read them."""

import io

import kaldi_native_io as kaldi
import numpy as np
import pytest

from sv.kaldi import DataDirError
from sv.kaldi.record import read_text
from sv.kaldi.specifiers import open_records, read_records

MATRICES = {
    "one line": b" [ 1 2 3 ]\n",
    "one number": b" [ 5 ]\n",
    "empty": b" [ ]\n",
    "empty, glued": b" []\n",
    "empty over lines": b" [\n\n ]\n",
    "as Kaldi writes": b" [\n  1 2 \n  3 4 ]\n",
    "rows begin at once": b" [ 1 2\n 3 4 ]\n",
    "semicolons": b" [ 1 2; 3 4 ]\n",
    "semicolon at the end": b" [ 1 2;\n 3 4;\n ]\n",
    "blank lines": b" [\n\n 1 2\n\n\n 3 4\n\n]\n",
    "tabs and blanks": b"\t[\t 1   2\t\n\t3 4\t]\n",
    "CRLF": b" [\r\n 1 2\r\n 3 4 ]\r\n",
    "closed at once": b" [ 1 2]\n",
    "exponents": b" [ 1e3 -2.5E-2 0.5 ]\n",
    "not finite": b" [ inf NaN Infinity ]\n",
    "uneven": b" [ 1 2\n 3 ]\n",
    "glued to a number": b" [1 2 ]\n",
    "comment": b" [ 1 2 # two\n 3 4 ]\n",
    "words": b" [ one two ]\n",
    "no brackets": b" 1 2\n",
    "not closed": b" [ 1 2\n",
}
VECTORS = (
    "one line",
    "one number",
    "empty",
    "empty, glued",
    "as Kaldi writes",
    "CRLF",
    "semicolons",
    "not finite",
    "words",
)


def by_kaldi(reader: type, path) -> list[tuple[str, np.ndarray]] | None:
    try:
        with reader(f"ark:{path}") as records:
            return [(key, np.array(value)) for key, value in records]
    except RuntimeError:
        return None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of its reader that could not begin
@pytest.mark.parametrize(
    ("ndim", "name"), [*((2, name) for name in MATRICES), *((1, name) for name in VECTORS)], ids=str
)
def test_a_text_is_read_as_kaldi_reads_it(tmp_path, ndim, name) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"u" + MATRICES[name] + b"v  [ 7 ]\n")
    expected = by_kaldi({1: kaldi.SequentialFloatVectorReader, 2: kaldi.SequentialFloatMatrixReader}[ndim], path)
    if not expected or len(expected) != 2:  # that is how its Python reader ends where something is wrong
        with pytest.raises(DataDirError, match=r"x\.txt: u: |x\.txt: expected a key"):
            list(read_records(f"ark:{path}", ndim=ndim))
        return
    found = list(read_records(f"ark:{path}", ndim=ndim))
    assert [key for key, _ in found] == ["u", "v"]
    for (_, array), (_, theirs) in zip(found, expected):
        assert array.dtype == np.float32
        assert array.shape == theirs.shape if theirs.size else array.size == 0
        np.testing.assert_array_equal(array, theirs)


@pytest.mark.parametrize("name", ["uneven", "glued to a number", "comment", "words", "no brackets", "not closed"])
def test_what_kaldi_refuses_is_refused(name) -> None:
    with pytest.raises(DataDirError, match=r"^x: "):
        read_text(io.BytesIO(MATRICES[name]), "x", ndim=2)


def test_empty_matrices_have_two_axes_and_are_written_in_every_form(tmp_path) -> None:
    (tmp_path / "e.txt").write_bytes(b"e  [ ]\nf  [\n 1 2 ]\n")
    for kind, method in (("ark", None), ("ark,t", None), ("ark", 1), ("ark", 2), ("ark", 7)):
        with open_records(f"{kind}:{tmp_path}/e.ark", method) as write:
            for key, array in read_records(f"ark:{tmp_path}/e.txt", ndim=2):
                write(key, array)
        found = dict(read_records(f"ark:{tmp_path}/e.ark", ndim=2))
        assert {key: array.shape for key, array in found.items()} == {"e": (0, 0), "f": (1, 2)}
        theirs = dict(by_kaldi(kaldi.SequentialFloatMatrixReader, tmp_path / "e.ark"))
        assert theirs["e"].size == 0
        np.testing.assert_allclose(theirs["f"], found["f"], atol=1e-5)


def test_a_row_of_another_length_is_named() -> None:
    with pytest.raises(DataDirError, match=r"^x: row 3 holds 1 numbers, the first 2$"):
        read_text(io.BytesIO(b"[ 1 2\n3 4\n\n5\n6 7 ]\n"), "x")
    with pytest.raises(DataDirError, match=r"^x: a line end within the brackets; is it a matrix\?$"):
        read_text(io.BytesIO(b"[ 1 2\n3 4 ]\n"), "x", ndim=1)
