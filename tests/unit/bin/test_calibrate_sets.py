import shutil
from pathlib import Path

import numpy as np
import pytest

from sv.bin import calibrate_sets, score_sets
from sv.kaldi import read_scores, write_table
from sv.results.rows import read_results
from sv.scoring.calibration import LogisticCalibration, read_calibration
from sv.scoring.outliers import Outlier


@pytest.fixture
def scored(folder, staged, trained_backend, tmp_path) -> Path:
    """A model folder with scores of a held-out set and of two conditions of a test set, which share no speaker."""
    model = tmp_path / "exp" / "tiny"
    shutil.copytree(folder / "model", model)
    shutil.copytree(trained_backend, model / "backend")
    for name in ("test", "test-noise-snr20", "valid"):
        shutil.copytree(folder / "data" / "test", tmp_path / "data" / name)
        embeddings = model / "embeddings" / name
        embeddings.mkdir(parents=True)
        for kind in ("xvector", "segments"):
            shutil.copy(staged[0] / "test" / f"{kind}.1.scp", embeddings / f"{kind}.scp")
    utts = staged[1]
    write_table(tmp_path / "data" / "valid" / "utt2spk", {utt: f"held-{utt[:4]}" for utt in utts})
    names = ("test", "test-noise-snr20", "valid")
    score_sets.main(["--model", str(model), *(str(tmp_path / "data" / name) for name in names)])
    return model


def run(model: Path, *options: str) -> None:
    data = model.parents[1] / "data"
    calibrate_sets.main(
        [
            "--model",
            str(model),
            "--held-out",
            str(data / "valid"),
            str(data / "test"),
            str(data / "test-noise-snr20"),
            *options,
        ]
    )


def test_every_condition_gets_calibrated_scores_and_rows(scored) -> None:
    before = read_results(scored / "results.json")
    run(scored)
    rows = read_results(scored / "results.json")
    assert rows[: len(before)] == before
    found = {(row["condition"], row["backend"]): row for row in rows[len(before) :]}
    names = ("cosine", "cosine-asnorm", "centred_cosine", "centred_cosine-asnorm", "plda", "plda-asnorm", "neg_mean_l2")
    backends = [f"{name}-calibrated" for name in names]
    assert set(found) == {(condition, backend) for condition in ("clean", "noise-snr20") for backend in backends}
    for (condition, backend), row in found.items():
        raw = next(
            r for r in before if (r["condition"], r["backend"]) == (condition, backend.removesuffix("-calibrated"))
        )
        assert row["calibration"].startswith("logistic regression on valid (")
        assert row["normalisation"] == raw["normalisation"]
        assert row["eer"] == pytest.approx(raw["eer"])  # the map is monotone
        assert row["cllr"] >= row["min_cllr"] and row["act_dcf"].keys() == row["min_dcf"].keys()
        assert raw["cllr"] is None and raw["act_dcf"] is None


def test_the_scores_are_those_of_the_written_calibration(scored) -> None:
    run(scored)
    calibration, _ = read_calibration(scored / "calibration" / "cosine.json")
    raw, llrs = (read_scores(scored / "scores" / "test" / f"{name}.scores") for name in ("cosine", "cosine-calibrated"))
    expected = calibration.llrs(np.array(list(raw.values()))[:, None])
    np.testing.assert_allclose(list(llrs.values()), expected, rtol=1e-5)


def test_the_models_own_calibration_is_applied_to_other_sets(scored) -> None:
    run(scored)
    fitted = {path.stem: path.read_bytes() for path in (scored / "calibration").glob("*.json")}
    (scored / "calibration" / "plda.json").unlink()
    data = scored.parents[1] / "data"
    shutil.copytree(data / "test", data / "far")
    shutil.copytree(scored / "embeddings" / "test", scored / "embeddings" / "far")
    score_sets.main(["--model", str(scored), "--rules", "voices", str(data / "far")])
    calibrate_sets.main(["--model", str(scored), "--stored", str(data / "far")])
    rows = {row["backend"]: row for row in read_results(scored / "results.json") if row["test_set"] == "far"}
    assert {name for name in rows if name.endswith("-calibrated")} == {
        f"{name}-calibrated" for name in fitted if name != "plda"
    }
    assert rows["cosine-calibrated"]["calibration"].startswith("logistic regression on the model's held-out speakers (")
    assert rows["cosine-calibrated"]["broken_rules"] == rows["cosine"]["broken_rules"]
    own, other = (read_scores(scored / "scores" / name / "cosine-calibrated.scores") for name in ("test", "far"))
    assert own == other
    shutil.rmtree(scored / "calibration")
    with pytest.raises(SystemExit):
        calibrate_sets.main(["--model", str(scored), "--stored", str(data / "far")])


def test_running_it_again_changes_nothing(scored) -> None:
    run(scored)
    before = (scored / "results.json").read_bytes()
    run(scored)
    assert (scored / "results.json").read_bytes() == before


def test_a_shared_speaker_is_refused(scored, fails) -> None:
    data = scored.parents[1] / "data"
    shutil.copy(data / "test" / "utt2spk", data / "valid" / "utt2spk")
    said = fails(calibrate_sets.main, "--model", scored, "--held-out", data / "valid", data / "test")
    assert said == f"error: {data}/valid and {data}/test share 3 speakers, e.g. ['spk0', 'spk1', 'spk2']"


def test_what_is_missing_is_said(scored, fails) -> None:
    data = scored.parents[1] / "data"
    shutil.rmtree(scored / "scores" / "valid")
    said = fails(calibrate_sets.main, "--model", scored, "--held-out", data / "valid", data / "test")
    assert said == f"error: {scored}/scores/valid: no scores; score the held-out set first"


def test_a_back_end_that_one_far_score_would_decide_stays_uncalibrated(scored, monkeypatch, capsys) -> None:
    fit = LogisticCalibration.fit

    def refuse_large(self, scores, is_target, num_speakers=None):
        if np.abs(scores).max() > 1.001:  # no cosine is
            raise Outlier(scores[:, 0], np.arange(len(scores)) == 0, 0, 0, 0.97)
        return fit(self, scores, is_target, num_speakers)

    monkeypatch.setattr(LogisticCalibration, "fit", refuse_large)
    run(scored)
    assert "plda is not calibrated: " in capsys.readouterr().err
    assert (scored / "calibration/cosine.json").is_file()
    assert not (scored / "calibration/plda.json").exists()
    backends = {row["backend"] for row in read_results(scored / "results.json")}
    assert "cosine-calibrated" in backends and "plda-calibrated" not in backends
