"""Scores to calibrated log-likelihood ratios, one system's or several together, by logistic regression."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from sv.base.config import ConfigError, load_json, write_json
from sv.kaldi.trials import Trials
from sv.scoring.cosine import rows_of
from sv.scoring.metrics import checked
from sv.scoring.outliers import Outlier, outliers, usual_range

WEIGHT_DEVIATION = 10.0  # of the weights' prior, for inputs of unit deviation; finite weights for separable trials
MAX_INFLUENCE = 0.05  # on the largest weight, of inputs far beyond all others
LEAST_CHANGE = 0.02  # of the weights of inputs of unit deviation, in nats, that matters
REACH = 100.0  # times the usual range; what is further away counts as that far


class LogisticCalibration:
    """Affine map from scores and covariates to natural-log likelihood ratios.

    Prior-weighted logistic regression (Bruemmer et al., "Fusion of heterogeneous speaker recognition systems in the STBU
    submission", IEEE TASLP 15, 2007): target trials weigh `p_target` together, nontarget trials the rest, and the
    prior's log odds are added before the logistic function, so that the map gives ratios for any prior. Unlike theirs,
    the weights of standardised inputs have a Gaussian prior with deviation `WEIGHT_DEVIATION`, worth one speaker's target
    trials; without it, trials that a score separates would have no finite calibration.

    Parameters
    ----------
    p_target : float in (0, 1)
        About where decisions will be made.

    Attributes
    ----------
    weights_ : (num_inputs,) numpy.ndarray
    offset_ : float
    """

    def __init__(self, p_target: float = 0.05) -> None:
        if not 0 < p_target < 1:
            raise ValueError(f"p_target must be in (0, 1), got {p_target}")
        self.p_target = p_target

    def fit(self, inputs: np.ndarray, is_target: np.ndarray, num_speakers: int | None = None) -> "LogisticCalibration":
        """Learn the map.

        Parameters
        ----------
        inputs : (num_trials, num_inputs) numpy.ndarray
            Scores of each system, then covariates.
        is_target : (num_trials,) bool numpy.ndarray
        num_speakers : int, optional
            Whose trials these are: trials of one speaker tell little more than one of them. As many as there are target
            trials by default.

        Raises
        ------
        ValueError
            If an input is not finite, or a kind of trial is absent.
        Outlier
            If a few inputs far beyond all others would change the weights by more than `MAX_INFLUENCE`. Those that do not, for
            they are on the right side, count for what they are, and have no part in the standardisation.
        """
        for column in np.asarray(inputs).T:
            checked(column, is_target)
        inputs, is_target = np.asarray(inputs, dtype=np.float64), np.asarray(is_target, dtype=bool)
        raw = inputs
        inputs, units, outlying = _within_reach(raw, is_target)
        usual = ~outlying.any(axis=1)
        centre, scale = inputs[usual].mean(axis=0), inputs[usual].std(axis=0)
        scale[scale == 0] = 1.0  # a constant covariate says nothing; its weight stays 0
        design = np.column_stack([(inputs - centre) / scale, np.ones(len(inputs))])
        found = self._minimum(design, is_target, num_speakers)
        if not usual.all():
            change = self._influence(found, design, is_target, num_speakers, usual)
            if change > MAX_INFLUENCE:
                row, column = np.unravel_index(np.argmax(np.abs(design[:, :-1]) * outlying), outlying.shape)
                raise Outlier(raw[:, column], outlying[:, column], int(row), int(column), change)
        self.weights_ = found[:-1] / scale
        self.offset_ = float(found[-1] - self.weights_ @ centre)
        self.weights_ /= units
        return self

    def _minimum(self, design: np.ndarray, is_target: np.ndarray, num_speakers: int | None) -> np.ndarray:
        """Weights of standardised inputs and the offset, (num_inputs + 1,), of a design whose last column is 1."""
        num_target = int(is_target.sum())
        weights = np.where(is_target, self.p_target / num_target, (1 - self.p_target) / (len(design) - num_target))
        signs = np.where(is_target, 1.0, -1.0)
        prior = self.p_target / (min(num_speakers or num_target, num_target) * WEIGHT_DEVIATION**2)
        penalty = np.append(np.full(design.shape[1] - 1, prior), 0.0)  # none on the offset

        def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
            margins = signs * (design @ theta + logit(self.p_target))
            gradient = -(weights * signs * expit(-margins)) @ design + penalty * theta
            return weights @ np.logaddexp(0, -margins) + 0.5 * penalty @ theta**2, gradient

        def hessian(theta: np.ndarray) -> np.ndarray:
            p = expit(design @ theta + logit(self.p_target))
            return (design * (weights * p * (1 - p))[:, None]).T @ design + np.diag(penalty)

        start = np.zeros(design.shape[1])
        return minimize(loss, start, jac=True, hess=hessian, method="trust-exact", options={"gtol": 1e-10}).x

    def _influence(
        self, found: np.ndarray, design: np.ndarray, is_target: np.ndarray, num_speakers: int | None, usual: np.ndarray
    ) -> float:
        """Change of the weights that trials which are not `usual` make, over the largest weight; 0 if it is a small one."""
        without = self._minimum(design[usual], is_target[usual], num_speakers)
        change, largest = np.abs(found - without)[:-1].max(), np.abs(without[:-1]).max()
        return float(change / max(largest, LEAST_CHANGE)) if change > LEAST_CHANGE else 0.0

    def llrs(self, inputs: np.ndarray) -> np.ndarray:
        """Calibrated natural-log likelihood ratios, (num_trials,), of (num_trials, num_inputs)."""
        return np.asarray(inputs, dtype=np.float64) @ self.weights_ + self.offset_


def _within_reach(inputs: np.ndarray, is_target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs in units near their deviation, these units (num_inputs,), and which inputs are outliers.

    Units are powers of two, so that nothing is rounded; with them, and outliers within reach, squares cannot overflow.
    """
    near, units, outlying = inputs.copy(), np.ones(inputs.shape[1]), np.zeros(inputs.shape, dtype=bool)
    for column, values in enumerate(inputs.T):
        low, high = usual_range(values, is_target)
        outside = outliers(values, low, high)
        if np.ptp(values[~outside] / 2) > 0:  # what is constant but for a few has no usual range
            outlying[:, column] = outside
            units[column] = 2.0 ** np.floor(np.log2(np.ptp(values[~outside] / 2)))
            reach = REACH * (high / units[column] - low / units[column])
            near[:, column] = np.clip(values / units[column], low / units[column] - reach, high / units[column] + reach)
    return near, units, outlying


def log_of_positive(values: np.ndarray) -> np.ndarray:
    """Natural logarithms; raises ValueError if a value is not positive."""
    if not (values > 0).all():
        raise ValueError(f"{(~(values > 0)).sum()} of {len(values)} values are not positive")
    return np.log(values)


# What is known of an utterance's quality, as it enters: seconds and norms by their logarithm, decibels as they are.
QUALITIES = {"duration": log_of_positive, "norm": log_of_positive, "snr": np.asarray}


def quality_inputs(name: str, values: Mapping[str, float], trials: Trials) -> np.ndarray:
    """Covariates of trials from a quality of their utterances: mean of both sides, and how far they are apart.

    Parameters
    ----------
    name : str
        One of `QUALITIES`.
    values : mapping of utterance to float
    trials : Trials

    Returns
    -------
    (num_trials, 2) numpy.ndarray

    Raises
    ------
    KeyError
        If an utterance has no value.
    ValueError
        For an unknown quality, or values out of its range.
    """
    if name not in QUALITIES:
        raise ValueError(f"unknown quality {name!r}; there are {', '.join(QUALITIES)}")
    utts, (left, right) = rows_of(values, name, trials.enrolment, trials.test)
    try:
        known = QUALITIES[name](np.array([values[utt] for utt in utts], dtype=np.float64))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return np.column_stack([(known[left] + known[right]) / 2, np.abs(known[left] - known[right])])


def write_calibration(
    path: str | Path,
    calibration: LogisticCalibration,
    inputs: Sequence[str],
    trials_sha256: str,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Write a calibration as JSON, with the names of its inputs, the hash of the trials that it was fitted on, and its origin."""
    record = {
        "inputs": list(inputs),
        "weights": calibration.weights_.tolist(),
        "offset": calibration.offset_,
        "p_target": calibration.p_target,
        "trials_sha256": trials_sha256,
        **(origin or {}),
    }
    write_json(path, record)


def read_calibration(path: str | Path) -> tuple[LogisticCalibration, dict[str, Any]]:
    """Read a calibration and its whole record; raises ConfigError naming a file that holds none."""
    record = load_json(path)
    try:
        calibration = LogisticCalibration(record["p_target"])
        calibration.weights_ = np.array(record["weights"], dtype=np.float64)
        calibration.offset_ = float(record["offset"])
        if calibration.weights_.shape != (len(record["inputs"]),):
            raise ValueError(f"{len(calibration.weights_)} weights of {len(record['inputs'])} inputs")
        record["trials_sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: not a calibration ({error}); make one with sv calibrate fit") from error
    return calibration, record
