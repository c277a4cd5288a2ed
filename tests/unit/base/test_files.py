import errno
import os

import pytest

from sv.base.files import atomic_write, existing_file, sha256_of, write_text


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


def test_an_os_error_of_ours_that_the_block_raises_is_not_about_the_file(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "file"):
        raise FileNotFoundError("feats.scp: not there; run stage 3 first")
    assert str(caught.value) == "feats.scp: not there; run stage 3 first"
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_told_with_its_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"x\.scp: not there; run stage 5 first$"):
        existing_file(tmp_path / "x.scp", "run stage 5 first")
    write_text(tmp_path / "x.scp", "")
    assert existing_file(tmp_path / "x.scp", "") == tmp_path / "x.scp"


def test_sha256_of_a_known_text(tmp_path):
    write_text(tmp_path / "abc", "abc")
    assert sha256_of(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_a_planted_link_is_not_followed_and_goes(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "file.tmp").symlink_to(tmp_path / "victim")
    write_text(tmp_path / "file", "new")
    assert (tmp_path / "victim").read_text() == "mine"
    assert (tmp_path / "file").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "victim"]


def test_what_a_killed_process_left_is_overwritten(tmp_path):
    (tmp_path / "file.tmp").write_text("a longer text than the new one")
    write_text(tmp_path / "file", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_two_writers_at_once_do_not_publish_each_others_halves(tmp_path):
    with (
        pytest.raises(OSError, match="another process is writing this file") as caught,
        atomic_write(tmp_path / "f") as file,
    ):
        file.write("one")
        (tmp_path / "f.tmp").unlink()
        (tmp_path / "f.tmp").write_text("half of ano")
    assert caught.value.errno == errno.EBUSY
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("name", ["a b", "it's", '"quoted"', "ü", "two\nlines", "-dash", "%41", "$(touch x)"])
def test_odd_names_are_names(tmp_path, name):
    write_text(tmp_path / name / name, "x")
    assert (tmp_path / name / name).read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_umask_holds(tmp_path):
    before = os.umask(0o077)
    try:
        write_text(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_what_pytorch_says_of_a_full_disk_is_told_as_that(tmp_path):
    def write(file):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            raise RuntimeError("unexpected pos 64 vs 0")

    write_text(tmp_path / "file", "old")
    message = r"could not write: No space left on device: '.*/file'"
    with pytest.raises(OSError, match=message), atomic_write(tmp_path / "file", "wb") as file:
        write(file)
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "old"


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    write_text(tmp_path / "file", "x")
    with pytest.raises(OSError, match=r"/file'|/file/out'"):
        write_text(tmp_path / "file" / "out", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"could not write: Is a directory: '.*/folder'"):
        write_text(tmp_path / "folder", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
