import logging

import numpy as np
import pytest

from sv.base.log import get_logger
from sv.kaldi import DataDirError, Trials, write_array_file, write_plda
from sv.scoring import compute_eer
from sv.scoring.backends import CosineBackEnd, PldaBackEnd, PldaConfig, Training
from sv.scoring.plda import Plda


def corpus(num_speakers: int, num_utts: int, dim: int, seed: int = 0) -> tuple[np.ndarray, list[str], list[str]]:
    """Embeddings that vary along some directions by speaker and along others by channel; their speakers and names."""
    rng = np.random.default_rng(seed)
    speaker_axes, channel_axes = np.random.default_rng(99).normal(size=(2, 6, dim))  # the same for any corpus
    own = np.repeat(rng.normal(size=(num_speakers, 6)), num_utts, axis=0) @ speaker_axes
    channel = 2 * rng.normal(size=(len(own), 6)) @ channel_axes
    vectors = (own + channel + rng.normal(size=own.shape) + 3).astype(np.float32)
    speakers = [f"s{i:03d}" for i in range(num_speakers) for _ in range(num_utts)]
    return vectors, speakers, [f"{speaker}-{i:05d}" for i, speaker in enumerate(speakers)]


def fit(vectors: np.ndarray, speakers: list[str], names: list[str], **options: int) -> PldaBackEnd:
    return PldaBackEnd.fit(Training(vectors=vectors, speakers=speakers, names=names), PldaConfig(**options))


@pytest.fixture
def warnings(monkeypatch) -> list[str]:
    """Lines of the back end's logger."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    monkeypatch.setattr(get_logger("backend"), "handlers", [handler])
    return said


def test_lda_keeps_what_was_asked_for_if_the_data_support_it(warnings) -> None:
    backend = fit(*corpus(40, 5, 24), lda_dim=12)
    assert backend.transform.shape == (12, 25)
    assert warnings == []


@pytest.mark.parametrize(
    ("num_speakers", "num_utts", "dim", "kept"), [(10, 8, 24, 9), (60, 4, 24, 24), (5, 30, 24, 4), (2, 40, 24, 1)]
)
def test_lda_keeps_as_much_as_the_data_support_and_says_so(warnings, num_speakers, num_utts, dim, kept) -> None:
    backend = fit(*corpus(num_speakers, num_utts, dim))
    assert len(backend.plda.psi) == len(backend.transform) == kept
    assert warnings == [
        f"LDA to {kept} dimensions instead of 200: {num_speakers * num_utts} utterances of {num_speakers} speakers "
        f"in {dim} dimensions support no more"
    ]


def test_fewer_utterances_than_dimensions_go_through_principal_components(warnings) -> None:
    vectors, speakers, names = corpus(20, 4, 128)
    backend = fit(vectors, speakers, names, lda_dim=10)
    assert warnings[0].startswith("30 principal components before LDA: there are only 80 utterances of 128 dimensions")
    assert backend.transform.shape == (10, 129)
    test_vectors, test_speakers, test_names = corpus(15, 3, 128, seed=1)
    pairs = [(i, j) for i in range(45) for j in range(i)]
    trials = Trials(
        [test_names[i] for i, _ in pairs], [test_names[j] for _, j in pairs],
        np.array([test_speakers[i] == test_speakers[j] for i, j in pairs]),
    )  # fmt: skip
    embeddings = dict(zip(test_names, test_vectors))
    plda, cosine = (
        compute_eer(scorer.score(trials, embeddings), trials.is_target) for scorer in (backend, CosineBackEnd())
    )
    assert plda < cosine / 4


def test_bad_embeddings_are_named_before_they_spread() -> None:
    for value in (0.0, np.nan):
        vectors, speakers, names = corpus(10, 4, 8)
        vectors[[3, 17]] = value
        with pytest.raises(
            ValueError, match=r"2 embeddings are zero, NaN or infinite, e.g. \['s000-00003', 's004-00017'\]"
        ):
            fit(vectors, speakers, names)


@pytest.mark.parametrize("num_speakers", [0, 1])
def test_one_speaker_is_no_training_set(num_speakers) -> None:
    with pytest.raises(ValueError, match=f"need the embeddings of two speakers at least, got {num_speakers}"):
        fit(*corpus(1, 10 * num_speakers, 8))


@pytest.mark.parametrize("dim", [8, 30])
def test_speakers_of_one_utterance_are_no_training_set(dim) -> None:
    with pytest.raises(ValueError, match="no speaker has two utterances"):
        fit(*corpus(20, 1, dim))


def test_preprocessing_by_hand() -> None:
    plda = Plda(np.zeros(2), np.eye(2), np.ones(2))
    for offset in (np.empty((2, 0)), np.array([[1.0], [0.0]])):
        transform = np.column_stack([np.array([[1.0, 0, 0], [0, 2, 0]]), offset])
        found = PldaBackEnd(np.array([1.0, 1, 1]), transform, plda).preprocess(np.array([[4.0, 3, 9]]), ["a"])
        raw = np.array([3.0 + offset[0].sum(), 4.0])
        np.testing.assert_allclose(found, [np.sqrt(2) * raw / np.linalg.norm(raw)])


def test_files_that_do_not_fit_together_are_refused(tmp_path) -> None:
    fit(*corpus(20, 4, 8), lda_dim=4).save(tmp_path)
    for name, write, message in (
        ("mean.vec", lambda path: write_array_file(path, np.zeros(6)), r"mean.vec \(6\), transform.mat \(4, 9\) and plda \(4\)"),
        ("plda", lambda path: write_plda(path, np.zeros(3), np.eye(3), np.ones(3)), r"and plda \(3\) do not fit together"),
        ("plda", lambda path: write_plda(path, np.zeros(4), np.eye(4), np.ones(3)), r"plda: mean, transform and psi .* do not"),
    ):  # fmt: skip
        before = (tmp_path / name).read_bytes()
        write(tmp_path / name)
        with pytest.raises(DataDirError, match=message):
            PldaBackEnd.load(tmp_path)
        (tmp_path / name).write_bytes(before)
    (tmp_path / "plda").unlink()
    with pytest.raises(FileNotFoundError, match="plda: not there; sv backend --kinds plda makes it"):
        PldaBackEnd.load(tmp_path)


def test_dimensions_to_keep_must_be_positive() -> None:
    with pytest.raises(ValueError, match="lda_dim must be positive, got 0"):
        PldaConfig(lda_dim=0)
