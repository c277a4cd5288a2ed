import numpy as np
import pytest
import torch

from sv.embed.computing import TorchNetwork
from sv.embed.embedder import Embedder, utterance_embedding
from sv.features.log_mel import LogMel, LogMelConfig
from sv.features.segments import (
    SegmentConfig,
    compute_features,
    cut_segments,
    frames_per_segment,
    raised,
    segment_starts,
    shift_of,
    slide,
    sliding_starts,
)
from sv.features.waveform import Waveform, WaveformConfig
from sv.models import MODELS

SEGMENT = 4000  # samples
CONFIG = SegmentConfig(segment_samples=SEGMENT)
NUM_MELS = 16


@pytest.fixture(scope="module")
def frontend() -> torch.nn.Module:
    return LogMel(LogMelConfig(num_mel_bins=NUM_MELS)).eval()


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    config, module = MODELS["exu_net"]
    return module(config(num_mel_bins=NUM_MELS, channels=(4, 8, 8, 16), blocks=(1, 1, 1, 1), embedding_dim=12)).eval()


@pytest.fixture(scope="module")
def features(frontend) -> dict[str, np.ndarray]:
    """Of utterances with 1 to 6 segments."""
    rng = np.random.default_rng(0)
    lengths = (1000, 4000, 4001, 12_000, 9000, 20_001, 8000)
    return {
        f"utt{i}": compute_features(frontend, 0.1 * rng.normal(size=n).astype(np.float32), CONFIG)
        for i, n in enumerate(lengths)
    }


@pytest.mark.parametrize(
    ("seconds", "count"), [(4.0, 2), (8.2, 3), (20.0, 6), (60.0, 16), (61_360 / 16_000, 1), (1.0, 1)]
)
def test_number_of_segments_of_the_published_evaluation(seconds, count) -> None:
    assert len(segment_starts(round(16_000 * seconds), SegmentConfig())) == count


def test_segments_follow_each_other_and_the_last_ends_with_the_utterance() -> None:
    assert cut_segments(np.arange(10), SegmentConfig(segment_samples=4)).tolist() == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [6, 7, 8, 9],
    ]
    assert cut_segments(np.arange(8), SegmentConfig(segment_samples=4)).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert cut_segments(np.arange(4), SegmentConfig(segment_samples=4)).tolist() == [[0, 1, 2, 3]]


def test_a_short_utterance_is_repeated_as_a_whole() -> None:
    assert cut_segments(np.arange(3), SegmentConfig(segment_samples=8)).tolist() == [[0, 1, 2, 0, 1, 2, 0, 1]]


def test_an_utterance_without_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="an utterance without samples has no segments"):
        cut_segments(np.zeros(0), SegmentConfig(segment_samples=8))


def test_even_segments_reach_from_the_first_sample_to_the_last():
    config = SegmentConfig(segment_samples=4, scheme="even", num_segments=3)
    assert cut_segments(np.arange(11), config).tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [7, 8, 9, 10]]
    assert cut_segments(np.arange(3), config).tolist() == [[0, 1, 2, 0]]


def test_padded_segments_of_a_short_utterance_have_one_sample_to_move() -> None:
    config = SegmentConfig(segment_samples=4, scheme="even_padded", num_segments=3)
    assert cut_segments(np.arange(3), config).tolist() == [[0, 1, 2, 0], [0, 1, 2, 0], [1, 2, 0, 1]]
    assert cut_segments(np.arange(4), config).tolist() == [[0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3, 0]]
    ten = SegmentConfig(segment_samples=64_000, scheme="even_padded", num_segments=10)
    assert segment_starts(64_001, ten) == [0] * 9 + [1]
    expected = [0, 7333, 14666, 22000, 29333, 36666, 44000, 51333, 58666, 66000]
    assert segment_starts(130_000, ten) == expected


RAWNET2 = SegmentConfig(segment_samples=59_049, scheme="overlapping", step_samples=47_239, unit_segments=False)


