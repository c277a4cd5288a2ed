"""Ten thousand odd texts a parser of single records: the right value, or our own error, and nothing else."""

import io
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv.kaldi import DataDirError
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
    """Texts of these words, and of any others now and then."""
    return st.lists(st.sampled_from(choices), max_size=12).map("".join)


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


@ten_thousand
@given(
    kind=st.sampled_from([b"FM ", b"DM ", b"FV ", b"DV ", b"CM ", b"CM2 ", b"CM3 ", b"FM", b"XX ", b"\xff "]),
    sizes=st.lists(st.integers(-(2**31), 2**31 - 1) | st.integers(0, 3), min_size=2, max_size=2),
    tail=st.binary(max_size=12),
    cut=st.integers(0, 40),
)
def test_binary_headers(kind, sizes, tail, cut):
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


@ten_thousand
@given(text=words("ark", "scp", ",", "t", "s", "cs", ":", "x.ark", "x.scp", " ", "-", "|", "cat x |", "p", "foo"))
def test_specifiers(text):
    found, message = attempt(lambda: parse_specifier(text), DataDirError)
    if found is None:
        assert repr(text) in message
        return
    assert len(found.files) == max(1, len(found.kinds))
    assert all(found.files) or not found.kinds


@ten_thousand
@given(
    rows=st.lists(
        st.lists(
            st.sampled_from(["a", "b", "1", "0", "0.5", "-2", "target", "nontarget", "x", "nan", "1e400"]), max_size=5
        ),
        max_size=4,
    )
)
def test_score_files(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "any.scores"
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
