"""Cosine of centred embeddings: what it centres by, and what it refuses."""

import numpy as np
import pytest

from sv.kaldi import Trials
from sv.scoring import score_cosine
from sv.scoring.backends import CentredCosineBackEnd, PldaBackEnd, PldaConfig, Training

TRIALS = Trials(list("ab"), list("bc"), np.array([True, False]))


def vectors_of(names: str, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=3).astype(np.float32) + 5 for name in names}


def test_what_all_embeddings_have_in_common_does_not_count() -> None:
    vectors = vectors_of("abc", 1)
    moved = {name: vector - 5 for name, vector in vectors.items()}
    found = CentredCosineBackEnd(np.full(3, 5, np.float32)).score(TRIALS, vectors)
    np.testing.assert_allclose(found, score_cosine(TRIALS, moved), rtol=1e-5)
    assert abs(found - score_cosine(TRIALS, vectors)).max() > 0.1


def test_its_mean_is_that_of_plda(tmp_path) -> None:
    vectors = vectors_of("abcdefgh", 2)
    rows, names = np.stack(list(vectors.values())), list(vectors)
    training = Training(vectors=rows, names=names, speakers=list("xxyyzzww"))
    PldaBackEnd.fit(training, PldaConfig(lda_dim=2)).save(tmp_path)
    kind = CentredCosineBackEnd
    assert np.array_equal(kind.load(tmp_path).mean, kind.fit(training, kind.Config()).mean)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ({"a": np.ones(2)}, "the back end is for embeddings of 3 dimensions, got 2"),
        ({"a": np.zeros(3)}, r"1 embeddings are zero, NaN or infinite, e\.g\. \['a'\]"),
        ({"a": np.full(3, np.nan)}, r"1 embeddings are zero, NaN or infinite, e\.g\. \['a'\]"),
    ],
    ids=["size", "zero", "nan"],
)
def test_embeddings_that_are_none_are_named(vectors, message) -> None:
    given = {name: np.ones_like(vectors["a"]) for name in "bc"} | vectors
    with pytest.raises(ValueError, match=message):
        CentredCosineBackEnd(np.full(3, 5, np.float32)).score(TRIALS, given)
