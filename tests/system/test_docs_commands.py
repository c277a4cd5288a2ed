"""The documentation's commands, run as a reader types them: the tutorials in a copy of the repository, `sv` lines on tiny data."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from local.make_synthetic_corpus import Espeak, choose_voices
from sv.__main__ import main
from sv.kaldi import open_ark_scp, write_table
from sv.scoring.calibration import LogisticCalibration, write_calibration
from sv.system.config import load_system
from sv.system.folder import build_model, write_system

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = ("index", "score_a_model", "own_corpus", "adapt", "new_system", "cluster")  # each after those that it needs
NOT_COPIED = re.compile(r"(\.git|\.venv.*|build|\.\w+_cache|egs/\w+/(data|exp)|docs/(_build|generated)|.*__pycache__)")
MARK = "@@ end of command"


def load_blocks():
    path = ROOT / "docs" / "extensions" / "blocks.py"
    spec = importlib.util.spec_from_file_location("blocks", path)
    module = sys.modules["blocks"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


blocks = load_blocks()


def ignored(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if NOT_COPIED.fullmatch(str((Path(folder) / name).relative_to(ROOT)))]


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A copy of the repository, and beside it a home folder; both are written to."""
    clone = tmp_path_factory.mktemp("docs") / "clone"
    shutil.copytree(ROOT, clone, symlinks=True, ignore=ignored)
    (clone / ".venv").symlink_to(sys.prefix)
    (clone.parent / "home").mkdir()
    return clone


