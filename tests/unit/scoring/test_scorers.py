"""Whole trial lists, against the scores of Kaldi's programs and of NumPy on their output."""

from dataclasses import replace

import numpy as np
import pytest

from sv.kaldi import Trials, read_matrix_file, read_plda, read_vector_file
from sv.scoring import Plda, adapt_plda, as_norm, score_cosine, score_trials, train_plda
from sv.scoring.backends import CosineBackEnd, PldaBackEnd, PldaConfig, Training
from sv.scoring.cosine import row_products, rows_of
from sv.scoring.plda import llr_sides, project

ATOL = 2e-5  # Kaldi rounds vectors and scores to float32; the scores span -73 to 22


@pytest.fixture(scope="module")
def kaldis(golden_dir) -> PldaBackEnd:
    """Kaldi's own model of chain A."""
    return PldaBackEnd(
        read_vector_file(golden_dir / "A.mean.txt"),
        read_matrix_file(golden_dir / "A.lda.bin"),
        Plda(*read_plda(golden_dir / "A.plda.bin")),
    )


@pytest.fixture(scope="module")
def ours(golden_vectors) -> PldaBackEnd:
    """Chain A, trained by us."""
    train = golden_vectors("train")
    vectors, speakers = np.stack(list(train.values())), [utt[:5] for utt in train]
    return PldaBackEnd.fit(Training(vectors=vectors, speakers=speakers, names=list(train)), PldaConfig(lda_dim=24))


def adapted(backend: PldaBackEnd, vectors: dict[str, np.ndarray], within: float, between: float) -> PldaBackEnd:
    prepared = backend.preprocess(np.stack(list(vectors.values())), vectors)
    return replace(backend, plda=adapt_plda(backend.plda, prepared, within_scale=within, between_scale=between))


@pytest.mark.parametrize("model", ["kaldis", "ours"])
@pytest.mark.parametrize("variant", ["scores", "nonorm", "simple", "smooth", "adapt", "adapt16", "dot"])
def test_chain_a_gives_kaldis_scores(request, golden_vectors, golden_scores, model, variant) -> None:
    backend, adapt = request.getfixturevalue(model), golden_vectors("adapt")
    scorers = {
        "scores": lambda: backend,
        "nonorm": lambda: replace(backend, length_norm="none"),
        "simple": lambda: replace(backend, length_norm="simple"),
        "smooth": lambda: replace(backend, smoothing=0.1),
        "adapt": lambda: adapted(backend, adapt, 0.3, 0.7),
        "adapt16": lambda: adapted(backend, adapt, 0.75, 0.25),
        "dot": lambda: CosineBackEnd(plda=backend),
    }
    trials, expected = golden_scores("A.scores" if variant == "scores" else f"A.{variant}.scores")
    found = score_trials(scorers[variant](), trials, golden_vectors("eval"))
    if variant == "dot":
        found *= 24  # both lengths are sqrt(24)
    np.testing.assert_allclose(found, expected, rtol=0, atol=ATOL)


def enrolled(golden_vectors, golden_lists) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    vectors, spk2utt = golden_vectors("eval"), golden_lists("enroll.spk2utt")
    means = {speaker: np.mean([vectors[utt] for utt in utts], axis=0) for speaker, utts in spk2utt.items()}
    return means, {speaker: int(fields[0]) for speaker, fields in golden_lists("enroll.num_utts").items()}


