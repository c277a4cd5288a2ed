"""The VCTK recipe from a synthetic corpus to its report, with two systems as small as they can be."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sv.kaldi import read_utt2spk

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
[features]
type = "slaney_mel"
sampling_rate = 8000
[model]
type = "ge2e_lstm"
hidden = 8
projection = 4
num_layers = 1
[loss]
type = "ge2e"
criterion = "{criterion}"
[batches]
type = "speakers"
speakers_per_batch = 2
utterances_per_speaker = 2
[augment]
noises = ["noise"]
[train]
num_epochs = 1
crop_samples = 12640
optimizer = "sgd"
lr = 0.01
max_grad_norm = 3.0
num_workers = 0
[extract]
segment_samples = 12640
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """recipe(*options) -> process of the recipe on a tiny synthetic corpus, with all kinds of condition, finished."""
    work = tmp_path_factory.mktemp("vctk")
    sizes = ["--num-speakers", 9, "--num-sentences", 5, "--num-digit-speakers", 3, "--num-takes", 3, "--num-babble", 4]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    script = [sys.executable, ROOT / "local/make_synthetic_vctk.py", *map(str, sizes), work / "corpora"]
    subprocess.run(script, check=True, env=env, capture_output=True)
    for name, criterion in (("ti", "softmax"), ("td", "contrast")):
        (work / f"{name}.toml").write_text(CONFIG.format(criterion=criterion))

    def run(*options):
        common = [
            "--corpora",
            work / "corpora",
            "--data",
            work / "data",
            "--exp",
            work / "exp",
            "--nj",
            2,
            "--num-gpus",
            0,
        ]
        small = ["--num-test", 3, "--num-enrol", 2, "--num-copies", 4, "--valid-fraction", 0.3, "--snrs", 5]
        systems = ["--config", work / "ti.toml", "--phrase-config", work / "td.toml", "--noises", "noise"]
        systems += ["--conditions", "noise,reverb-small,codec-gsm,clip,far"]
        command = [ROOT / "egs/vctk/run.sh", *common, *small, *systems, *options]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, env=env, timeout=580)

    run.work = work
    return run


def test_all_stages_and_then_none(recipe):
    done = recipe()
    assert done.returncode == 0, done.stderr[-3000:]
    exp = recipe.work / "exp"
    for system, held_out in (("ti", "vctk_valid"), ("td", "vctk_one_recording_valid")):
        rows = json.loads((exp / system / "results.json").read_text())
        found = {(row["test_set"], row["condition"]) for row in rows if row["backend"] == "cosine"}
        kinds = ("clean", "noise-snr5", "reverb-small", "codec-gsm", "clip", "far-noise-snr5")
        assert found == {
            *((name, kind) for name in ("vctk_test", "digits") for kind in kinds),
            ("vctk_one_recording", "clean"),
            ("vctk_shared_recordings", "clean"),
            ("vctk_valid", "clean"),
            ("vctk_one_recording_valid", "clean"),
        }
        calibrated = {row["test_set"]: row["calibration"] for row in rows if row["backend"] == "cosine-calibrated"}
        assert set(calibrated) == {"vctk_test", "digits", "vctk_one_recording", "vctk_shared_recordings"}
        assert f"on {held_out} (" in calibrated["vctk_test"]
        counts = {row["test_set"]: (row["num_target"], row["num_nontarget"]) for row in rows}
        assert counts["vctk_test"] == (9, 18)  # 3 models, 3 sentences of each speaker that are not enrolled
        assert counts["digits"] == (12, 24)  # 4 digits, 3 models and 3 takes of each
        assert counts["vctk_one_recording"] == (6, 12)
        trained_on = json.loads((exp / system / "config.json").read_text())["num_speakers"]
        assert trained_on == 4
        encoders = {row["condition"] for row in rows if row["encoder"].startswith("libsndfile ")}
        assert encoders == {"codec-gsm"}
    rooms = [read_utt2spk(recipe.work / f"data/rirs_{part}/utt2spk").keys() for part in ("train", "test")]
    assert all(rooms) and not rooms[0] & rooms[1]
    printed = [line.split("  ")[0] for line in (exp / "ti/report.txt").read_text().splitlines()]
    order = ["clean", "noise 5 dB", "far noise 5 dB", "reverb-small", "codec-gsm", "clip"]
    sets = ["vctk_test:", "digits:"]
    assert [line for line in printed if line in order + sets] == [*sets[:1], *order, *sets[1:], *order]
    page = (exp / "ti/report/index.html").read_text()
    for name in ("vctk_test", "digits", "vctk_one_recording", "vctk_shared_recordings"):
        assert f"Similarities and thresholds: {name}" in page
    assert "ti and td on vctk_test" in page and "Error rates by condition: digits" in page
    again = recipe()
    assert again.returncode == 0
    assert "nothing to do: every stage from 0 to 8 is up to date" in again.stderr


def test_an_unknown_noise_type_is_refused(recipe):
    done = recipe("--noises", "rain")
    assert done.returncode == 2
    assert "option --noises unknown noise type rain; known are noise, music, babble, nonspeech, demand" in done.stderr
