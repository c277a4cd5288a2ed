"""Models on a trial list with recordings of its own, as a user runs them: egs/voxceleb1/run.sh --trials FILE --test-audio DIR."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sv.kaldi import read_trials

RECIPE = Path(__file__).resolve().parents[2] / "egs" / "voxceleb1" / "run.sh"
TOOL = """import struct, sys, zlib, random
scp, ark = sys.argv[1:]
with open(ark, "wb") as out:
    for line in open(scp):
        key = line.split()[0]
        speaker, own = (random.Random(zlib.crc32(text.encode())) for text in (key.split("-")[0], key))
        vector = [speaker.gauss(0, 1) + 0.2 * own.gauss(0, 1) for _ in range(8)]
        out.write(key.encode() + b" \\0BFV \\4" + struct.pack("<i8f", 8, *vector))
"""


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """A folder with four speakers' recordings, a list whose trials name models of two recordings, and a program as a model."""
    work, rng = tmp_path_factory.mktemp("listed"), np.random.default_rng(0)
    speakers = [f"id2000{i}" for i in range(4)]
    for speaker in speakers:
        for number in range(3):
            path = work / "audio" / "dev" / speaker / "aaaaaaaaaaa" / f"0000{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * rng.standard_normal(8000), 16_000)
    names = {speaker: [f"{speaker}/aaaaaaaaaaa/0000{number}.wav" for number in range(3)] for speaker in speakers}
    (work / "mine.txt").write_text("".join(f"{a}-model {names[b][2]} {int(a == b)}\n" for a in names for b in names))
    (work / "models.txt").write_text("".join(f"{a}-model {' '.join(own[:2])}\n" for a, own in names.items()))
    (work / "tool.py").write_text(TOOL)
    (work / "toy.toml").write_text(f'command = "{sys.executable} {work}/tool.py {{wav_scp}} {{ark}}"\n')
    return work


def run(work, *words):
    places = ["--data", work / "data", "--exp", work / "exp", "--nj", "1", "--num-gpus", "0"]
    lists = ["--trials", work / "mine.txt", "--enrolment", work / "models.txt", "--test-audio", work / "audio"]
    command = [RECIPE, *places, *lists, "--model", work / "toy.toml", *words]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_model_is_scored_by_cosine_on_a_list_of_models_and_nothing_else_is_needed(listed):
    output = run(listed)
    assert "stage 6: back end toy: not needed, the model has none: cosine" in output
    assert len(read_trials(listed / "data/mine/trials")) == 16
    assert sorted(path.name for path in (listed / "data").iterdir() if path.is_dir()) == ["links", "log", "mine", "q"]
    rows = json.loads((listed / "exp/toy/results.json").read_text())
    assert {(row["test_set"], row["condition"]) for row in rows} == {("mine", "clean")}
    assert not [row["backend"] for row in rows if "asnorm" in row["backend"] or row["backend"] == "plda"]
    cosine = next(row for row in rows if row["backend"] == "cosine")
    assert (cosine["num_target"], cosine["num_nontarget"], cosine["num_speakers"]) == (4, 12, 4)
    assert cosine["eer"] == 0  # the program's vectors are those of the speakers
    assert "0 stage(s) would run" in run(listed, "--dry-run")
    (listed / "data/mine/published_list").write_text(
        "mine: mine.txt, SHA-256 12\n"
    )  # as for a list that is known by its hash
    assert "Trials: mine: mine.txt, SHA-256 12." in run(listed, "--stage", "8")
    assert "Trials: mine: mine.txt, SHA-256 12." in (listed / "exp/toy/report/index.html").read_text()
