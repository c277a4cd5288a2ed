"""utils/doctor.py: each fault has a cause and a remedy."""

import os
import subprocess
import sys
from pathlib import Path

import doctor
import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """tools(name=script) puts shell scripts of these names first on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(**scripts):
        for name, script in scripts.items():
            path = folder / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)

    return make


def only(findings):
    found = list(findings)
    assert len(found) == 1, found
    return found[0]


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """lock(torch="2.11.0") makes a lock of these packages and versions the one that is compared with."""

    def make(**versions):
        (tmp_path / "requirements.lock").write_text(
            "".join(f"{name}=={version}\n" for name, version in versions.items())
        )
        monkeypatch.setattr(doctor, "ROOT", tmp_path)

    return make


def test_a_sound_machine_has_no_faults_in_python_and_audio(lock):
    lock(**{name: doctor.installed_version(name) for name in ("torch", "lhotse", "numpy")})
    assert [finding.remedy for finding in doctor.check_python()] == ["", ""]
    assert next(doctor.check_audio()).remedy == ""


def test_packages_that_differ_from_the_lock_are_named(lock):
    lock(lhotse="0.1", numpy=doctor.installed_version("numpy"))
    finding = list(doctor.check_python())[1]
    assert finding.cause == f"lhotse is {doctor.installed_version('lhotse')}, the lock says 0.1"
    assert "make env" in finding.remedy


@pytest.mark.parametrize(("torch", "named"), [("2.11.0+cpu", []), ("2.11.0+cu130", ["cuda-a", "nvidia-b", "triton"])])
def test_packages_of_cuda_are_missed_only_where_torch_has_cuda(torch, named, monkeypatch):
    monkeypatch.setattr(doctor, "installed_version", lambda name: torch)
    lock = "cuda-a==1 \\\n    --hash=sha256:0\nnvidia-b==1\ntorch==2.11.0\ntriton==3\ntritonic==1\n"
    assert [name for name, _ in doctor.locked_packages(lock)] == sorted([*named, "torch", "tritonic"])


def test_a_decoder_that_fails_is_named(monkeypatch):
    monkeypatch.setattr(doctor, "call", lambda *words: (1, "Traceback\nImportError: libav"))
    finding = next(doctor.check_audio())
    assert (finding.cause, finding.fatal) == ("ImportError: libav", True)


def test_too_little_disk_is_named_with_its_remedy(tmp_path):
    finding = next(doctor.check_disk(tmp_path / "not/made/yet", 10**9))
    assert "VoxCeleb1 needs about 1000000000" in finding.cause
    assert "--compress true" in finding.remedy
    assert next(doctor.check_disk(tmp_path, 0)).remedy == ""


def test_gpus_that_torch_does_not_see_are_a_fault(tools):
    tools(nvidia_smi="echo 'GPU 0: x'; echo 'GPU 1: x'")
    finding = only(doctor.check_gpus())
    assert "nvidia-smi lists 2, torch says" in finding.cause
    assert "driver" in finding.remedy
    tools(nvidia_smi="exit 9")
    assert only(doctor.check_gpus()).what == "GPUs: none; training runs on CPUs"


def test_processes_that_talk_and_one_that_cannot():
    assert only(doctor.ping(2, "gloo")).what == "gloo between 2 processes"
    finding = only(doctor.ping(1, "no_such_backend"))
    assert "no_such_backend" in finding.cause
    assert "NCCL_DEBUG=INFO" in finding.remedy


@pytest.mark.parametrize(
    ("scripts", "cause"),
    [
        ({"sbatch": "", "squeue": "", "sinfo": "echo '2 down*'; echo '1 drain'"}, "no node can run a job"),
        (
            {"sbatch": "", "squeue": "echo 'Unable to contact slurm controller' >&2; exit 1", "sinfo": ""},
            "squeue: Unable to contact",
        ),
        ({"sbatch": "", "squeue": "", "sinfo": "echo '3 idle'"}, ""),
    ],
)
def test_a_cluster_that_cannot_run_jobs(tools, scripts, cause):
    tools(**scripts)
    finding = only(doctor.check_scheduler("slurm"))
    assert finding.cause.startswith(cause) and bool(finding.remedy) == bool(cause)


def test_a_machine_without_a_scheduler(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert only(doctor.check_scheduler("sge")).cause == "qsub is not on the PATH"


def test_corpora_and_how_they_are_laid_out(tmp_path):
    (tmp_path / "voxceleb1/wav/id10001").mkdir(parents=True)
    (tmp_path / "musan").mkdir()
    (tmp_path / "Nonspeech100").mkdir()
    (tmp_path / "Nonspeech100/n1.wav").touch()
    found = {finding.what.split(":")[0]: finding for finding in doctor.check_corpora(str(tmp_path))}
    assert found["corpus voxceleb1"].what.endswith("(dev and test merged)")
    assert found["corpus nonspeech100"].what.endswith("(flat)")
    assert "laid out in no way we know: noise/*/*.wav" in found["corpus musan"].cause
    (tmp_path / "empty").mkdir()
    assert "voxceleb1: looked for" in only(doctor.check_corpora(str(tmp_path / "empty"))).cause


def test_the_program_counts_faults(tmp_path):
    command = [sys.executable, ROOT / "utils/doctor.py", "--corpora", tmp_path, "--folder", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 1
    assert "FAULT    corpora: " in done.stdout
    assert "remedy: " in done.stdout
    assert done.stderr.endswith(f"{done.stdout.count('FAULT    ')} fault(s)\n")
    assert subprocess.run([sys.executable, ROOT / "utils/doctor.py", "--submit"], capture_output=True).returncode == 2
