"""The golden files of Kaldi's PLDA, read."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sv.kaldi import Trials

GOLDEN = Path(__file__).parents[2] / "golden" / "kaldi_plda"


def lines_of(name: str) -> list[str]:
    path = GOLDEN / name
    return (
        path.read_text() if path.exists() else gzip.decompress((GOLDEN / f"{name}.gz").read_bytes()).decode()
    ).splitlines()


def _vectors(name: str) -> dict[str, np.ndarray]:
    fields = (line.split() for line in lines_of(f"{name}.ark.txt"))
    return {key: np.array(values, dtype=np.float32) for key, _, *values, _ in fields}


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def golden_vectors() -> Callable[[str], dict[str, np.ndarray]]:
    """(train, eval or adapt) -> vectors by utterance."""
    return _vectors


@pytest.fixture(scope="session")
def golden_scores() -> Callable[[str], tuple[Trials, np.ndarray]]:
    """(name of a score file) -> its trials, without labels, and scores."""

    def read(name: str) -> tuple[Trials, np.ndarray]:
        enrolment, test, scores = zip(*(line.split() for line in lines_of(name)))
        return Trials(list(enrolment), list(test), np.zeros(len(scores), dtype=bool)), np.array(scores, dtype=float)

    return read


@pytest.fixture(scope="session")
def golden_lists() -> Callable[[str], dict[str, list[str]]]:
    """(name of a table) -> its fields by key."""
    return lambda name: {key: rest for key, *rest in map(str.split, lines_of(name))}
