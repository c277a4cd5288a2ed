"""utils/run_lock.py: who may be in a folder."""

import json
import os

import pytest
import run_lock


def a_run(number=1):
    return f"{run_lock.identity(os.getpid())}.{number}"


def test_locks_are_ours_alone(tmp_path):
    assert run_lock.lock(tmp_path, a_run()) is True
    assert run_lock.lock(tmp_path, a_run()) is False
    with pytest.raises(run_lock.Busy, match=f"another run \\(process {os.getpid()}\\)"):
        run_lock.lock(tmp_path, a_run(2))
    run_lock.unlock(tmp_path, "not ours")
    assert (tmp_path / ".lock").exists()
    run_lock.unlock(tmp_path, a_run())
    assert not (tmp_path / ".lock").exists()


def test_a_process_id_given_anew_does_not_keep_a_lock(tmp_path):
    run_lock.lock(tmp_path, f"{os.getpid()}.1.1")  # ours, but another start time
    assert run_lock.lock(tmp_path, a_run()) is True


def test_a_lock_of_another_machine_is_left_alone(tmp_path):
    (tmp_path / ".lock").write_text(json.dumps({"run": "1.1.1", "host": "elsewhere", "pid": 1, "since": "today"}))
    with pytest.raises(run_lock.Busy, match=r"a run on elsewhere .* remove that file"):
        run_lock.lock(tmp_path, a_run())


def test_a_lock_cut_off_while_it_was_written_is_taken_over(tmp_path):
    (tmp_path / ".lock").write_text('{"run":')
    os.utime(tmp_path / ".lock", (0, 0))
    assert run_lock.lock(tmp_path, a_run()) is True


def test_readers_are_many_and_keep_makers_out(tmp_path):
    run_lock.share(tmp_path, a_run(1))
    run_lock.share(tmp_path, a_run(2))
    with pytest.raises(run_lock.Busy, match=r"reads this folder"):
        run_lock.lock(tmp_path, a_run(1))
    assert not (tmp_path / ".lock").exists()
    run_lock.unlock(tmp_path, a_run(2))
    assert run_lock.lock(tmp_path, a_run(1)) is True


def test_a_maker_keeps_readers_out_until_it_rests(tmp_path):
    run_lock.lock(tmp_path, a_run(1))
    with pytest.raises(run_lock.Busy, match=r"is making what is in this folder"):
        run_lock.share(tmp_path, a_run(2))
    assert not list(tmp_path.glob(".reading.*"))
    run_lock.rest(tmp_path, a_run(1))
    run_lock.share(tmp_path, a_run(2))
    with pytest.raises(run_lock.Busy, match=r"is in this folder"):
        run_lock.lock(tmp_path, a_run(2))
    with pytest.raises(run_lock.Busy, match=r"would be left without it"):
        run_lock.lock(tmp_path, a_run(1))


def test_a_dead_reader_keeps_nobody_out(tmp_path):
    run_lock.share(tmp_path, f"{os.getpid()}.1.1")
    assert run_lock.lock(tmp_path, a_run()) is True
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_an_empty_lock_from_the_future_is_taken_over(tmp_path):
    (tmp_path / ".lock").touch()
    os.utime(tmp_path / ".lock", (4e9, 4e9))
    assert run_lock.lock(tmp_path, a_run()) is True


@pytest.mark.parametrize("content", ["[]", "{}", '{"run": 1, "host": []}', "7", '"run"'])
def test_what_is_no_lock_is_said(tmp_path, content):
    (tmp_path / ".lock").write_text(content)
    with pytest.raises(
        run_lock.Busy, match=r"\.lock: not a lock of ours .*; if no run is in this folder, remove that file"
    ):
        run_lock.lock(tmp_path, a_run())


def test_a_folder_that_cannot_be_written_to_can_be_read(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(run_lock.os, "open", refuse)
    run_lock.share(tmp_path, a_run())
    assert not list(tmp_path.iterdir())


def test_a_link_that_leads_nowhere_is_taken_over(tmp_path):
    (tmp_path / ".lock").symlink_to(tmp_path / "nowhere")
    os.utime(tmp_path / ".lock", (0, 0), follow_symlinks=False)
    assert run_lock.lock(tmp_path, a_run()) is True
    assert not (tmp_path / "nowhere").exists()


def test_a_lock_that_cannot_be_written_is_not_left(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_lock.json, "dump", full)
    with pytest.raises(OSError, match=r"could not write: No space left on device: '.*/\.lock"):
        run_lock.lock(tmp_path, a_run())
    assert list(tmp_path.iterdir()) == []