@pytest.mark.parametrize(
    ("num_samples", "starts"),
    [
        (30_000, [0]),
        (59_049, [0]),
        (59_050, [0, 1]),
        (64_000, [0, 4951]),
        (106_287, [0, 47_238]),
        (106_288, [0, 47_239, 47_239]),
        (130_000, [0, 47_239, 70_951]),
        (200_000, [0, 47_239, 94_478, 140_951]),
    ],
)
def test_overlapping_segments_of_the_published_rawnet2_evaluation(num_samples: int, starts: list[int]) -> None:
    assert segment_starts(num_samples, RAWNET2) == starts
    cut = cut_segments(np.arange(1, num_samples + 1), RAWNET2)
    assert cut.shape == (len(starts), 59_049)
    assert cut[:, 0].tolist() == [start + 1 for start in starts]


def test_segments_further_apart_than_long_are_refused() -> None:
    with pytest.raises(ValueError, match="overlapping segments of 100 samples cannot be 101 samples apart"):
        SegmentConfig(segment_samples=100, scheme="overlapping", step_samples=101)


def test_a_whole_utterance_is_its_only_segment_repeated_if_short() -> None:
    config = SegmentConfig(segment_samples=4, scheme="whole")
    assert cut_segments(np.arange(7), config).tolist() == [[0, 1, 2, 3, 4, 5, 6]]
    assert cut_segments(np.arange(3), config).tolist() == [[0, 1, 2, 0]]


def test_utterances_of_any_length_are_embedded_by_themselves() -> None:
    frontend = Waveform(WaveformConfig())
    model = MODELS["rawnet1_pytorch"]
    torch.manual_seed(0)
    model = model[1](model[0](channels=(8, 8), gru_dim=8, embedding_dim=4)).eval()
    config = SegmentConfig(segment_samples=500, scheme="whole")
    assert frames_per_segment(frontend, config) is None
    rng = np.random.default_rng(0)
    waveforms = {f"utt{n}": rng.normal(size=n).astype(np.float32) for n in (300, 500, 1234)}
    features = {utt: compute_features(frontend, samples, config) for utt, samples in waveforms.items()}
    assert [len(matrix) for matrix in features.values()] == [500, 500, 1234]
    embedded = dict(Embedder(model, None, 8)(features.items()))
    for utt, matrix in features.items():
        with torch.no_grad():
            alone = model.embed(torch.from_numpy(matrix.T[None]))
        np.testing.assert_allclose(embedded[utt], alone.numpy(), atol=1e-6)


def test_peak_normalisation_comes_first_and_leaves_silence_silent() -> None:
    frontend = Waveform(WaveformConfig())
    config = SegmentConfig(segment_samples=4, scheme="consecutive", peak_normalise=True)
    samples = np.array([0.1, -0.4, 0.2, 0.0, 0.1, 0.0], dtype=np.float32)
    by_hand = cut_segments(samples / np.float32(0.4), config).reshape(-1, 1)
    np.testing.assert_allclose(compute_features(frontend, samples, config), by_hand, rtol=1e-6)
    assert not compute_features(frontend, np.zeros(6, dtype=np.float32), config).any()


