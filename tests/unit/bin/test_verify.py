import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sv.bin import verify
from sv.scoring import OperatingPoint
from sv.scoring.calibration import LogisticCalibration, write_calibration


@pytest.fixture
def model(folder, tmp_path) -> Path:
    """A model folder whose calibration is 10 x - 9."""
    model = tmp_path / "model"
    shutil.copytree(folder / "model", model)
    calibration = LogisticCalibration()
    calibration.weights_, calibration.offset_ = np.array([10.0]), -9.0
    write_calibration(model / "calibration" / "cosine.json", calibration, ["score"], "t" * 64)
    return model


def run(model: Path, folder: Path, capsys, *options: str, names=("spk0-0", "spk2-4")) -> dict:
    verify.main(["--model", str(model), "--json", *options, *(str(folder / f"{name}.wav") for name in names)])
    return json.loads(capsys.readouterr().out)


def test_score_is_the_cosine_of_the_embeddings_and_the_ratio_its_calibration(model, folder, staged, capsys) -> None:
    found = run(model, folder, capsys)
    left, right = staged[1]["spk0-0"], staged[1]["spk2-4"]
    cosine = left @ right / np.linalg.norm(left) / np.linalg.norm(right)
    assert found["score"] == pytest.approx(cosine, abs=1e-6)
    assert found["llr"] == pytest.approx(10 * found["score"] - 9)
    assert found["threshold"] == OperatingPoint(0.05).threshold


def test_the_decision_follows_prior_and_costs(model, folder, capsys) -> None:
    same = run(model, folder, capsys, names=("spk0-0", "spk0-0"))
    assert same["score"] == pytest.approx(1) and same["llr"] == pytest.approx(1)
    assert same["decision"] == "different speakers"  # odds of 1 to 19 ask for more than 1
    likely = run(model, folder, capsys, "--p-target", "0.5", names=("spk0-0", "spk0-0"))
    assert (likely["threshold"], likely["decision"]) == (0, "same speaker")
    costly = run(model, folder, capsys, "--p-target", "0.5", "--c-fa", "3", names=("spk0-0", "spk0-0"))
    assert (costly["threshold"], costly["decision"]) == (pytest.approx(np.log(3)), "different speakers")


def test_what_is_printed(model, folder, capsys) -> None:
    verify.main(["--model", str(model), str(folder / "spk0-0.wav"), str(folder / "spk0-0.wav")])
    assert capsys.readouterr().out.splitlines() == [
        "score      1.0000   (cosine)",
        "LLR        1.000   (natural log; accepted from 2.944)",
        "decision   different speakers",
    ]


def test_bad_recordings_and_missing_calibrations_are_named(model, folder, tmp_path, fails) -> None:
    (tmp_path / "noise.wav").write_text("not audio")
    said = fails(verify.main, "--model", model, folder / "spk0-0.wav", tmp_path / "noise.wav")
    assert said.startswith(f"error: cannot use {tmp_path}/noise.wav: ")
    assert "nowhere.wav" in fails(verify.main, "--model", model, "nowhere.wav", folder / "spk0-0.wav")
    said = fails(verify.main, "--model", model, "--p-target", "2", folder / "spk0-0.wav", folder / "spk0-0.wav", code=2)
    assert "argument --p-target: takes a number above 0 below 1, got '2'" in said
    (model / "calibration" / "cosine.json").unlink()
    said = fails(verify.main, "--model", model, folder / "spk0-0.wav", folder / "spk0-0.wav")
    remedy = "run stage 7, or fit it on held-out trials with sv calibrate fit"
    assert said == f"error: {model}/calibration/cosine.json: not there; {remedy}"


def test_a_calibration_with_qualities_is_refused(model, folder, fails) -> None:
    calibration = LogisticCalibration()
    calibration.weights_, calibration.offset_ = np.ones(3), 0.0
    inputs = ["score", "mean snr", "difference of snr"]
    write_calibration(model / "calibration" / "cosine.json", calibration, inputs, "t" * 64)
    said = fails(verify.main, "--model", model, folder / "spk0-0.wav", folder / "spk0-0.wav")
    assert said.endswith("expects score, mean snr, difference of snr; sv verify has a score alone")
