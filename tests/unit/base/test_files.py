import errno

import pytest

from sv.base.files import atomic_write, sha256_of, write_text


def test_a_file_appears_only_when_the_block_succeeds(tmp_path):
    path = tmp_path / "new" / "file"
    with pytest.raises(RuntimeError, match="half-way"), atomic_write(path) as file:
        file.write("half")
        raise RuntimeError("half-way")
    assert list(path.parent.iterdir()) == []
    write_text(path, "whole\n")
    assert path.read_text() == "whole\n"
    assert [item.name for item in path.parent.iterdir()] == ["file"]


def test_a_failure_keeps_what_was_there(tmp_path):
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(KeyError), atomic_write(path, "wb") as file:
        file.write(b"new")
        raise KeyError
    assert path.read_text() == "old"


def test_an_os_error_names_the_file(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(OSError, match="could not write: No space left") as caught, atomic_write(path) as file:
        file.write("x")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(path)
    assert not list(tmp_path.iterdir())


def test_sha256_of_a_known_text(tmp_path):
    write_text(tmp_path / "abc", "abc")
    assert sha256_of(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")
