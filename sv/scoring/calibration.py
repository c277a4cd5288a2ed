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

WEIGHT_DEVIATION = 10.0  # of the weights' prior, for inputs of unit deviation; finite weights for separable trials


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
        """
        for column in np.asarray(inputs).T:
            checked(column, is_target)
        inputs, is_target = np.asarray(inputs, dtype=np.float64), np.asarray(is_target, dtype=bool)
        centre, scale = inputs.mean(axis=0), inputs.std(axis=0)
        scale[scale == 0] = 1.0  # a constant covariate says nothing; its weight stays 0
        design = np.column_stack([(inputs - centre) / scale, np.ones(len(inputs))])
        num_target = int(is_target.sum())
        weights = np.where(is_target, self.p_target / num_target, (1 - self.p_target) / (len(inputs) - num_target))
        signs = np.where(is_target, 1.0, -1.0)
        prior = self.p_target / (min(num_speakers or num_target, num_target) * WEIGHT_DEVIATION**2)
        penalty = np.append(np.full(inputs.shape[1], prior), 0.0)  # none on the offset

        def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
            margins = signs * (design @ theta + logit(self.p_target))
            gradient = -(weights * signs * expit(-margins)) @ design + penalty * theta
            return weights @ np.logaddexp(0, -margins) + 0.5 * penalty @ theta**2, gradient

        def hessian(theta: np.ndarray) -> np.ndarray:
            p = expit(design @ theta + logit(self.p_target))
            return (design * (weights * p * (1 - p))[:, None]).T @ design + np.diag(penalty)

        start = np.zeros(design.shape[1])
        found = minimize(loss, start, jac=True, hess=hessian, method="trust-exact", options={"gtol": 1e-10}).x
        self.weights_ = found[:-1] / scale
        self.offset_ = float(found[-1] - self.weights_ @ centre)
        return self

    def llrs(self, inputs: np.ndarray) -> np.ndarray:
        """Calibrated natural-log likelihood ratios, (num_trials,), of (num_trials, num_inputs)."""
        return np.asarray(inputs, dtype=np.float64) @ self.weights_ + self.offset_


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