@pytest.mark.parametrize("model", ["kaldis", "ours"])
def test_enrolment_by_several_utterances_gives_kaldis_scores(
    request, golden_vectors, golden_lists, golden_scores, model
) -> None:
    trials, expected = golden_scores("A.enroll.scores")
    means, counts = enrolled(golden_vectors, golden_lists)
    scorer = request.getfixturevalue(model)
    found = score_trials(scorer, trials, means, golden_vectors("eval"), num_utts=counts)
    np.testing.assert_allclose(found, expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize(("name", "num_iters"), [("B.scores", 10), ("B100.scores", 100), ("B.enroll.scores", 10)])
def test_chain_b_gives_kaldis_scores(golden_vectors, golden_lists, golden_scores, name, num_iters) -> None:
    vectors, spk2utt = golden_vectors("train"), golden_lists("train_unbal.spk2utt")
    utts = [utt for utts in spk2utt.values() for utt in utts]
    plda = train_plda(np.stack([vectors[utt] for utt in utts]), [utt[:5] for utt in utts], num_iters)
    (trials, expected), evaluated = golden_scores(name), golden_vectors("eval")
    means, counts = (
        enrolled(golden_vectors, golden_lists) if "enroll" in name else (evaluated, dict.fromkeys(evaluated, 1))
    )
    (left, (left_rows,)), (right, (right_rows,)) = (
        rows_of(means, "mean", trials.enrolment), rows_of(evaluated, "vector", trials.test)
    )  # fmt: skip
    n = np.array([counts[name] for name in left])
    sides = llr_sides(
        plda,
        project(plda, np.stack([means[name] for name in left]), n),
        n,
        project(plda, np.stack([evaluated[name] for name in right])),
    )
    np.testing.assert_allclose(row_products(*sides, left_rows, right_rows), expected, rtol=0, atol=ATOL)


def speaker_means(vectors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    speakers = sorted({utt[:5] for utt in vectors})
    return {speaker: np.mean([v for utt, v in vectors.items() if utt[:5] == speaker], axis=0) for speaker in speakers}


@pytest.mark.parametrize("model", ["kaldis", "ours"])
def test_scores_with_the_cohort_are_kaldis(request, golden_vectors, golden_scores, model) -> None:
    trials, expected = golden_scores("A.cohort.scores")
    scorer, cohort = request.getfixturevalue(model), speaker_means(golden_vectors("train"))
    found = score_trials(scorer, trials, golden_vectors("eval"), cohort)
    np.testing.assert_allclose(found, expected, rtol=0, atol=ATOL)


def test_adaptive_s_norm_from_embeddings_on(ours, golden_vectors, golden_scores) -> None:
    trials, expected = golden_scores("A.asnorm_top20.numpy.scores")
    cohort = speaker_means(golden_vectors("train"))
    found = score_trials(ours, trials, golden_vectors("eval"), cohort=cohort, top_n=20)
    np.testing.assert_allclose(found, expected, rtol=0, atol=ATOL)


def test_each_side_has_its_own_cohort_scores(ours, golden_vectors, golden_lists, golden_scores) -> None:
    """The enrolment side's with its counts, the test side's as a test of the cohort's speakers."""
    trials, _ = golden_scores("A.enroll.scores")
    means, counts = enrolled(golden_vectors, golden_lists)
    evaluated, cohort, scorer = golden_vectors("eval"), speaker_means(golden_vectors("train")), ours

    def against(names, others, first, second, num_utts=None) -> np.ndarray:
        pairs = [(name, other) for name in names for other in others]
        listed = Trials([a for a, _ in pairs], [b for _, b in pairs], np.zeros(len(pairs), dtype=bool))
        return score_trials(scorer, listed, first, second, num_utts=num_utts).reshape(len(names), len(others))

    speakers, utts = sorted(set(trials.enrolment)), sorted(set(trials.test))
    sides = against(speakers, cohort, means, cohort, counts), against(list(cohort), utts, cohort, evaluated).T
    rows = (
        np.array([speakers.index(name) for name in trials.enrolment]),
        np.array([utts.index(name) for name in trials.test]),
    )
    raw = score_trials(scorer, trials, means, evaluated, num_utts=counts)
    found = score_trials(scorer, trials, means, evaluated, num_utts=counts, cohort=cohort, top_n=10)
    np.testing.assert_allclose(found, as_norm(raw, rows, *sides, top_n=10), atol=1e-9)


def some_vectors(names: str, dim: int = 6, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=dim).astype(np.float32) for name in names}


TRIALS = Trials(list("abcab"), list("bcaca"), np.zeros(5, dtype=bool))


def test_cosine_of_lists_and_cohorts_by_hand() -> None:
    vectors, cohort = some_vectors("abc"), some_vectors("rstuv", seed=1)

    def cos(x, y):
        return float(x @ y / np.sqrt((x @ x) * (y @ y)))

    def normalised(score, vector):
        top = sorted((cos(vector, other) for other in cohort.values()), reverse=True)[:3]
        return (score - np.mean(top)) / np.std(top)

    pairs = [(vectors[a], vectors[b]) for a, b in zip(TRIALS.enrolment, TRIALS.test)]
    raw = [cos(a, b) for a, b in pairs]
    np.testing.assert_allclose(score_trials(CosineBackEnd(), TRIALS, vectors), raw, atol=1e-6)
    np.testing.assert_array_equal(score_trials(CosineBackEnd(), TRIALS, vectors), score_cosine(TRIALS, vectors))
    expected = [(normalised(s, a) + normalised(s, b)) / 2 for s, (a, b) in zip(raw, pairs)]
    found = score_trials(CosineBackEnd(), TRIALS, vectors, cohort=cohort, top_n=3)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("apart", [False, True])
def test_copies_and_own_vectors_in_the_cohort_change_nothing(apart) -> None:
    vectors, cohort = some_vectors("abc"), some_vectors("rstuv", seed=1)
    test = dict(vectors) if apart else None
    want = score_trials(CosineBackEnd(), TRIALS, vectors, test, cohort=cohort, top_n=3)
    copied = cohort | {f"{name}{i}": cohort[name] for name in "rst" for i in range(9)}
    np.testing.assert_allclose(score_trials(CosineBackEnd(), TRIALS, vectors, test, cohort=copied, top_n=3), want)
    # a has its own vector in the cohort, b its name: neither is compared with it, the others are.
    inside = cohort | {"x": vectors["a"], "b": some_vectors("b", seed=2)["b"]}
    found = score_trials(CosineBackEnd(), TRIALS, vectors, test, cohort=inside, top_n=3)

    def cos(x, y):
        return float(x @ y / np.sqrt((x @ x) * (y @ y)))

    def normalised(score, name):
        others = [key for key in inside if key != name and not (name == "a" and key == "x")]
        top = sorted((cos(vectors[name], inside[key]) for key in others), reverse=True)[:3]
        return (score - np.mean(top)) / np.std(top)

    pairs = list(zip(TRIALS.enrolment, TRIALS.test))
    raw = [cos(vectors[a], vectors[b]) for a, b in pairs]
    expected = [(normalised(s, a) + normalised(s, b)) / 2 for s, (a, b) in zip(raw, pairs)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_vector_of_several_utterances_is_trusted_more(ours, golden_vectors) -> None:
    vectors = golden_vectors("eval")
    utt = next(iter(vectors))
    trials = Trials([utt], [utt], np.ones(1, dtype=bool))
    scorer = replace(ours, length_norm="none")
    one, four = (score_trials(scorer, trials, vectors, num_utts={utt: n})[0] for n in (1, 4))
    assert one == pytest.approx(score_trials(scorer, trials, vectors)[0], abs=1e-9)
    assert four > one + 0.5


def test_what_is_missing_is_named() -> None:
    vectors = some_vectors("ab")
    with pytest.raises(KeyError, match=r"1 of 3 trial utterances have no embedding, e.g. \['c'\]"):
        score_trials(CosineBackEnd(), TRIALS, vectors)
    with pytest.raises(KeyError, match="1 of 3 trial utterances have no test embedding"):
        score_trials(CosineBackEnd(), TRIALS, some_vectors("abc"), vectors)
    with pytest.raises(KeyError, match=r"2 of 3 enrolled have no number of utterances, e.g. \['b', 'c'\]"):
        score_trials(CosineBackEnd(), TRIALS, some_vectors("abc"), num_utts={"a": 2})


def test_embeddings_of_two_systems_are_refused(ours) -> None:
    with pytest.raises(ValueError, match="embeddings differ in dimension: enrolment 6, test 5, cohort 6"):
        score_trials(CosineBackEnd(), TRIALS, some_vectors("abc"), some_vectors("abc", dim=5))
    with pytest.raises(ValueError, match="differ in dimension: enrolment 6, test 6, cohort 4"):
        score_trials(CosineBackEnd(), TRIALS, some_vectors("abc"), cohort=some_vectors("xyz", dim=4))
    with pytest.raises(ValueError, match="the back end is for embeddings of 40 dimensions, got 6"):
        score_trials(ours, TRIALS, some_vectors("abc"))


def test_empty_lists_and_cohorts_are_refused() -> None:
    nothing = Trials([], [], np.zeros(0, dtype=bool))
    for trials, cohort in ((nothing, None), (TRIALS, {})):
        with pytest.raises(ValueError, match="nothing to score: the trial list or the cohort is empty"):
            score_trials(CosineBackEnd(), trials, some_vectors("abc"), cohort=cohort)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_embeddings_and_cohorts_without_direction_are_named(value) -> None:
    vectors = some_vectors("abc")
    spoilt = vectors | {"b": np.full(6, value)}
    for sides in (
        {"enrolment": spoilt},
        {"enrolment": vectors, "test": spoilt},
        {"enrolment": vectors, "cohort": spoilt},
    ):
        with pytest.raises(ValueError, match=r"1 embeddings are zero, NaN or infinite, e.g. \['b'\]"):
            score_trials(CosineBackEnd(), TRIALS, **sides)


@pytest.mark.parametrize("text", [True, False])
def test_a_written_back_end_scores_alike(ours, golden_vectors, golden_scores, tmp_path, text) -> None:
    trials, expected = golden_scores("A.scores")
    replace(ours, text=text).save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mean.vec", "plda", "transform.mat"]
    found = PldaBackEnd.load(tmp_path).score(trials, golden_vectors("eval"))
    np.testing.assert_allclose(found, expected, rtol=0, atol=ATOL)