def test_mean_of_raw_embeddings_if_asked() -> None:
    segments = np.array([[3.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(utterance_embedding(segments, unit_segments=False), [1.5, 0.5])
    np.testing.assert_allclose(utterance_embedding(segments), [0.5, 0.5])


WINDOWS = {  # samples -> first frames of the windows, by Resemblyzer
    8000: [0], 16_000: [0], 25_600: [0], 30_000: [0], 40_000: [0, 77], 80_000: [0, 77, 154, 231, 308],
    100_000: [0, 77, 154, 231, 308, 385, 462],
}  # fmt: skip
RESEMBLYZER = SegmentConfig(scheme="sliding", segment_samples=25_600, step_samples=77 * 160)


@pytest.mark.parametrize(("num_samples", "starts"), WINDOWS.items())
def test_sliding_windows_are_resemblyzers(num_samples, starts) -> None:
    assert [start / 160 for start in sliding_starts(num_samples, RESEMBLYZER, 160)] == starts


def test_sliding_windows_that_overlap_by_half() -> None:
    paper = SegmentConfig(scheme="sliding", segment_samples=25_600, step_samples=12_800)
    starts = [start // 160 for start in sliding_starts(80_000, paper, 160)]
    assert starts == [0, 80, 160, 240, 320]


def test_sliding_windows_are_cut_from_the_features_of_the_utterance_filled_up_with_zeros() -> None:
    config = SegmentConfig(scheme="sliding", segment_samples=8, step_samples=4)
    seen = []

    def every_second(samples):
        seen.append(samples.tolist())
        return samples[::2, None]

    windows = slide(every_second, np.arange(1, 16, dtype=np.float32), config, shift=2)
    assert windows[:, 0].tolist() == [1, 3, 5, 7, 5, 7, 9, 11, 9, 11, 13, 15]
    assert seen == [[*range(1, 16), 0]]


def test_sliding_features_of_a_front_end(frontend) -> None:
    config = SegmentConfig(scheme="sliding", segment_samples=4000, step_samples=1600)
    samples = 0.1 * np.random.default_rng(0).normal(size=9000).astype(np.float32)
    assert shift_of(frontend) == 160 and frames_per_segment(frontend, config) == 25
    features = compute_features(frontend, samples, config)
    whole = frontend(torch.from_numpy(samples[None]))[0].T.numpy()
    assert len(features) == 100
    # The front end's first and last frames see the utterance reflected, not zeros; inside, all are the same.
    np.testing.assert_allclose(features[:25], whole[:25], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(features[50:75], whole[20:45], rtol=1e-5, atol=1e-5)


def test_quiet_utterances_are_raised_and_loud_ones_left_alone() -> None:
    noise = np.random.default_rng(0).normal(size=8000).astype(np.float32)
    noise /= np.sqrt(np.mean(noise**2))
    assert np.sqrt(np.mean(raised(1e-3 * noise, -30.0) ** 2)) == pytest.approx(10**-1.5, rel=1e-4)
    np.testing.assert_array_equal(raised(0.1 * noise, -30.0), (0.1 * noise).astype(np.float32))
    np.testing.assert_array_equal(raised(0 * noise, -30.0), 0 * noise)
    np.testing.assert_array_equal(raised(1e-3 * noise, None), 1e-3 * noise)


def test_a_segment_without_a_direction_has_no_say() -> None:
    assert utterance_embedding(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == pytest.approx([0.3, 0.4])


@pytest.mark.parametrize("field", ["segment_samples", "num_segments", "step_samples", "batch_size"])
def test_config_refuses_what_is_not_positive(field) -> None:
    with pytest.raises(ValueError, match=f"{field} must be positive"):
        SegmentConfig(**{field: 0})


def test_features_of_a_segment_depend_on_that_segment_alone(frontend) -> None:
    samples = 0.1 * np.random.default_rng(1).normal(size=2 * SEGMENT).astype(np.float32)
    frames = frames_per_segment(frontend, CONFIG)
    whole = compute_features(frontend, samples, CONFIG)
    assert whole.shape == (2 * frames, NUM_MELS)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole[frames:], compute_features(frontend, samples[SEGMENT:], CONFIG))


def test_embeddings_are_those_of_the_model_one_segment_at_a_time(frontend, model, features) -> None:
    frames = frames_per_segment(frontend, CONFIG)
    embedded = dict(Embedder(model, frames, 4)(features.items()))
    assert list(embedded) == list(features)
    for utt, matrix in features.items():
        segments = torch.from_numpy(matrix.reshape(-1, frames, NUM_MELS)).transpose(1, 2)
        with torch.no_grad():
            alone = torch.cat([model.embed(segment[None]) for segment in segments])
        np.testing.assert_allclose(embedded[utt], alone.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 8, 64])
def test_an_embedding_does_not_depend_on_order_or_batches(frontend, model, features, batch_size) -> None:
    embedder = Embedder(model, frames_per_segment(frontend, CONFIG), batch_size)
    together, backwards = dict(embedder(features.items())), dict(embedder(reversed(features.items())))
    for utt, matrix in features.items():
        (alone,) = (found for _, found in embedder([(utt, matrix)]))
        # Another row of the same matrix product may round otherwise.
        np.testing.assert_allclose(together[utt], alone, atol=1e-6)
        np.testing.assert_allclose(together[utt], backwards[utt], atol=1e-6)


def test_an_embedding_does_not_depend_on_its_company_to_the_bit(frontend, model, features) -> None:
    embedder = Embedder(model, frames_per_segment(frontend, CONFIG), 4)
    found = [next(embedder([("one", features["utt3"]), ("other", features[other])])) for other in features]
    for _, embedding in found[1:]:
        np.testing.assert_array_equal(embedding, found[0][1])


def test_bf16_embeddings_do_not_depend_on_batches_beyond_its_rounding(frontend, model, features) -> None:
    frames = frames_per_segment(frontend, CONFIG)
    exact = dict(Embedder(model, frames, 4)(features.items()))
    for batch_size in (1, 3, 8):
        embedder = Embedder(TorchNetwork(model, "bf16"), frames, batch_size)
        assert (embedder.computing.precision, embedder.computing.runtime) == ("bf16", "torch")
        together, backwards = dict(embedder(features.items())), dict(embedder(reversed(features.items())))
        for utt, matrix in features.items():
            (alone,) = (found for _, found in embedder([(utt, matrix)]))
            length = np.linalg.norm(alone, axis=1).max()
            for other in (together[utt], backwards[utt]):
                # Another row of a product may round otherwise, to 8 binary digits, and later layers amplify that.
                assert np.linalg.norm(alone - other, axis=1).max() < 2**-8 * length
            assert not np.array_equal(alone, exact[utt])
            cosines = (alone * exact[utt]).sum(1) / np.linalg.norm(alone, axis=1) / np.linalg.norm(exact[utt], axis=1)
            assert cosines.min() > 0.99


def test_nothing_in_nothing_out(frontend, model) -> None:
    assert list(Embedder(model, frames_per_segment(frontend, CONFIG), 4)([])) == []


@pytest.mark.parametrize("num_frames", [0, 27])
def test_features_of_another_segment_length_are_refused_by_name(model, num_frames) -> None:
    with pytest.raises(ValueError, match=f"utt: {num_frames} frames are not a multiple of a segment's 26"):
        list(Embedder(model, 26, 4)([("utt", np.zeros((num_frames, NUM_MELS), np.float32))]))


def test_an_embedding_that_is_not_finite_is_refused_by_name(frontend, model, features) -> None:
    broken = {utt: matrix.copy() for utt, matrix in features.items()}
    broken["utt4"][3] = np.inf
    with pytest.raises(ValueError, match="utt4: its embedding is not finite"):
        list(Embedder(model, frames_per_segment(frontend, CONFIG), 4)(broken.items()))


def test_dot_product_of_utterance_embeddings_is_the_mean_cosine_over_segment_pairs() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(3, 5)), 100 * rng.normal(size=(2, 5))
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a in left for b in right]
    assert utterance_embedding(left) @ utterance_embedding(right) == pytest.approx(np.mean(cosines), abs=1e-12)


def test_short_utterances_have_one_even_segment_for_several_would_be_the_same():
    config = SegmentConfig(segment_samples=159_920, scheme="even", num_segments=4)
    assert segment_starts(100_000, config) == [0]
    assert segment_starts(159_920, config) == [0]
    assert len(segment_starts(159_921, config)) == 4


def test_golden_score_of_four_windows_is_the_mean_cosine_of_their_pairs(hashed):
    first, second = hashed(52, (4, 128)), hashed(53, (4, 128))
    assert utterance_embedding(first) @ utterance_embedding(second) == pytest.approx(-0.000772638, rel=1e-4)
