"""Linear maps of embeddings: what they are fitted to."""

import numpy as np
import pytest
import torch

from sv.enhancement.linear import fit_linear
from sv.models.embedding_linear import EmbeddingLinear, EmbeddingLinearConfig
from sv.train.steps.enhancement import LinearConfig


@pytest.fixture(scope="module")
def labelled():
    rng = np.random.default_rng(0)
    centres, mix = rng.normal(size=(20, 5)), rng.normal(size=(5, 5))
    speakers = np.repeat(np.arange(20), 6)
    return centres[speakers] + rng.normal(size=(120, 5)) @ mix + 3.0, [f"spk{i}" for i in speakers]


def within(vectors, speakers):
    """Covariance within speakers."""
    names = np.array(speakers)
    centred = np.concatenate(
        [vectors[names == name] - vectors[names == name].mean(axis=0) for name in sorted(set(names))]
    )
    return centred.T @ centred / (len(vectors) - len(set(speakers)))


def mapped(kind, labelled, **options):
    vectors, speakers = labelled
    mean, transform = fit_linear(LinearConfig(kind=kind, **options), vectors, speakers)
    model = EmbeddingLinear(EmbeddingLinearConfig(embedding_dim=5, output_dim=len(transform))).double()
    model.load_state_dict({"mean": torch.from_numpy(mean), "transform": torch.from_numpy(transform)})
    with torch.no_grad():
        return model(torch.from_numpy(vectors)).embedding.numpy()


def test_the_mean_is_subtracted_and_nothing_else(labelled) -> None:
    np.testing.assert_allclose(mapped("mean", labelled), labelled[0] - labelled[0].mean(axis=0), atol=1e-12)


def test_wccn_makes_the_covariance_within_speakers_the_identity(labelled) -> None:
    found = mapped("wccn", labelled)
    np.testing.assert_allclose(within(found, labelled[1]), np.eye(5), atol=1e-10)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-10)


def test_lda_keeps_what_tells_speakers_apart(labelled) -> None:
    found = mapped("lda", labelled, dim=2)
    assert found.shape == (120, 2)
    scaled = within(found, labelled[1])
    np.testing.assert_allclose(scaled, scaled[0, 0] * np.eye(2), atol=1e-10)
    assert mapped("lda", labelled, dim=200).shape == (120, 5)


def test_too_few_utterances_are_refused(labelled) -> None:
    rows = [*range(0, 120, 6), 1, 7, 13, 19]
    vectors, speakers = labelled[0][rows], [labelled[1][row] for row in rows]
    with pytest.raises(ValueError, match="5-dimensional embeddings needs 25 utterances of 20 speakers, got 24"):
        fit_linear(LinearConfig(kind="wccn"), vectors, speakers)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="dim must be at least 1, got 0"):
        LinearConfig(dim=0)
    with pytest.raises(ValueError, match="embedding_dim and output_dim must be positive"):
        EmbeddingLinearConfig(output_dim=-1)
