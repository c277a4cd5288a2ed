"""benchmarks/gpu.sh on a CPU: every part runs, small, and one that fails leaves the others."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ["machine", "training", "compile", "one_rank", "extraction", "eer_of_synthetic_speakers"]


def test_every_part_runs_without_a_gpu(tmp_path) -> None:
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [ROOT / "benchmarks/gpu.sh", "found.json"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert json.loads(done.stdout) == found and list(found) == PARTS
    assert found["machine"]["device"] == "cpu" and found["one_rank"]["backend"] == "gloo"
    for name in ("exu_net", "se_resnet"):
        exact, rounded = (found["training"][f"{name} {precision}"] for precision in ("float32", "bf16"))
        assert exact["losses"] != rounded["losses"]
        assert rounded["losses"][0] == pytest.approx(exact["losses"][0], rel=0.03)  # later steps amplify rounding
        assert found["extraction"][f"{name} float32"]["least_cosine_to_cpu"] > 1 - 1e-5
        assert found["extraction"][f"{name} bf16"]["least_cosine_to_cpu"] > 0.99
    eers = found["eer_of_synthetic_speakers"]
    del eers["seconds"]
    assert len(eers) == 4 and max(eers.values()) < 45  # chance is 50


def test_a_part_that_fails_leaves_the_others(tmp_path, monkeypatch, capsys) -> None:
    spec = importlib.util.spec_from_file_location("gpu_benchmark", ROOT / "benchmarks" / "gpu.py")
    gpu = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_benchmark", gpu)
    spec.loader.exec_module(gpu)

    def fail() -> dict:
        raise RuntimeError("no driver\nfor this")

    monkeypatch.setattr(gpu, "PARTS", {"broken": fail, "machine": gpu.machine})
    monkeypatch.setattr(sys, "argv", ["gpu.py", str(tmp_path / "found.json")])
    with pytest.raises(SystemExit) as exit_:
        gpu.main()
    found = json.loads((tmp_path / "found.json").read_text())
    assert exit_.value.code == 1
    assert found["broken"]["error"] == "RuntimeError: no driver" and found["machine"]["torch"]
    assert json.loads(capsys.readouterr().out) == found
