import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
ENV = os.environ | {"PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def gradients(tmp_path, script, *arguments):
    """Gradients that the script saves when run by one process and by two."""
    for name, launcher in (("one.pt", [sys.executable]), ("two.pt", TORCHRUN)):
        command = [*launcher, HERE / script, *arguments, tmp_path / name]
        done = subprocess.run(command, capture_output=True, text=True, env=ENV, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(tmp_path / name, weights_only=True) for name in ("one.pt", "two.pt")]


def test_two_ranks_give_the_gradients_of_one(tmp_path):
    expected, found = gradients(tmp_path, "ddp_gradients.py")
    assert expected.keys() == found.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        tolerance = 1e-4 * float(gradient.abs().max()) + 1e-6 * largest
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=tolerance, msg=name)
    # The loss over the pairs of all ranks is among what was compared, and most of the network is reached.
    assert expected["criteria.angular_prototypical.scale"].abs() > 0
    assert sum(bool(gradient.any()) for gradient in expected.values()) > 0.8 * len(expected)


@pytest.mark.parametrize("criterion", ["angular_prototypical", "prototypical", "triplet"])
def test_metric_losses_of_two_ranks_give_the_gradients_of_one(criterion, tmp_path):
    expected, found = gradients(tmp_path, "ddp_metric_gradients.py", criterion)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert all(gradient.abs().max() > 1e-3 for name, gradient in expected.items() if not name.endswith("metric.bias"))


@pytest.mark.parametrize("kind", ["adapt_full", "adapt_adapters", "adapt_frontend"])
def test_adaptations_of_two_ranks_have_the_gradients_of_one(kind, tmp_path):
    expected, found = gradients(tmp_path, "ddp_adaptation_gradients.py", kind)
    assert expected.keys() == found.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        tolerance = 1e-4 * float(gradient.abs().max()) + 1e-6 * largest
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=tolerance, msg=name)
    assert sum(bool(gradient.any()) for gradient in expected.values()) > 0.8 * len(expected)


def test_noise_lora_of_two_ranks_has_the_gradients_of_one(tmp_path):
    expected, found = gradients(tmp_path, "ddp_noise_lora_gradients.py")
    assert expected.keys() == found.keys() and not [name for name in found if name.startswith("teacher.")]
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        tolerance = 1e-4 * float(gradient.abs().max()) + 1e-6 * largest
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=tolerance, msg=name)
    assert sum(bool(gradient.any()) for gradient in expected.values()) > 0.9 * len(expected)


def test_two_ranks_of_diff_sv_stay_one_model(tmp_path):
    script = HERE / "ddp_diff_sv.py"
    done = subprocess.run([*TORCHRUN, script, tmp_path], capture_output=True, text=True, env=ENV, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    (tmp_path / "alone").mkdir()
    assert subprocess.run([sys.executable, script, tmp_path / "alone"], env=ENV, timeout=300).returncode == 0
    alone = torch.load(tmp_path / "alone" / "rank0.pt", weights_only=True)
    assert not all(torch.equal(value, alone[name]) for name, value in first.items())  # the other rank's batch counted


def test_steps_of_several_batches_and_the_mean_of_weights_are_those_of_one_process(tmp_path):
    for name, launcher in (("one", [sys.executable]), ("two", TORCHRUN)):
        command = [*launcher, HERE / "ddp_accumulation.py", tmp_path / name]
        done = subprocess.run(command, capture_output=True, text=True, env=ENV, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
    one, first, second = (torch.load(tmp_path / name, weights_only=True) for name in ("one.0", "two.0", "two.1"))
    assert any(name.startswith("mean.") for name in one)
    for name, value in one.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], value, rtol=1e-5, atol=1e-7, msg=name)
        mean = one.get(f"mean.{name}")
        assert mean is None or not torch.equal(mean, value)
