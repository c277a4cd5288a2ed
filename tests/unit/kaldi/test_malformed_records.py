"""Ten thousand odd texts a parser of single records: the right value, or our own error, and nothing else."""

import io
import os
import re
import shutil
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv.kaldi import DataDirError
from sv.kaldi.ark import _selection, _split
from sv.kaldi.record import read_header, read_text
from sv.kaldi.score_files import find_layout, iter_scores
from sv.kaldi.segments import parse_segment
from sv.kaldi.specifiers import parse_specifier

ten_thousand = settings(
    max_examples=10_000, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def attempt(read, kind):
    """Result and "" of a reader, or None and the message of its error."""
    try:
        return read(), ""
    except kind as error:
        return None, str(error)


def words(*choices: str) -> st.SearchStrategy[str]:
    """Texts of these words; one draw a case is what makes ten thousand cheap."""
    return st.binary(max_size=12).map(lambda program: "".join(choices[byte % len(choices)] for byte in program))


@ten_thousand
@given(
    text=words(
        "[", "]", "[]", " ", "\n", "\r\n", ";", "\t", "1", "-2.5", "1e3", "inf", "nan", "x", "_", "\0", "é", "  3"
    )
)
def test_text_records(text):
    data = text.encode()
    for axes in (None, 1, 2):
        found, message = attempt(lambda axes=axes: read_text(io.BytesIO(data), "x", ndim=axes), DataDirError)
        if found is None:
            assert message.startswith("x: ")
            continue
        line = data[: data.index(b"]")].replace(b"[", b" ").replace(b";", b" ")
        np.testing.assert_array_equal(found.ravel(), np.array([float(word) for word in line.split()], np.float32))
        assert axes is None or found.ndim == axes


KINDS = [b"FM ", b"DM ", b"FV ", b"DV ", b"CM ", b"CM2 ", b"CM3 ", b"FM", b"XX ", b"\xff "]


@ten_thousand
@given(program=st.binary(min_size=12, max_size=24))
def test_binary_headers(program):
    kind, cut, tail = KINDS[program[0] % len(KINDS)], program[1] % 40, program[12:]
    sizes = list(struct.unpack("<ii", program[4:12]))
    for axis in range(2):
        if program[2 + axis] % 2:
            sizes[axis] %= 4
    bodies = b"".join(b"\4" + struct.pack("<i", size) for size in sizes)
    if kind.startswith(b"C"):
        bodies = struct.pack("<ff", 0, 1) + struct.pack("<ii", *sizes)
    data = (b"\0B" + kind + bodies + tail)[: cut if cut < 30 else None]
    header, message = attempt(lambda: read_header(io.BytesIO(data), "x"), DataDirError)
    if header is None:
        assert message.startswith("x: ")
        return
    assert list(header.shape) == sizes[: len(header.shape)]
    assert min(header.shape) >= 0 and header.payload >= 0


@ten_thousand
@given(text=words("rec", " ", "0", "1.5", "-1", "1e3", "nan", "inf", "0x1", "1_0", "é", "\t", "x"))
def test_segments(text):
    segment, message = attempt(lambda: parse_segment(text), ValueError)
    if segment is None:
        assert message and "\n" not in message
        return
    fields = text.split()
    assert segment.recording == fields[0]
    assert (segment.start, segment.end) == (float(fields[1]), float(fields[2]))
    assert 0 <= segment.start < segment.end < float("inf")


def kaldis_range(text, shape):
    """Rows and columns that Kaldi's ExtractObjectRange takes of a matrix; None for what it refuses."""
    parts, found = text.split(","), []
    if len(parts) > 2:
        return None
    for axis, size in enumerate(shape):
        ends = parts[axis].split(":") if axis < len(parts) else ["", ""]
        if ends != ["", ""] and not (len(ends) == 2 and all(re.fullmatch(r"\s*\+?\d{1,9}", end) for end in ends)):
            return None
        first, last = (0, size - 1) if ends == ["", ""] else map(int, ends)
        if not (first <= last < size + (3 if axis == 0 else 0) and first < size):
            return None
        found.append(slice(first, min(last + 1, size)))
    return tuple(found)


@ten_thousand
@given(
    text=words("0", "1", "19", "20", "22", "23", ":", ",", ":", "+", " ", "-", "x", "[", "]", "999999999", "9999999999")
)
def test_ranges(text):
    location, matrix = f"a.ark:5[{text}]", np.arange(120).reshape(20, 6)
    parts, message = attempt(lambda: _split(location), DataDirError)
    if parts is None:
        assert repr(location) in message
        return
    ranges = parts[2]
    if not ranges:  # brackets that hold no range are of the file's name
        assert not re.fullmatch(r"[\d:,+ ]*", text)
        return
    found, message = attempt(lambda: _selection(ranges, matrix.shape, location), DataDirError)
    # Brackets within make the last pair the range, and the others part of a name.
    inner = text if "[" not in text else text[text.rindex("[") + 1 :]
    expected = kaldis_range(inner, matrix.shape)
    if expected is None:
        assert found is None and message.startswith(f"{location}: ")
    else:
        np.testing.assert_array_equal(matrix[found], matrix[expected])


@ten_thousand
@given(text=words("ark", "scp", ",", "t", "s", "cs", ":", "x.ark", "x.scp", " ", "-", "|", "cat x |", "p", "foo"))
def test_specifiers(text):
    found, message = attempt(lambda: parse_specifier(text), DataDirError)
    if found is None:
        assert repr(text) in message
        return
    assert len(found.files) == max(1, len(found.kinds))
    assert all(found.files) or not found.kinds


COLUMNS = ["a", "b", "1", "0", "0.5", "-2", "target", "nontarget", "x", "nan", "1e400"]


@pytest.fixture(scope="module")
def path():
    """A file that is written again and again, in memory where that is."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    yield folder / "any.scores"
    shutil.rmtree(folder)


@ten_thousand
@given(program=st.binary(max_size=20))
def test_score_files(path, program):
    lines = "".join(COLUMNS[byte % 11] + " " if byte % 16 < 11 else "\n" for byte in program).split("\n")
    rows = [line.split() for line in lines]
    path.write_text("".join(" ".join(row) + "\n" for row in rows))
    found, message = attempt(lambda: list(iter_scores(path, find_layout(path, {"a", "b"}))), DataDirError)
    if found is None:
        assert message.startswith(f"{path}:")
        return
    for number, enrolment, test, score, _ in found:
        row = rows[number - 1]
        assert {enrolment, test} <= set(row)
        assert score in {float(word) for word in row if word[0] in "-01"}


def test_a_line_of_200_000_fields_is_refused_at_once(tmp_path):
    (tmp_path / "s").write_text("1 " * 200_000 + "\n")
    with pytest.raises(DataDirError, match="s:1: 200000 columns; is this a score file"):
        find_layout(tmp_path / "s", {"1"})
