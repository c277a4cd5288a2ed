"""All back ends through their one interface, against numbers from before they had it."""

import numpy as np
import pytest

from sv.kaldi import Trials
from sv.models import MODELS
from sv.scoring.backends import BACKENDS, HeldOut, PldaConfig, Training, paper_backend
from sv.train.b_vector_config import BVectorConfig

CONFIGS = {
    "plda": PldaConfig(lda_dim=4),
    "b_vector": BVectorConfig(hidden_dim=8, num_layers=2, pairs_per_batch=8, steps_per_epoch=5, num_epochs=2),
}
# Scores of trials 0, 100 and 200, and the mean of all, at commit b03ac10 by score_trials(CosineScorer(), ...) and its like.
BEFORE = {
    "cosine": ([0.79120152, 0.2201641, 0.8146866], 0.56752663),
    "centred_cosine": (
        [0.16192835, 0.17920508, 0.07310551],
        0.12066364,
    ),  # later: by rows that NumPy centres in float64
    "plda": ([1.2545283, -3.2657483, -3.2284877], -3.4969007),
    "b_vector": ([0.00038784134, -0.0029794248, -0.001977989], -0.00062339301),
    "neg_mean_l2": ([-0.62599132, -1.3472195, -0.62208035], -0.88124125),
    "mean_cos": ([0.80012813, 0.092262276, 0.80160243], 0.55237688),
}


@pytest.fixture(scope="module")
def corpus() -> tuple[Training, Trials, dict[str, dict[str, np.ndarray]]]:
    """Five utterances of each of 12 speakers: to train on, trials among them, vectors and segments."""
    rng = np.random.default_rng(0)
    speakers = [f"s{i:02d}" for i in range(12) for _ in range(5)]
    centres = np.repeat(rng.normal(size=(12, 6)), 5, axis=0)
    rows = (centres + 0.6 * rng.normal(size=(60, 6)) + 1).astype(np.float32)
    names = [f"{speaker}-{i:02d}" for i, speaker in enumerate(speakers)]
    vectors = dict(zip(names, rows))
    segments = {
        name: (vector + 0.3 * rng.normal(size=(1 + i % 3, 6))).astype(np.float32)
        for i, (name, vector) in enumerate(vectors.items())
    }
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :: 7]]
    trials = Trials([a for a, _ in pairs], [b for _, b in pairs], np.array([a[:3] == b[:3] for a, b in pairs]))
    held_out = HeldOut(trials=trials, vectors=vectors)
    training = Training(vectors=rows, names=names, speakers=speakers, held_out=held_out)
    return training, trials, {"vectors": vectors, "segments": segments}


def test_all_back_ends_are_tested_in_the_order_of_results() -> None:
    assert list(BACKENDS) == list(BEFORE)
    assert all(back_end.name == name for name, back_end in BACKENDS.items())


@pytest.mark.parametrize("name", BACKENDS)
def test_fitted_saved_and_loaded_they_score_as_before(corpus, tmp_path, name) -> None:
    (training, trials, embeddings), kind = corpus, BACKENDS[name]
    back_end = kind.fit(training, CONFIGS.get(name, kind.Config()), 3)
    back_end.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(kind.files)
    if kind.files:
        back_end = kind.load(tmp_path)
    scores = back_end.score(trials, embeddings[kind.reads])
    some, mean = BEFORE[name]
    assert scores[[0, 100, 200]] == pytest.approx(some, rel=1e-4)
    assert scores.mean() == pytest.approx(mean, rel=1e-4)


@pytest.mark.parametrize("name", BACKENDS)
def test_the_two_sides_may_come_from_two_tables(corpus, name) -> None:
    (training, trials, embeddings), kind = corpus, BACKENDS[name]
    back_end, both = kind.fit(training, CONFIGS.get(name, kind.Config()), 3), embeddings[kind.reads]
    expected = back_end.score(trials, both)
    first, second = ({utt: both[utt] for utt in side} for side in (trials.enrolment, trials.test))
    np.testing.assert_allclose(back_end.score(trials, first, second), expected, rtol=1e-9, atol=1e-12)
    turned = {utt: array[..., ::-1] for utt, array in second.items()}
    assert not np.allclose(back_end.score(trials, first, turned), expected)
    with pytest.raises(KeyError, match="trial utterances have no test"):
        back_end.score(trials, first, dict(list(second.items())[1:]))


@pytest.mark.parametrize("name", [name for name, kind in BACKENDS.items() if kind.files])
def test_a_missing_folder_is_told_with_the_remedy(tmp_path, name) -> None:
    with pytest.raises(FileNotFoundError, match=rf"nowhere/.*: not there; sv backend --kinds {name} makes it"):
        BACKENDS[name].load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["neg_mean_l2", "mean_cos"])
def test_what_learns_nothing_reads_no_folder(tmp_path, name) -> None:
    with pytest.raises(
        ValueError, match=f"the back end {name} learns nothing, so it has no folder; leave out --backend"
    ):
        BACKENDS[name].load(tmp_path)


def test_the_back_end_of_a_paper_is_one_of_ours() -> None:
    used = {name: paper_backend(name) for name in MODELS}
    assert {name.removesuffix("-asnorm") for name in used.values()} <= BACKENDS.keys()
    assert (used["rawnet1"], used["diff_sv"], used["ecapa_tdnn"]) == ("b_vector", "mean_cos", "cosine-asnorm")
    assert paper_backend("exu_net") == "neg_mean_l2"
    assert paper_backend("of no paper") == "cosine"
