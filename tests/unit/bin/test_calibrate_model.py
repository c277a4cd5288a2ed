"""From a model's own scores to its calibration and threshold, and back to `sv verify`."""

import json

import numpy as np
import pytest

from sv.base.files import sha256_of
from sv.bin import calibrate, threshold, verify
from sv.kaldi import Trials, write_scores, write_trials


@pytest.fixture
def own(tmp_path):
    """Trials of all pairs of 30 speakers, with scores that tell speakers apart."""
    names = [f"s{speaker}-{number}" for speaker in range(30) for number in range(2)]
    pairs = [(a, b) for a in names for b in names if a < b]
    is_target = np.array([a.partition("-")[0] == b.partition("-")[0] for a, b in pairs])
    trials = Trials([a for a, _ in pairs], [b for _, b in pairs], is_target)
    write_trials(tmp_path / "trials", trials)
    scores = 0.1 * np.random.default_rng(0).normal(size=len(pairs)) + 0.5 * is_target
    write_scores(tmp_path / "scores", trials, scores)
    return tmp_path


def test_a_calibration_and_a_threshold_of_ones_own_decide(folder, own, capsys) -> None:
    files, model = [str(own / "trials"), str(own / "scores")], ["--model", str(folder / "model")]
    wavs = [str(folder / f"{name}.wav") for name in ("spk1-2", "spk2-4")]
    digest = sha256_of(folder / "model" / "checkpoints" / "best.pt")
    calibrate.main(["fit", *files, str(own / "cal.json"), *model])
    record = json.loads((own / "cal.json").read_text())
    assert record["checkpoint_sha256"] == digest
    counts = [record[name] for name in ("trials", "num_target", "num_nontarget")]
    assert counts == [files[0], 30, 30 * 59 - 30]
    threshold.main([*files, *model, "--out", str(own / "threshold.json")])
    found = json.loads((own / "threshold.json").read_text())
    assert found["checkpoint_sha256"] == digest and found["trials_sha256"] == sha256_of(own / "trials")
    capsys.readouterr()
    verify.main([*model, "--calibration", str(own / "cal.json"), "--json", *wavs])
    assert json.loads(capsys.readouterr().out)["calibrated"]
    verify.main([*model, "--threshold", str(own / "threshold.json"), *wavs])
    assert capsys.readouterr().out.splitlines()[-1].startswith("decision   ")


def test_without_a_model_the_file_is_not_bound(own) -> None:
    calibrate.main(["fit", str(own / "trials"), str(own / "scores"), str(own / "cal.json")])
    assert json.loads((own / "cal.json").read_text())["checkpoint_sha256"] is None
