"""Traces of editors and other systems in tables: a byte order mark, line ends of two bytes, blank lines at the end."""

import numpy as np
import pytest

from sv.data.index import read_columns
from sv.kaldi import DataDirError, read_scores, read_table, read_trials, read_utt2dur
from sv.kaldi.score_files import find_layout, iter_scores
from sv.kaldi.scp import text_rows
from sv.kaldi.specifiers import read_records

FRAMES = {
    "plain": lambda data: data,
    "mark": lambda data: b"\xef\xbb\xbf" + data,
    "crlf": lambda data: data.replace(b"\n", b"\r\n"),
    "blank end": lambda data: data + b"\n",
    "blank ends": lambda data: data + b"\n \t\n\r\n\n",
    "blanks after": lambda data: data + b"  ",
    "all": lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n") + b"\r\n\r\n",
}


def columns(path) -> dict[str, str]:
    keys, values = read_columns(path)
    return {keys[row]: values[row] for row in range(len(keys))}


def scores(path) -> list:
    return list(iter_scores(path, find_layout(path, {"a", "b", "c"})))


def trials(path) -> list:
    found = read_trials(path)
    return [*zip(found.enrolment, found.test, found.is_target.tolist())]


READERS = {
    "table": (read_table, b"a x y\nb z\n", {"a": "x y", "b": "z"}),
    "utt2dur": (read_utt2dur, b"a 1.5\nb 2\n", {"a": 1.5, "b": 2.0}),
    "index": (columns, b"a x y\nb z\n", {"a": "x y", "b": "z"}),
    "trials": (trials, b"a b target\nb c nontarget\n", [("a", "b", True), ("b", "c", False)]),
    "scores": (read_scores, b"a b 1.5\nb c -2\n", {("a", "b"): 1.5, ("b", "c"): -2.0}),
    "score file": (scores, b"a b 1.5\nb c -2\n", [(1, "a", "b", 1.5, None), (2, "b", "c", -2.0, None)]),
    "corpus table": (lambda path: list(text_rows(path)), b"ID AGE\n\nb 2\n", [(1, "ID AGE"), (3, "b 2")]),
}


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("reader", READERS)
def test_frames_are_nothing_of_the_tables(tmp_path, reader, frame) -> None:
    read, data, expected = READERS[reader]
    (tmp_path / "table").write_bytes(FRAMES[frame](data))
    assert read(tmp_path / "table") == expected


@pytest.mark.parametrize("reader", [name for name in READERS if name != "corpus table"])
def test_a_blank_line_between_others_is_named(tmp_path, reader) -> None:
    read, data, _ = READERS[reader]
    (tmp_path / "table").write_bytes(data.replace(b"\n", b"\n \n", 1))
    with pytest.raises(DataDirError, match="table:2: expected "):
        read(tmp_path / "table")


def test_an_scp_of_a_specifier_may_have_them_too(tmp_path) -> None:
    (tmp_path / "x.txt").write_text("[ 1 2 ]\n")
    (tmp_path / "x.scp").write_bytes(FRAMES["all"](f"a {tmp_path}/x.txt\n".encode()))
    ((key, array),) = read_records(f"scp:{tmp_path}/x.scp")
    assert key == "a"
    np.testing.assert_array_equal(array, [1, 2])


def test_a_line_that_is_no_text_is_named(tmp_path) -> None:
    (tmp_path / "table").write_bytes(b"a\n\xff\n")
    with pytest.raises(DataDirError, match="table:2: not UTF-8 text"):
        list(text_rows(tmp_path / "table"))
    (tmp_path / "table").write_text("a b\n", encoding="utf-16")
    for read in (read_table, read_trials, read_scores):
        with pytest.raises(DataDirError, match=r"table:[12]: "):
            read(tmp_path / "table")