def bash(script: str, folder: Path) -> str:
    """Output of a script, with the errors in it, from a shell like a reader's; `folder` holds the reader's home."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("SV_", "PYTHONPATH"))}
    env = known | {"HOME": str(folder.parent / "home"), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = ["bash", "-c", f"exec 2>&1\n{script}"]
    done = subprocess.run(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True, timeout=500)
    return done.stdout


def same(line: str) -> str:
    """A line without what another machine prints otherwise: numbers, hashes, folders, names of machines, widths."""
    line = re.sub(r"\S+/home/|/home/me/", "~/", line.replace("~/", "/home/me/"))
    line = re.sub(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \w{3}\b", "day", line)
    line = re.sub(r"^# Running on .*", "# Running on", line)
    line = re.sub(r"\b(?=\w*\d)[0-9a-f]{7,64}\b|-?\d+(\.\d+)?", "0", line)
    return re.sub(r"\s+", " ", re.sub("-{3,}", "---", line)).strip()


def assert_prints(expected: list[str], printed: str, command: str) -> None:
    """Each expected line is among the printed ones, in this order; `...` stands for anything."""
    rest = iter([same(line) for line in printed.splitlines()])
    for line in filter(None, map(same, expected)):
        pattern = ".*".join(map(re.escape, line.split("...")))
        assert line == "..." or any(re.fullmatch(pattern, other) for other in rest), (
            f"{command}\n{line}\nnot in:\n{printed}"
        )


@pytest.fixture
def stand_in(clone) -> None:
    """Stand-in for what a tutorial takes from the network: the tiny system of another one in the place of a published model."""
    place, trained = clone / "egs/own/campplus", clone / "egs/own/exp/calls/se_resnet"
    if trained.exists() and not place.exists():
        (place / "checkpoints").mkdir(parents=True)
        for name in ("config.json", "checkpoints/best.pt"):
            shutil.copy(trained / name, place / name)


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_goes_as_it_is_told(name, clone, stand_in) -> None:
    script, expected = "", []
    for block in blocks.blocks_of(ROOT / "docs" / "tutorials" / f"{name}.md"):
        if block.file:
            (clone / block.file).parent.mkdir(parents=True, exist_ok=True)
            (clone / block.file).write_text(block.text)
        elif block.language == "console":
            for command, lines in blocks.typed(block):
                script += f"{command}\necho '{MARK}' $?\n"
                expected.append((command, lines))
    printed = re.split(rf"{MARK} (\d+)\n", bash(script, clone))
    assert len(printed) == 2 * len(expected) + 1
    for (command, lines), output, code in zip(expected, printed[::2], printed[1::2]):
        assert code == "0", f"{command}\n{output}"
        assert_prints(lines, output, command)


def test_every_tutorial_is_run() -> None:
    assert sorted(path.stem for path in (ROOT / "docs" / "tutorials").glob("*.md")) == sorted(TUTORIALS)


SYSTEM = """
[features]
type = "log_mel"
num_mel_bins = 16
[model]
type = "se_resnet"
num_mel_bins = 16
channels = [4, 8, 8, 16]
blocks = [1, 1, 1, 1]
embedding_dim = 6
[extract]
segment_samples = 16000
"""
SPEAKERS, COHORT = 26, 310  # enough pairs for the thresholds that the pages ask for; enough for AS-norm's top-n
RECORDINGS = ("a.wav", "a1.wav", "a2.wav", "a3.wav", "b.wav", "b.flac", "someone.wav", "more/x/c.wav", "corpus/d.wav")


def write_model(folder: Path) -> None:
    """A system with drawn weights and a calibration, as a model folder."""
    (folder.parent / "tiny.toml").write_text(SYSTEM)
    system = load_system(folder.parent / "tiny.toml")
    torch.manual_seed(0)
    write_system(folder, system)
    (folder / "checkpoints").mkdir()
    torch.save({"model": build_model(system).state_dict()}, folder / "checkpoints" / "best.pt")
    calibration = LogisticCalibration().fit(np.array([[0.1], [0.9]]), np.array([False, True]))
    (folder / "calibration").mkdir()
    write_calibration(folder / "calibration" / "cosine.json", calibration, ["score"], "0" * 64)


def buzz(speaker: int, rng: np.random.Generator) -> np.ndarray:
    """Two seconds of three tones that are the speaker's, in noise."""
    seconds = np.arange(32_000) / 16_000
    tones = np.random.default_rng(speaker).uniform(100, 7000, size=3)
    return 0.1 * np.sin(2 * np.pi * tones[:, None] * seconds).sum(axis=0) + 0.02 * rng.normal(size=32_000)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """Every file that a line of the pages names, tiny; `campplus` and `exp/exu_net` are one small system."""
    folder = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(0)
    utts = [f"s{speaker:02d}-{number}" for speaker in range(SPEAKERS) for number in range(2)]
    for path in [*RECORDINGS, *(f"corpus/{utt}.wav" for utt in utts)]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / path, buzz(int(path[8:10]) if path.startswith("corpus/s") else 30, rng), 16_000)
    espeak = Espeak()
    for path, voice in zip(("a.wav", "b.wav"), choose_voices(2, seed=0)):  # the detector of speech finds some
        soundfile.write(folder / path, 0.5 * espeak.speak("seven wooden boxes behind the quiet station", voice), 16_000)
    (folder / "campplus").mkdir()
    write_model(folder / "campplus")
    shutil.copytree(folder / "campplus", folder / "exp" / "exu_net")
    pairs = [(a, b) for a in utts for b in utts if a < b]
    trials = "".join(f"{a} {b} {'target' if a[:3] == b[:3] else 'nontarget'}\n" for a, b in pairs)
    others = [f"t{speaker:03d}-{number}" for speaker in range(COHORT) for number in range(2)]
    utt2spk = {utt: utt.partition("-")[0] for utt in utts + others}
    centres = {speaker: 2 * rng.normal(size=6) for speaker in dict.fromkeys(utt2spk.values())}
    vectors = {utt: centres[speaker] + 0.5 * rng.normal(size=6) for utt, speaker in utt2spk.items()}
    vectors = {utt: vector / np.linalg.norm(vector) for utt, vector in vectors.items()}
    write_table(folder / "utt2spk", utt2spk)
    for path, prefix in (("", ""), ("data/mine", ""), ("data/test", "x"), ("valid", "")):
        (folder / path).mkdir(exist_ok=True, parents=True)
        (folder / path / "trials").write_text(trials)
        write_table(folder / path / "wav.scp", {f"{prefix}{utt}": f"{folder}/corpus/{utt}.wav" for utt in utts})
    write_table(folder / "data/mine/utt2spk", {utt: utt2spk[utt] for utt in utts})
    for name, chosen in (("train", others), ("spk", utts), ("test", utts)):
        with open_ark_scp(folder / f"{name}.ark", folder / f"{name}.scp") as write:
            for utt in chosen:
                write(utt, vectors[utt])
    write_table(folder / "num_utts", dict.fromkeys(utts, "1"))
    for name in ("scores", "valid.scores"):
        (folder / name).write_text("".join(f"{a} {b} {vectors[a] @ vectors[b]}\n" for a, b in pairs))
    for name in ("list.txt", "files.txt"):
        (folder / name).write_text("a.wav\n")
    for name in ("egs", "local", "utils", "docs"):
        (folder / name).symlink_to(ROOT / name)
    return folder


# The line, and why it cannot run here.
ELSEWHERE = {
    "sv models get": "a download",
    "sv convert exu_net ExU-Net.pt": "a published file; tests/unit/bin/test_convert.py has one of its shape",
    "sv results verify": "computes every stored figure: tests/unit/results/test_proof.py does, on a part",
}


@pytest.mark.parametrize("page", ["README.md", "docs/models.md"])
def test_lines_of_sv_run_on_tiny_data_one_after_the_other(page, tiny, tmp_path, monkeypatch) -> None:
    """In this process: each would read PyTorch anew."""
    shutil.copytree(tiny, tmp_path / "work", symlinks=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lines = [text for block in blocks.blocks_of(ROOT / page) for _, text in blocks.commands_of(block)]
    lines = [line for line in lines if line.startswith("sv ") and not line.startswith(tuple(ELSEWHERE))]
    assert len(lines) > 14
    for line in lines:
        with pytest.raises(SystemExit) as end:
            main(shlex.split(line)[1:])
            sys.exit(0)
        assert not end.value.code, f"{line}: {end.value.code}"
