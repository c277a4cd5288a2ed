import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sv.base.files import sha256_of
from sv.bin import verify
from sv.embed.verification import seconds_of_speech, warn_of_short
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


def run(model: Path, folder: Path, capsys, *options: str, names=("spk1-2", "spk2-4")) -> dict:
    verify.main(["--model", str(model), "--json", *options, *(str(folder / f"{name}.wav") for name in names)])
    return json.loads(capsys.readouterr().out)


def test_score_is_the_cosine_of_the_embeddings_and_the_ratio_its_calibration(model, folder, staged, capsys) -> None:
    found = run(model, folder, capsys)
    left, right = staged[1]["spk1-2"], staged[1]["spk2-4"]
    cosine = left @ right / np.linalg.norm(left) / np.linalg.norm(right)
    assert found["score"] == pytest.approx(cosine, abs=1e-6)
    assert found["llr"] == pytest.approx(10 * found["score"] - 9)
    assert found["threshold"] == OperatingPoint(0.05).threshold


def test_the_decision_follows_prior_and_costs(model, folder, capsys) -> None:
    same = run(model, folder, capsys, names=("spk1-2", "spk1-2"))
    assert same["score"] == pytest.approx(1) and same["llr"] == pytest.approx(1)
    assert same["decision"] == "different speakers"  # odds of 1 to 19 ask for more than 1
    likely = run(model, folder, capsys, "--p-target", "0.5", names=("spk1-2", "spk1-2"))
    assert (likely["threshold"], likely["decision"]) == (0, "same speaker")
    costly = run(model, folder, capsys, "--p-target", "0.5", "--c-fa", "3", names=("spk1-2", "spk1-2"))
    assert (costly["threshold"], costly["decision"]) == (pytest.approx(np.log(3)), "different speakers")


def test_what_is_printed(model, folder, capsys) -> None:
    verify.main(["--model", str(model), str(folder / "spk1-2.wav"), str(folder / "spk1-2.wav")])
    assert capsys.readouterr().out.splitlines() == [
        "score      1.0000   (cosine)",
        "LLR        1.000   (natural log; accepted from 2.944)",
        "decision   different speakers",
    ]


def test_bad_recordings_and_missing_calibrations_are_named(model, folder, tmp_path, fails) -> None:
    (tmp_path / "noise.wav").write_text("not audio")
    said = fails(verify.main, "--model", model, folder / "spk1-2.wav", tmp_path / "noise.wav")
    assert said.startswith(f"error: cannot use {tmp_path}/noise.wav: ")
    assert "nowhere.wav" in fails(verify.main, "--model", model, "nowhere.wav", folder / "spk1-2.wav")
    said = fails(verify.main, "--model", model, "--p-target", "2", folder / "spk1-2.wav", folder / "spk1-2.wav", code=2)
    assert "argument --p-target: takes a number above 0 below 1, got '2'" in said


def test_without_a_calibration_there_is_a_score_and_no_decision(model, folder, capsys) -> None:
    calibrated = run(model, folder, capsys)
    assert calibrated["calibrated"]
    (model / "calibration" / "cosine.json").unlink()
    found = run(model, folder, capsys)
    assert found["score"] == calibrated["score"]
    assert [found[name] for name in ("calibrated", "llr", "threshold", "decision")] == [False, None, None, None]
    assert found["speech_seconds"] == [0, 0]  # noise
    verify.main(["--model", str(model), *[str(folder / "spk1-2.wav")] * 2])
    assert capsys.readouterr().out == "score      1.0000   (cosine, uncalibrated: no decision)\n"


def test_a_calibration_of_other_weights_is_refused(model, folder, fails, capsys) -> None:
    place = model / "calibration" / "cosine.json"
    own = sha256_of(model / "checkpoints" / "best.pt")
    record = json.loads(place.read_text())
    place.write_text(json.dumps({**record, "checkpoint_sha256": own}))
    assert run(model, folder, capsys)["calibrated"]
    place.write_text(json.dumps({**record, "checkpoint_sha256": "f" * 64}))
    wav = folder / "spk1-2.wav"
    said = fails(verify.main, "--model", model, wav, wav)
    expected = f"made with other weights (ffffffffffff) than those of model ({own[:12]}); make it anew"
    assert said == f"error: {place}: {expected}"
    said = fails(verify.main, "--model", folder / "model", "--calibration", place, wav, wav)
    assert expected in said
    place.write_text(json.dumps(record))
    said = fails(verify.main, "--model", folder / "model", "--calibration", place, wav, wav)
    assert said == f"error: {place}: does not say of which model it is; make it with sv calibrate fit --model"


