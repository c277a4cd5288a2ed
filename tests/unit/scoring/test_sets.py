import numpy as np
import pytest

from sv.kaldi import Trials, open_ark_scp
from sv.scoring import as_norm, score_cosine
from sv.scoring.backends import BVectorBackEnd, CentredCosineBackEnd
from sv.scoring.sets import SetEmbeddings, load_back_ends, variants, warn_of_known_speakers


def write_cohort(folder, vectors: dict[str, np.ndarray]) -> None:
    with open_ark_scp(folder / "cohort.ark", folder / "cohort.scp") as write:
        for name, vector in vectors.items():
            write(name, vector)


def network(dim: int) -> BVectorBackEnd:
    rng = np.random.default_rng(0)
    layer = (rng.normal(size=(2, 3 * dim)),), (rng.normal(size=2),)
    return BVectorBackEnd(mean=np.zeros(dim), std=np.ones(dim), weights=layer[0], biases=layer[1])


def test_a_folder_holds_what_was_saved_into_it(tmp_path) -> None:
    assert list(load_back_ends(None)) == list(load_back_ends(tmp_path)) == ["cosine", "neg_mean_l2"]
    network(3).save(tmp_path)
    assert list(load_back_ends(tmp_path)) == ["cosine", "b_vector", "neg_mean_l2"]
    assert list(load_back_ends(None, paper="mean_cos")) == ["cosine", "neg_mean_l2", "mean_cos"]
    CentredCosineBackEnd(np.ones(3, np.float32)).save(tmp_path)
    assert list(load_back_ends(tmp_path)) == ["cosine", "centred_cosine", "b_vector", "neg_mean_l2"]
    (tmp_path / "transform.mat").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="plda: not there; sv backend --kinds plda makes it"):
        load_back_ends(tmp_path)


def test_cosine_is_normalised_by_the_cohort(tmp_path) -> None:
    rng = np.random.default_rng(1)
    vectors, cohort = ({n: rng.normal(size=3).astype(np.float32) for n in names} for names in ("abc", "rstu"))
    write_cohort(tmp_path, cohort)
    found = variants(tmp_path, top_n=2)
    assert list(found) == ["cosine", "cosine-asnorm", "neg_mean_l2"]
    assert list(variants(None, top_n=2, paper="mean_cos")) == ["cosine", "neg_mean_l2", "mean_cos"]
    trials = Trials(list("ab"), list("bc"), np.array([True, False]))
    raw = score_cosine(trials, vectors)
    sides = [
        score_cosine(Trials([n] * 4, list("rstu"), np.zeros(4, dtype=bool)), vectors | cohort) for n in ("a", "b", "c")
    ]
    rows = np.array([0, 1]), np.array([1, 2])
    expected = as_norm(raw, rows, np.array(sides), np.array(sides), top_n=2)
    embeddings = SetEmbeddings(vectors=vectors, segments={}, num_utts=None)
    np.testing.assert_allclose(found["cosine-asnorm"].score_set(trials, embeddings), expected, rtol=1e-6)
    assert found["cosine"].normalisation is None
    assert found["cosine-asnorm"].normalisation.startswith("as-norm, top 2 of 4, cohort ")


def test_speakers_of_the_set_in_the_cohort_and_copies_are_told(tmp_path, capsys) -> None:
    vectors = {name: np.float32([i, 1, 0]) for i, name in enumerate("rst")} | {"u": np.float32([0, 1, 0])}
    write_cohort(tmp_path, vectors)
    ways = variants(tmp_path, top_n=3)
    assert ways["cosine-asnorm"].normalisation.startswith("as-norm, top 3 of 3, cohort ")
    assert "1 of the cohort's 4 vectors are copies, e.g. u of r; they are left out" in capsys.readouterr().err
    warn_of_known_speakers(ways.values(), ["x", "u", "s", "s"], "test")
    assert "test: 1 speakers of the set are in the cohort of AS-norm, e.g. s; " in capsys.readouterr().err
    warn_of_known_speakers(ways.values(), ["x"], "test")
    warn_of_known_speakers(variants(None, top_n=3).values(), ["s"], "test")
    assert capsys.readouterr().err == ""
