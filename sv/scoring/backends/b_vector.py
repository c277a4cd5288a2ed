"""RawNet1's back end: a network that sees both embeddings of a trial (Jung et al. 2019, arXiv:1904.08104, section 4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from sv.base.files import atomic_write
from sv.kaldi.trials import Trials
from sv.scoring.backends.interface import Training, Vectors, require_files
from sv.scoring.cosine import rows_of
from sv.scoring.metrics import compute_eer
from sv.train.b_vector_config import SLOPE, BVectorConfig

BLOCK_TRIALS = 4096
FILE = "b_vector.npz"


@dataclass(frozen=True, kw_only=True, eq=False)
class BVectorBackEnd:
    """A trained b-vector network.

    Attributes
    ----------
    mean, std : (dim,) numpy.ndarray
        Of the training set's embeddings.
    weights : tuple of (out, in) numpy.ndarray
        Of the layers; the first reads sum, difference and product of two embeddings, the last has two outputs.
    biases : tuple of (out,) numpy.ndarray
    """

    name: ClassVar[str] = "b_vector"
    reads: ClassVar[str] = "vectors"
    normalisable: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = (FILE,)
    Config: ClassVar[type] = BVectorConfig

    mean: np.ndarray
    std: np.ndarray
    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]

    @classmethod
    def fit(cls, training: Training, config: BVectorConfig, seed: int = 0) -> "BVectorBackEnd":
        """Train a network, and keep the epoch of the lowest EER on the held-out trials.

        Raises
        ------
        ValueError
            If there are no held-out trials, or fewer than two speakers with two utterances.
        """
        from sv.train.b_vector import train_b_vector  # which needs torch

        if training.held_out is None:
            raise ValueError("b_vector keeps the best epoch on held-out trials; give --valid-trials and --valid-scp")
        trials, vectors = training.held_out.trials, training.held_out.vectors

        def evaluate(arrays: Mapping[str, np.ndarray]) -> float:
            return compute_eer(cls.from_arrays(arrays).score(trials, vectors), trials.is_target)

        _, speaker_ids = np.unique(training.speakers, return_inverse=True)
        return cls.from_arrays(train_b_vector(training.vectors, speaker_ids, config, seed, evaluate))

    def save(self, folder: str | Path) -> None:
        """Write b_vector.npz, whole or not at all."""
        self.write(Path(folder) / FILE)

    @classmethod
    def load(cls, folder: str | Path) -> "BVectorBackEnd":
        """Read b_vector.npz; raises as `BackEnd` and `read`."""
        require_files(cls, folder)
        return cls.read(Path(folder) / FILE)

    def score(
        self,
        trials: Trials,
        enrolment: Vectors,
        test: Vectors | None = None,
        *,
        num_utts: Mapping[str, int] | None = None,
    ) -> np.ndarray:
        """Log odds of target of each trial, in trial order, (num_trials,); as `BackEnd`.

        The published score is the probability; the logarithm of its odds has the same order, and does not saturate.
        """
        test = enrolment if test is None else test
        left_utts, (left_rows,) = rows_of(enrolment, "enrolment embedding", trials.enrolment)
        right_utts, (right_rows,) = rows_of(test, "test embedding", trials.test)
        left = np.stack([enrolment[utt] for utt in left_utts])
        right = np.stack([test[utt] for utt in right_utts])
        scores = np.empty(len(trials))
        for first in range(0, len(trials), BLOCK_TRIALS):
            block = slice(first, first + BLOCK_TRIALS)
            scores[block] = self.log_odds(left[left_rows[block]], right[right_rows[block]])
        return scores

    def log_odds(self, enrolment: np.ndarray, test: np.ndarray) -> np.ndarray:
        """Log odds of target of pairs of (n, dim) embeddings, (n,): the order of the published score, P(target)."""
        left, right = ((side - self.mean) / self.std for side in (enrolment, test))
        hidden = np.concatenate([left + right, left - right, left * right], axis=1)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = hidden @ weight.T + bias
            hidden = np.where(hidden > 0, hidden, SLOPE * hidden)
        nontarget, target = (hidden @ self.weights[-1].T + self.biases[-1]).T
        return target - nontarget

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "BVectorBackEnd":
        """Take named arrays: `mean`, `std`, and `w0`, `b0`, ... of the layers; raises KeyError if one is missing."""
        count = sum(name.startswith("w") for name in arrays)
        weights, biases = (tuple(arrays[f"{kind}{number}"] for number in range(count)) for kind in ("w", "b"))
        return cls(mean=arrays["mean"], std=arrays["std"], weights=weights, biases=biases)

    def write(self, path: str | Path) -> None:
        """Write an .npz file, whole or not at all."""
        layers = zip(self.weights, self.biases, strict=True)
        arrays = {
            f"{kind}{number}": value for number, pair in enumerate(layers) for kind, value in zip(("w", "b"), pair)
        }
        with atomic_write(path, "wb") as file:
            np.savez(file, mean=self.mean, std=self.std, **arrays)

    @classmethod
    def read(cls, path: str | Path) -> "BVectorBackEnd":
        """Read what `write` wrote; raises ValueError, naming the file, if it is something else."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls.from_arrays(dict(file))
        except (KeyError, ValueError, TypeError, EOFError, AttributeError) as error:
            raise ValueError(f"{path}: not a b-vector network ({error})") from error

    def __str__(self) -> str:
        return f"b-vector network of {len(self.weights)} layers"
