import numpy as np
import pytest

from sv.scoring.wccn import train_wccn


def labelled(num_speakers=40, each=20, spread=(3.0, 1.0, 0.1, 0.5), seed=0):
    """Vectors whose deviations within speakers are `spread`, by axis, and their speakers."""
    rng = np.random.default_rng(seed)
    speakers = np.repeat(np.arange(num_speakers), each)
    means = rng.normal(size=(num_speakers, len(spread)))
    return means[speakers] + rng.normal(size=(len(speakers), len(spread))) * spread, speakers


def within(vectors, speakers):
    centred = np.concatenate([rows - rows.mean(0) for rows in (vectors[speakers == one] for one in set(speakers))])
    return centred.T @ centred / (len(vectors) - len(set(speakers)))


def test_without_shrinkage_the_covariance_within_speakers_becomes_the_identity():
    vectors, speakers = labelled()
    transform = train_wccn(vectors, speakers, 0.0)
    np.testing.assert_allclose(within(vectors @ transform.T, speakers), np.eye(4), atol=1e-9)
    np.testing.assert_allclose(transform, transform.T, atol=1e-12)


def test_shrinkage_adds_its_share_of_the_mean_variance_in_every_direction():
    vectors, speakers = labelled()
    covariance = within(vectors, speakers)
    wanted = covariance + 0.5 * np.trace(covariance) / 4 * np.eye(4)
    transform = train_wccn(vectors, speakers, 0.5)
    np.testing.assert_allclose(transform @ wanted @ transform.T, np.eye(4), atol=1e-9)
    near_none = train_wccn(vectors, speakers, 1e6)
    np.testing.assert_allclose(near_none / near_none[0, 0], np.eye(4), atol=1e-5)


def test_few_utterances_need_shrinkage():
    vectors, speakers = labelled(num_speakers=2, each=2, spread=(1.0,) * 6)
    with pytest.raises(ValueError, match="needs 8 utterances of 2 speakers, got 4; or a shrinkage above 0"):
        train_wccn(vectors, speakers, 0.0)
    assert np.isfinite(train_wccn(vectors, speakers, 1.0)).all()
    with pytest.raises(ValueError, match="no speaker has two utterances"):
        train_wccn(vectors, range(4), 1.0)


def test_what_disturbs_all_speakers_alike_counts_less():
    """Two speakers that differ along the quiet axis, and utterances that differ along the loud one."""
    vectors, speakers = labelled(spread=(3.0, 0.1))
    transform = train_wccn(vectors, speakers, 0.1)
    loud, quiet = (np.linalg.norm(transform @ axis) for axis in np.eye(2))
    assert quiet > 3 * loud
