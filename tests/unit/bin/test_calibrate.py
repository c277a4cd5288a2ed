import json
from pathlib import Path

import numpy as np
import pytest

from sv.bin import calibrate, fuse
from sv.kaldi import Trials, read_scores, write_scores, write_table, write_trials
from sv.scoring import compute_cllr
from sv.scoring.calibration_files import read_quality


@pytest.fixture
def lists(tmp_path) -> Path:
    """Folder of held-out and test trials, scores a and b of both, and durations."""
    rng = np.random.default_rng(0)
    for name in ("valid", "test"):
        utts = [f"{name}{i // 10:02d}-{i:03d}" for i in range(200)]
        pairs = [(a, b) for i, a in enumerate(utts) for b in utts[i + 1 : i + 15]]
        trials = Trials(*map(list, zip(*pairs)), np.array([a[:-4] == b[:-4] for a, b in pairs]))
        write_trials(tmp_path / f"{name}.trials", trials)
        for system, distance in (("a", 2.0), ("b", 1.5)):
            scores = 0.1 * (rng.normal(size=len(trials)) + distance * trials.is_target)
            write_scores(tmp_path / f"{name}.{system}", trials, scores)
        write_table(tmp_path / f"{name}.utt2dur", {utt: f"{rng.uniform(2, 20):.2f}" for utt in utts})
    return tmp_path


def labels(folder: Path) -> np.ndarray:
    return np.array([line.endswith(" target") for line in (folder / "test.trials").read_text().splitlines()])


def cllr(folder: Path, name: str) -> float:
    return compute_cllr(np.array(list(read_scores(folder / name).values())), labels(folder))


def run(main, folder: Path, command: str, *names: str, quality: str | None = None) -> None:
    options = [f"--quality=duration={folder / quality}"] if quality else []
    main([command, *options, *(str(folder / name) for name in names)])


def test_calibration_and_fusion_of_held_out_trials_apply_to_others(lists) -> None:
    for system in "ab":
        run(calibrate.main, lists, "fit", "valid.trials", f"valid.{system}", f"{system}.json")
        run(calibrate.main, lists, "apply", f"{system}.json", "test.trials", f"test.{system}", f"out.{system}")
    run(fuse.main, lists, "fit", "valid.trials", "valid.a", "valid.b", "both.json")
    run(fuse.main, lists, "apply", "both.json", "test.trials", "test.a", "test.b", "out.both")
    alone = cllr(lists, "out.a"), cllr(lists, "out.b")
    assert cllr(lists, "out.both") < alone[0] - 0.05 < alone[1]
    # Unit Gaussians 2 apart: the integral of their Cllr is 0.5.
    assert alone[0] == pytest.approx(0.51, abs=0.04)
    weights = json.loads((lists / "a.json").read_text())["weights"]
    assert weights == [pytest.approx(20, rel=0.1)]


def test_a_score_that_would_decide_all_is_named(lists, fails) -> None:
    lines = (lists / "valid.a").read_text().splitlines(keepends=True)
    enrolment, test, _ = lines[13].split()  # the first nontarget of the first utterance
    lines[13] = f"{enrolment} {test} 1e39\n"
    (lists / "valid.a").write_text("".join(lines))
    said = fails(calibrate.main, "fit", lists / "valid.trials", lists / "valid.a", lists / "a.json")
    assert f"valid.a: nontarget trial {enrolment} {test}: 1e+39 is far outside " in said
    assert "changes the calibration's weights by 100%; correct it, or leave the trial out" in said
    assert not (lists / "a.json").exists()


def test_a_calibration_that_turns_scores_round_says_so(lists, capfd) -> None:
    run(calibrate.main, lists, "fit", "valid.trials", "valid.a", "a.json")
    assert "round" not in capfd.readouterr().err
    lines = [line.split() for line in (lists / "valid.a").read_text().splitlines()]
    (lists / "valid.d").write_text("".join(f"{left} {right} {-float(score)}\n" for left, right, score in lines))
    run(calibrate.main, lists, "fit", "valid.trials", "valid.d", "d.json")
    said = "valid.d: held-out targets do not score above nontargets, so that the calibration turns the order of scores round"
    assert said in capfd.readouterr().err
    weights = [json.loads((lists / name).read_text())["weights"][0] for name in ("a.json", "d.json")]
    assert weights[1] == pytest.approx(-weights[0], rel=1e-6)


def test_qualities_are_named_inputs(lists, fails) -> None:
    run(calibrate.main, lists, "fit", "valid.trials", "valid.a", "a.json", quality="valid.utt2dur")
    assert json.loads((lists / "a.json").read_text())["inputs"] == ["score", "mean duration", "difference of duration"]
    apply = ("apply", lists / "a.json", lists / "test.trials", lists / "test.a", lists / "out.a")
    assert fails(calibrate.main, *apply) == (
        f"error: {lists}/a.json: expects score, mean duration, difference of duration, got score"
    )
    run(calibrate.main, lists, "apply", "a.json", "test.trials", "test.a", "out.a", quality="test.utt2dur")
    assert cllr(lists, "out.a") == pytest.approx(0.51, abs=0.04)
    said = fails(calibrate.main, "apply", f"--quality=duration={lists}/valid.utt2dur", *apply[1:])
    assert said.startswith(
        f"error: {lists}/test.trials: 200 of 200 trial utterances have no duration, e.g. ['test00-000'"
    )


def test_speakers_may_be_told(lists) -> None:
    utts = {utt for line in (lists / "valid.trials").read_text().splitlines() for utt in line.split()[:2]}
    write_table(lists / "utt2spk", {utt: utt[:-4] for utt in utts})
    run(calibrate.main, lists, "fit", "valid.trials", "valid.a", "a.json")
    calibrate.main(["fit", "--utt2spk", *(str(lists / n) for n in ("utt2spk", "valid.trials", "valid.a", "b.json"))])
    weights = [json.loads((lists / name).read_text())["weights"][0] for name in ("a.json", "b.json")]
    assert 0.9 * weights[0] < weights[1] < weights[0]


def test_norms_come_from_embeddings(lists, staged) -> None:
    found = read_quality(staged[0] / "test" / "xvector.1.scp")
    assert found == {utt: pytest.approx(np.linalg.norm(vector)) for utt, vector in staged[1].items()}


def test_the_trials_of_the_fit_are_refused(lists, fails) -> None:
    run(calibrate.main, lists, "fit", "valid.trials", "valid.a", "a.json")
    said = fails(calibrate.main, "apply", *(lists / name for name in ("a.json", "valid.trials", "valid.a", "out")))
    assert said == f"error: {lists}/valid.trials: {lists}/a.json was fitted on these trials; fit it on held-out ones"
    assert not (lists / "out").exists()


def test_wrong_usage_and_bad_numbers(lists, fails) -> None:
    said = fails(fuse.main, "fit", lists / "valid.trials", lists / "valid.a", lists / "x.json", code=2)
    assert "fusion needs the scores of two systems or more; for one there is sv calibrate" in said
    (lists / "bad").write_text("u1 3\nu2 long\n")
    said = fails(
        calibrate.main, "fit", f"--quality=snr={lists}/bad", *(lists / n for n in ("valid.trials", "valid.a", "x.json"))
    )
    assert said == f"error: {lists}/bad:2: expected a number, got 'long'"
