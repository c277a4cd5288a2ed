import numpy as np
import pytest

from sv.scoring import compute_eer, det_points, model_embeddings, model_segments


def chirp(n, a, b, c):
    t = np.arange(n, dtype=np.float64)
    return np.sin(a * t**2 + b * t + c)


def published_block() -> np.ndarray:
    """Cosines of verification utterances 3 to 5 with models of utterances 0 to 2, (4 speakers * 3, 4 models)."""
    common, own = chirp(24, 0.37, 0.5, 0.1).reshape(4, 1, 6), chirp(144, 0.11, 0.9, 0.2).reshape(4, 6, 6)
    vectors = 0.6 * common + 0.8 * own
    embeddings = {f"{j}-{i}": vectors[j, i] for j in range(4) for i in range(6)}
    models = model_embeddings({str(j): [f"{j}-{i}" for i in range(3)] for j in range(4)}, embeddings)
    unit_models = np.stack([model / np.linalg.norm(model) for model in models.values()])
    tested = vectors[:, 3:].reshape(12, 6)
    return tested / np.linalg.norm(tested, axis=1, keepdims=True) @ unit_models.T


def published_sweep(block: np.ndarray) -> tuple[float, float, float, float]:
    """(EER, threshold, FAR, FRR) as the published code reads them off a grid: first nearest rates, strict acceptance."""
    own = np.arange(block.shape[1]).repeat(len(block) // block.shape[1])
    is_target = own[:, None] == np.arange(block.shape[1])
    rates = [
        (abs((far := (block > t)[~is_target].mean()) - (frr := (block <= t)[is_target].mean())), t, far, frr)
        for t in 0.5 + 0.01 * np.arange(50)
    ]
    _, threshold, far, frr = min(rates, key=lambda rate: rate[0])
    return (far + frr) / 2, threshold, far, frr


def test_scores_of_the_published_code():
    block = published_block()  # whose norms have 1e-6 added under the root
    assert block[0] == pytest.approx([0.720344, 0.064912, -0.491327, -0.061784], abs=2e-6)
    assert block[-1] == pytest.approx([0.622569, -0.497870, -0.117589, 0.214541], abs=2e-6)


def test_the_published_sweep_is_no_eer_where_the_rates_cross_below_its_grid():
    block = published_block()
    eer, threshold, far, frr = published_sweep(block)
    assert (eer, threshold) == pytest.approx((0.2778, 0.50), abs=1e-4)
    assert (far, frr) == pytest.approx((0.0556, 0.5), abs=1e-4)
    is_target = (np.arange(4).repeat(3)[:, None] == np.arange(4)).ravel()
    p_miss, p_fa, thresholds = det_points(block.ravel(), is_target)
    nearest = np.argmin(np.abs(p_miss - p_fa))
    assert (p_fa[nearest], p_miss[nearest]) == pytest.approx((0.2778, 0.25), abs=1e-4)
    assert thresholds[nearest] == pytest.approx(0.243874, abs=2e-6)
    assert 0.25 <= compute_eer(block.ravel(), is_target) <= 0.2778


def test_the_published_text_independent_result():
    """The similarities that the VCTK code's README shows, and the rates that it reports for them."""
    rows = """.91 .38 -.11 .2 / .7 .21 .47 .62 / .64 .17 .42 .59 / .76 .47 .07 .66 / .68 .25 .34 .63 / .24 .84 -.19 .03
        / .26 .83 -.24 .04 / .28 .85 -.26 .31 / .17 .82 -.22 .31 / .03 .82 -.08 .09 / -.07 -.03 .92 .19 / .07 -.43 .77 0
        / .02 -.43 .81 .01 / -.16 -.23 .29 .06 / -.09 .1 .89 .38 / .37 .15 .21 .76 / .38 .61 .4 .87 / .2 .34 .81 .81
        / .41 .05 .09 .59 / .52 .31 .42 .82"""
    block = np.array([row.split() for row in rows.split("/")], dtype=float)
    assert published_sweep(block) == pytest.approx((0.091667, 0.59, 0.083333, 0.10), abs=1e-5)


def test_a_model_is_the_mean_of_unit_vectors_and_has_all_segments():
    embeddings = {"a": np.array([3.0, 4.0]), "b": np.array([0.0, 2.0])}
    assert model_embeddings({"m": ["a", "b"]}, embeddings)["m"].tolist() == pytest.approx([0.3, 0.9])
    segments = {"a": np.ones((2, 3)), "b": np.zeros((1, 3))}
    assert model_segments({"m": ["a", "b"]}, segments)["m"].tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0]]


def test_missing_and_zero_embeddings_are_named():
    for function in (model_embeddings, model_segments):
        with pytest.raises(KeyError, match=r"1 of 2 enrolment utterances have no embedding, e.g. \['b'\]"):
            function({"m": ["a", "b"]}, {"a": np.ones((1, 2))})
    with pytest.raises(ValueError, match=r"1 embeddings are zero, NaN or infinite, e.g. \['a'\]"):
        model_embeddings({"m": ["a"]}, {"a": np.zeros(2)})
