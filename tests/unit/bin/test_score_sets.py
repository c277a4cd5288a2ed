import shutil
from pathlib import Path

import numpy as np
import pytest

from sv.base.files import sha256_of
from sv.bin import score, score_sets
from sv.data.challenge_rules import voices_rules
from sv.kaldi import Trials, read_scores, read_spk2utt, read_vectors, write_trials
from sv.kaldi.enrolment import write_enrolment
from sv.results.rows import read_results
from sv.scoring import cohort_id
from sv.scoring.backends import BVectorBackEnd
from sv.system.folder import read_system

NUM_SPEAKERS = 10  # of the back end's training set
BACK_ENDS = ("cosine", "cosine-asnorm", "centred_cosine", "centred_cosine-asnorm", "plda", "plda-asnorm", "neg_mean_l2")


@pytest.fixture
def model(folder, staged, trained_backend, tmp_path) -> Path:
    """A model folder with a back end, and embeddings of data/test and of two noisy conditions."""
    model = tmp_path / "exp" / "tiny"
    shutil.copytree(folder / "model", model)
    for name in ("test", "test-babble-snr5", "test-noise-snr20"):
        shutil.copytree(folder / "data" / "test", tmp_path / "data" / name)
        embeddings = model / "embeddings" / name
        embeddings.mkdir(parents=True)
        for kind in ("xvector", "segments"):
            shutil.copy(staged[0] / "test" / f"{kind}.1.scp", embeddings / f"{kind}.scp")
    shutil.copytree(trained_backend, model / "backend")
    return model


def run(model: Path, *names: str, top_n: int = 5, more: tuple[str, ...] = ()) -> None:
    data = model.parents[1] / "data"
    options = ["--model", str(model), "--seed", "3", "--top-n", str(top_n)]
    score_sets.main([*options, *more, *(str(data / name) for name in names)])


def test_every_condition_and_back_end_gets_scores_and_a_row(model) -> None:
    run(model, "test", "test-babble-snr5", "test-noise-snr20")
    rows = read_results(model / "results.json")
    assert [(row["condition"], row["backend"]) for row in rows] == [
        (condition, backend) for condition in ("clean", "babble-snr5", "noise-snr20") for backend in BACK_ENDS
    ]
    for row in rows:
        assert (row["system"], row["test_set"], row["seed"]) == ("tiny", "test", 3)
        assert (row["num_target"], row["num_nontarget"]) == (3, 12)
        assert row["trials_sha256"] == sha256_of(model.parents[1] / "data" / "test" / "trials")
        assert row["checkpoint_sha256"] == sha256_of(model / "checkpoints" / "best.pt")
    assert len(list(model.glob("scores/*/*.scores"))) == 3 * len(BACK_ENDS)


def test_conditions_that_are_no_longer_scored_stay_unless_it_is_said_that_these_are_all(model) -> None:
    def conditions() -> set[str]:
        return {row["condition"] for row in read_results(model / "results.json")}

    run(model, "test", "test-babble-snr5", "test-noise-snr20")
    run(model, "test", "test-babble-snr5")
    assert conditions() == {"clean", "babble-snr5", "noise-snr20"}
    run(model, "test", "test-babble-snr5", more=("--whole",))
    assert conditions() == {"clean", "babble-snr5"}


def sv_score(model: Path, kind: str, *options: object) -> bytes:
    """Scores that `sv score` writes for data/test."""
    table, out = model / "embeddings" / "test" / "xvector.scp", model.parents[1] / "scores"
    score.main([str(a) for a in (kind, model.parents[1] / "data/test/trials", table, table, out, *options)])
    return out.read_bytes()


def test_scores_are_what_sv_score_gives_on_the_vectors(model) -> None:
    run(model, "test")
    plda = ("plda", "--backend", model / "backend")
    as_norm = ("--as-norm", model / "backend" / "cohort.scp", "--top-n", 5)
    for name, arguments in {
        "cosine": ("cosine",),
        "cosine-asnorm": ("cosine", *as_norm),
        "centred_cosine": ("centred_cosine", *plda[1:]),
        "centred_cosine-asnorm": ("centred_cosine", *plda[1:], *as_norm),
        "plda": plda,
        "plda-asnorm": (*plda, *as_norm),
    }.items():
        assert (model / "scores" / "test" / f"{name}.scores").read_bytes() == sv_score(model, *arguments), name


@pytest.mark.parametrize(("top_n", "used"), [(5, 5), (10, 10), (300, 10)])
def test_results_hold_the_cohort_and_how_much_of_it_is_used(model, capsys, top_n, used) -> None:
    run(model, "test", top_n=top_n)
    found = {row["backend"]: row["normalisation"] for row in read_results(model / "results.json")}
    cohort = cohort_id(read_vectors(model / "backend" / "cohort.scp"))[:12]
    normalised = f"as-norm, top {used} of {NUM_SPEAKERS}, cohort {cohort}"
    assert found == {name: normalised if "asnorm" in name else "none" for name in BACK_ENDS}
    assert ("AS-norm by all 10 speakers of the cohort: top-n is 300" in capsys.readouterr().err) == (top_n == 300)


