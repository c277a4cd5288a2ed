"""Notes that survive a kill."""

import pytest

from sv.base.notes import Notes


def write(path, *rows, subject="x"):
    notes = Notes(path, subject)
    there = list(notes.read())
    with notes:
        for row in rows:
            notes.add(*row)
    return there


def test_rows_are_read_again_and_more_come_after_them(tmp_path):
    assert write(tmp_path / "a/notes", ("one", 1), ("zwei \n", None)) == []
    assert write(tmp_path / "a/notes", ("three",)) == [["one", 1], ["zwei \n", None]]
    assert write(tmp_path / "a/notes") == [["one", 1], ["zwei \n", None], ["three"]]


@pytest.mark.parametrize("torn", [b'["tw', b'["two", 2]', b"\0\0\0\n", b"3\n", b'["tw\n["three"]\n'])
def test_a_torn_row_is_cut_off_with_what_follows(tmp_path, torn):
    write(tmp_path / "notes", ("one",))
    whole = (tmp_path / "notes").read_bytes()
    (tmp_path / "notes").write_bytes(whole + torn)
    assert write(tmp_path / "notes", ("new",)) == [["one"]]
    assert (tmp_path / "notes").read_bytes() == whole + b'["new"]\n'


def test_notes_about_something_else_are_written_over(tmp_path):
    write(tmp_path / "notes", ("one",))
    assert write(tmp_path / "notes", ("two",), subject="y") == []
    assert (tmp_path / "notes").read_bytes() == b'"y"\n["two"]\n'


def test_a_link_is_not_written_through(tmp_path):
    (tmp_path / "theirs").write_text("kept")
    (tmp_path / "notes").symlink_to(tmp_path / "theirs")
    write(tmp_path / "notes", ("one",))
    assert (tmp_path / "theirs").read_text() == "kept" and not (tmp_path / "notes").is_symlink()
