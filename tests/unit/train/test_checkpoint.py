import io
import random
import re
import resource

import numpy as np
import pytest
import torch

from sv.base.config import ConfigError
from sv.train import checkpoint


def test_newest_readable_checkpoint_wins(tmp_path, capfd):
    for step in (1, 2, 3):
        checkpoint.save_step(tmp_path, step, {"step": step}, keep=2)
    assert [path.name for path in checkpoint.step_checkpoints(tmp_path)] == ["step-0000002.pt", "step-0000003.pt"]
    assert torch.load(tmp_path / "last.pt", weights_only=False) == {"step": 3}
    newest = tmp_path / "step-0000003.pt"
    newest.write_bytes(newest.read_bytes()[:100])
    assert checkpoint.load_newest(tmp_path) == {"step": 2}
    assert f"{newest} cannot be read" in capfd.readouterr().err


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoint.load_newest(tmp_path / "nowhere") is None


def test_bytes_do_not_depend_on_the_name(tmp_path):
    for name in ("a.pt", "longer.pt"):
        checkpoint.save(tmp_path / name, {"w": torch.ones(3)})
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "longer.pt").read_bytes()


def test_generators_are_restored():
    state = checkpoint.rng_state()
    first = torch.rand(2).tolist(), np.random.rand(), random.random()
    checkpoint.restore_rng(state)
    assert first == (torch.rand(2).tolist(), np.random.rand(), random.random())


def test_equal_seeds_give_checkpoints_of_equal_bytes(tmp_path):
    for name in ("a", "b"):
        checkpoint.seed_rng(2**32 - 1)
        checkpoint.save(tmp_path / name, {"rng": checkpoint.rng_state()})
        random.random(), np.random.random(), torch.rand(1)  # another process has drawn otherwise
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("room", [0, 100, 5000])
def test_a_full_disk_is_told_and_the_old_file_stays(tmp_path, room):
    checkpoint.save(tmp_path / "best.pt", {"model": {"w": torch.ones(3)}})
    before = (tmp_path / "best.pt").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(OSError, match=r"could not write: .*/best\.pt'"):
            checkpoint.save(tmp_path / "best.pt", {"model": {"w": torch.ones(30_000)}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]
    assert (tmp_path / "best.pt").read_bytes() == before


@pytest.mark.parametrize("name", ["symlink_to", "replace"])
def test_a_link_that_cannot_be_made_is_told_and_the_old_one_stays(tmp_path, monkeypatch, name):
    checkpoint.save_step(tmp_path, 1, {"step": 1}, keep=2)
    real = getattr(type(tmp_path), name)

    def full(self, target):
        if "last.pt" in self.name:
            raise OSError(28, "No space left on device", str(target), None, str(self))
        return real(self, target)

    monkeypatch.setattr(type(tmp_path), name, full)
    with pytest.raises(OSError, match=r"could not write: No space left on device: '.*/last\.pt'"):
        checkpoint.save_step(tmp_path, 2, {"step": 2}, keep=2)
    assert (tmp_path / "last.pt").readlink().name == "step-0000001.pt"
    assert not list(tmp_path.glob("*.tmp"))


def pickled(value) -> bytes:
    torch.save(value, out := io.BytesIO())
    return out.getvalue()


GOOD = pickled({"model": {"w": torch.ones(3)}})


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"\0" * 64, b"<html>",
     b"a inf\n", b"[" * 100_000, b"PK\3\4", GOOD[:100], GOOD[:-30], b"-rf /", b"{}", b"\x80\x02."],
)  # fmt: skip
def test_weights_that_cannot_be_read_are_named_in_one_line(tmp_path, content):
    (tmp_path / "best.pt").write_bytes(content)
    with pytest.raises(ConfigError, match=f"^{re.escape(str(tmp_path))}/best.pt: not a checkpoint of ours") as raised:
        checkpoint.load_weights(tmp_path / "best.pt")
    assert "\n" not in str(raised.value) and "weights_only" not in str(raised.value)


@pytest.mark.parametrize(
    "value",
    [None, [1], 3, {}, {"w": torch.ones(1)}, {"model": [1]}, {"model": {"w": 1}}, {"model": {1: torch.ones(1)}}],
)
def test_what_holds_no_weights_is_named_in_one_line(tmp_path, value):
    (tmp_path / "best.pt").write_bytes(pickled(value))
    with pytest.raises(ConfigError, match=r"/best.pt: it holds no weights by name under 'model'; sv convert"):
        checkpoint.load_weights(tmp_path / "best.pt")


def test_weights_that_are_not_there_or_a_folder_are_the_systems_own_words(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        checkpoint.load_weights(tmp_path / "none.pt")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        checkpoint.load_weights(tmp_path)
