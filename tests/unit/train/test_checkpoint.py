import random

import numpy as np
import torch

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
