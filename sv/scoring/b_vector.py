"""RawNet1's back end: a network that sees both embeddings of a trial (Jung et al. 2019, arXiv:1904.08104, section 4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sv.base.files import atomic_write
from sv.kaldi.trials import Trials
from sv.scoring.cosine import rows_of

SLOPE = 0.3  # of the leaky ReLUs
BLOCK_TRIALS = 4096


@dataclass(frozen=True, kw_only=True)
class BVector:
    """A trained b-vector network.

    Attributes
    ----------
    mean, std : (dim,) numpy.ndarray
        Of the training set's embeddings.
    weights : tuple of (out, in) numpy.ndarray
        Of the layers; the first reads sum, difference and product of two embeddings, the last has two outputs.
    biases : tuple of (out,) numpy.ndarray
    """

    mean: np.ndarray
    std: np.ndarray
    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]

    def log_odds(self, enrolment: np.ndarray, test: np.ndarray) -> np.ndarray:
        """Log odds of target of pairs of (n, dim) embeddings, (n,): the order of the published score, P(target)."""
        left, right = ((side - self.mean) / self.std for side in (enrolment, test))
        hidden = np.concatenate([left + right, left - right, left * right], axis=1)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = hidden @ weight.T + bias
            hidden = np.where(hidden > 0, hidden, SLOPE * hidden)
        nontarget, target = (hidden @ self.weights[-1].T + self.biases[-1]).T
        return target - nontarget


def score_b_vector(
    trials: Trials,
    network: BVector,
    embeddings: Mapping[str, np.ndarray],
    test_embeddings: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Log odds of target of each trial, in trial order, (num_trials,).

    The published score is the probability; the logarithm of its odds has the same order, and does not saturate.

    Parameters
    ----------
    trials : Trials
    network : BVector
    embeddings : mapping of utterance to (dim,) numpy.ndarray
        Of the enrolment side, and of the test side unless that has its own.
    test_embeddings : mapping, optional

    Raises
    ------
    KeyError
        If a trial's utterance has no embedding.
    """
    tested = embeddings if test_embeddings is None else test_embeddings
    left_utts, (left_rows,) = rows_of(embeddings, "enrolment embedding", trials.enrolment)
    right_utts, (right_rows,) = rows_of(tested, "test embedding", trials.test)
    left = np.stack([embeddings[utt] for utt in left_utts])
    right = np.stack([tested[utt] for utt in right_utts])
    scores = np.empty(len(trials))
    for first in range(0, len(trials), BLOCK_TRIALS):
        block = slice(first, first + BLOCK_TRIALS)
        scores[block] = network.log_odds(left[left_rows[block]], right[right_rows[block]])
    return scores


def from_arrays(arrays: Mapping[str, np.ndarray]) -> BVector:
    """The network of named arrays: `mean`, `std`, and `w0`, `b0`, ... of the layers; KeyError if one is missing."""
    count = sum(name.startswith("w") for name in arrays)
    weights, biases = (tuple(arrays[f"{kind}{number}"] for number in range(count)) for kind in ("w", "b"))
    return BVector(mean=arrays["mean"], std=arrays["std"], weights=weights, biases=biases)


def write_b_vector(path: str | Path, network: BVector) -> None:
    """Write a network as an .npz file, whole or not at all."""
    layers = zip(network.weights, network.biases, strict=True)
    arrays = {f"{kind}{number}": value for number, pair in enumerate(layers) for kind, value in zip(("w", "b"), pair)}
    with atomic_write(path, "wb") as file:
        np.savez(file, mean=network.mean, std=network.std, **arrays)


def read_b_vector(path: str | Path) -> BVector:
    """Read what `write_b_vector` wrote; raises ValueError, naming the file, if it is something else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return from_arrays(dict(file))
    except (KeyError, ValueError, TypeError, EOFError, AttributeError) as error:
        raise ValueError(f"{path}: not a b-vector network ({error})") from error