def test_a_missing_back_end_says_which_stage_makes_it(model, fails) -> None:
    shutil.rmtree(model / "backend")
    said = fails(score_sets.main, "--model", model, model.parents[1] / "data" / "test")
    assert said == f"error: {model}/backend/cohort.scp: not there; run stage 6 first"


def test_models_are_scored_by_the_mean_of_their_utterances(model) -> None:
    data_dir, embeddings = model.parents[1] / "data" / "test", model / "embeddings" / "test"
    spk2utt = read_spk2utt(data_dir / "spk2utt")
    utts = {f"model-{speaker}": own[:2] for speaker, own in spk2utt.items()}
    write_enrolment(data_dir, utts)
    everyone = [utt for own in spk2utt.values() for utt in own]
    pairs = [(name, utt, utt in own) for name, own in zip(utts, spk2utt.values()) for utt in everyone]
    names, tested, labels = zip(*pairs)
    write_trials(data_dir / "trials", Trials(list(names), list(tested), np.array(labels)))
    run(model, "test")
    vectors = {utt: vector / np.linalg.norm(vector) for utt, vector in read_vectors(embeddings / "xvector.scp").items()}
    for (name, utt), value in read_scores(model / "scores" / "test" / "cosine.scores").items():
        mean = sum(vectors[own] for own in utts[name])
        assert value == pytest.approx(float(mean @ vectors[utt] / np.linalg.norm(mean)), abs=1e-5)
    assert read_results(model / "results.json")[0]["num_target"] == len(everyone)


def write_network(path: Path, dim: int) -> BVectorBackEnd:
    """A b-vector network of random weights."""
    rng = np.random.default_rng(4)
    weights = (rng.normal(size=(8, 3 * dim)), rng.normal(size=(2, 8)))
    biases = (rng.normal(size=8), rng.normal(size=2))
    network = BVectorBackEnd(mean=rng.normal(size=dim), std=rng.uniform(1, 2, size=dim), weights=weights, biases=biases)
    network.write(path)
    return network


def test_a_b_vector_network_is_one_more_back_end(model) -> None:
    vectors = read_vectors(model / "embeddings" / "test" / "xvector.scp")
    network = write_network(model / "backend" / "b_vector.npz", len(next(iter(vectors.values()))))
    run(model, "test", "test-babble-snr5")
    rows = [row for row in read_results(model / "results.json") if row["backend"] == "b_vector"]
    assert [(row["condition"], row["normalisation"]) for row in rows] == [("clean", "none"), ("babble-snr5", "none")]
    for (enrolment, test), value in read_scores(model / "scores" / "test" / "b_vector.scores").items():
        [expected] = network.log_odds(vectors[enrolment][None], vectors[test][None])
        assert value == pytest.approx(expected, rel=1e-5)


def test_scoring_some_sets_again_leaves_the_rows_of_the_others(model) -> None:
    run(model, "test", "test-babble-snr5")
    before = read_results(model / "results.json")
    run(model, "test-noise-snr20", "test")
    after = read_results(model / "results.json")
    assert len(after) == 3 * len(BACK_ENDS)
    assert [row for row in before if row not in after] == []


def test_unknown_utterances_are_told_with_the_trial_file(model, fails) -> None:
    trials = model.parents[1] / "data" / "test" / "trials"
    trials.write_text(trials.read_text() + "spk0-0 x1 target\nx2 spk0-0 nontarget\n")
    said = fails(score_sets.main, "--model", model, trials.parent)
    assert said.endswith(f"error: {trials}: 2 of 8 trial utterances have no embedding, e.g. ['x1', 'x2']")
    assert not (model / "results.json").exists()


def test_trials_without_targets_are_told_with_their_file(model, fails) -> None:
    trials = model.parents[1] / "data" / "test" / "trials"
    trials.write_text("spk0-0 spk1-2 nontarget\n")
    said = fails(score_sets.main, "--model", model, trials.parent)
    assert said.endswith(f"error: {trials}: error rates need target and nontarget trials, got 0 and 1")


def test_missing_embeddings_say_which_stage_makes_them(model, fails) -> None:
    table = model / "embeddings" / "test" / "xvector.scp"
    table.unlink()
    assert fails(score_sets.main, "--model", model, model.parents[1] / "data" / "test").endswith("run stage 5 first")


def test_score_files_hold_the_trials_in_their_order(model) -> None:
    run(model, "test")
    trials = (model.parents[1] / "data" / "test" / "trials").read_text().splitlines()
    pairs = [tuple(line.split()[:2]) for line in trials]
    assert list(read_scores(model / "scores" / "test" / "neg_mean_l2.scores")) == pairs


def test_a_model_without_a_back_end_and_the_rules_of_a_challenge(model, capsys) -> None:
    shutil.rmtree(model / "backend")
    data = model.parents[1] / "data" / "test"
    with pytest.raises(SystemExit, match="run stage 6 first"):
        score_sets.main(["--model", str(model), str(data)])
    score_sets.main(["--model", str(model), "--no-backend", "--rules", "voices", str(data)])
    rows = read_results(model / "results.json")
    assert [row["backend"] for row in rows] == ["cosine", "neg_mean_l2"]
    for row in rows:
        assert row["rules"] == "voices"
        assert row["broken_rules"] == voices_rules(read_system(model).augment)