def test_a_threshold_of_scores_decides_and_is_bound_to_the_weights(model, folder, fails, capsys, tmp_path) -> None:
    wavs = [str(folder / f"{name}.wav") for name in ("spk1-2", "spk2-4")]
    score = run(model, folder, capsys)["score"]
    place, own = tmp_path / "mine.json", sha256_of(model / "checkpoints" / "best.pt")
    for threshold, decision in ((score, "same speaker"), (np.nextafter(score, 2), "different speakers")):
        place.write_text(json.dumps({"threshold": threshold, "checkpoint_sha256": own}))
        found = run(model, folder, capsys, "--threshold", str(place))
        assert (found["decision"], found["threshold"], found["llr"]) == (decision, threshold, None)
    place.write_text(json.dumps({"threshold": 0.5, "checkpoint_sha256": "f" * 64}))
    assert "made with other weights" in fails(verify.main, "--model", model, "--threshold", place, *wavs)
    place.write_text(json.dumps({"threshold": 0.5}))
    said = fails(verify.main, "--model", model, "--threshold", place, *wavs)
    assert said == f"error: {place}: not a threshold; make one with sv threshold --out"
    both = ("--threshold", place, "--calibration", place)
    assert "not allowed with" in fails(verify.main, "--model", model, *both, *wavs, code=2)


def test_too_little_audio_is_refused_and_a_little_is_warned_of(model, folder, fails, capsys, tmp_path) -> None:
    short, silent = tmp_path / "short.wav", tmp_path / "silent.wav"
    soundfile.write(short, 0.1 * np.random.default_rng(0).normal(size=4799), 16_000)
    said = fails(verify.main, "--model", model, short, folder / "spk1-2.wav")
    assert said == f"error: cannot use {short}: 0.299 s of audio, less than the 0.3 s that are asked for"
    soundfile.write(silent, np.zeros(32_000), 16_000)
    assert "silent: every sample is zero" in fails(verify.main, "--model", model, silent, folder / "spk1-2.wav")
    verify.main(["--model", str(model), "--min-speech", "0.1", str(short), str(folder / "spk1-2.wav")])
    none = "no speech found in it; the score says nothing (--vad silero refuses it)"
    warned = capsys.readouterr().err.splitlines()
    assert warned == [f"warning: {path}: {none}" for path in (short, folder / "spk1-2.wav")]


@pytest.mark.parametrize(("seconds", "warned"), [(0.0, ["no speech found"]), (0.3, ["0.3 s of speech;"]), (2.0, [])])
def test_how_much_speech_a_score_needs(seconds, warned) -> None:
    found = warn_of_short(["a.wav"], [seconds])
    assert len(found) == len(warned)
    assert all(f"warning: a.wav: {words}" in line for words, line in zip(warned, found))


def test_without_the_detector_all_audio_counts(folder, monkeypatch) -> None:
    assert seconds_of_speech(folder / "spk1-2.wav") == 0
    monkeypatch.setattr("sv.embed.verification.is_installed", lambda: False)
    assert seconds_of_speech(folder / "spk1-2.wav") == pytest.approx(0.6, abs=0.1)


def test_noise_is_no_speech_with_a_detector(model, folder, fails) -> None:
    wav = folder / "spk2-4.wav"
    said = fails(verify.main, "--model", model, "--vad", "silero", wav, wav)
    assert said == f"error: cannot use {wav}: no speech in it"


def test_a_model_that_is_none_is_said(folder, fails, tmp_path) -> None:
    wav = folder / "spk1-2.wav"
    said = fails(verify.main, "--model", "/nope", wav, wav)
    assert said == "error: /nope: not there; neither a file or folder nor a name of sv models list"
    assert f"{tmp_path} is not a model folder" in fails(verify.main, "--model", tmp_path, wav, wav)


def test_a_calibration_with_qualities_is_refused(model, folder, fails) -> None:
    calibration = LogisticCalibration()
    calibration.weights_, calibration.offset_ = np.ones(3), 0.0
    inputs = ["score", "mean snr", "difference of snr"]
    write_calibration(model / "calibration" / "cosine.json", calibration, inputs, "t" * 64)
    said = fails(verify.main, "--model", model, folder / "spk1-2.wav", folder / "spk1-2.wav")
    assert said.endswith("expects score, mean snr, difference of snr; sv verify has a score alone")
