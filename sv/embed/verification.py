"""Verification of two recordings: score, calibrated log-likelihood ratio and decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sv.base.config import ConfigError, load_json, to_dict, write_json
from sv.base.files import sha256_of
from sv.base.layout import SAMPLING_RATE
from sv.data.audio import BadAudio, load_speech
from sv.data.silero import is_installed, only_speech
from sv.embed.opening import ModelSource
from sv.embed.utterances import UtteranceEmbedder
from sv.kaldi import Trials
from sv.scoring import OperatingPoint, score_cosine
from sv.scoring.calibration import LogisticCalibration, read_calibration
from sv.scoring.threshold import Threshold

BACKEND = "cosine"
LEAST = 0.3  # seconds of speech below which a recording is not judged
SHORT = 2.0  # seconds of speech below which a score says little
SAME, DIFFERENT = "same speaker", "different speakers"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Result of comparing two recordings.

    Attributes
    ----------
    score : float
        Cosine similarity of the embeddings, in [-1, 1].
    calibrated : bool
        Whether there is a calibration; the three others are None without one.
    llr : float, optional
        Natural-log likelihood ratio of one speaker against two.
    threshold : float, optional
        The ratio from which one speaker is decided, by prior and costs; of scores, where a threshold of those decides.
    decision : "same speaker" or "different speakers", optional
    """

    score: float
    calibrated: bool
    llr: float | None = None
    threshold: float | None = None
    decision: str | None = None


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine similarity of two (dim,) vectors; raises ValueError if one has no direction, or their dimensions differ."""
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"expected two embeddings of one dimension, got {a.shape} and {b.shape}")
    return float(score_cosine(Trials(["0"], ["1"], np.zeros(1, dtype=bool)), {"0": a, "1": b})[0])


def embed_files(embedder: UtteranceEmbedder, recordings: Sequence[str | Path]) -> tuple[list[np.ndarray], list[float]]:
    """Embeddings of files, and the seconds of speech in each; raises BadAudio naming one that cannot be used."""
    reader = embedder.reader()
    keys = [f"{number:06d}" for number in range(len(recordings))]
    inputs = {key: (str(path), Path(path)) for key, path in zip(keys, recordings)}
    vectors = {key: vector for key, vector, _ in embedder(reader(inputs))}
    if reader.bad:
        raise BadAudio(f"cannot use {reader.bad[0]}")
    if embedder.system.extract.vad:
        return [vectors[key] for key in keys], [reader.seconds[key] for key in keys]
    return [vectors[key] for key in keys], [seconds_of_speech(path) for path in recordings]


def seconds_of_speech(recording: str | Path) -> float:
    """Seconds of speech in a file, by Silero's detector; of audio, if that is not installed."""
    samples = load_speech(str(recording)).samples
    return len(only_speech(samples) if is_installed() else samples) / SAMPLING_RATE


def warn_of_short(recordings: Sequence[str | Path], seconds: Sequence[float]) -> list[str]:
    """A warning for each recording with little speech, or none."""
    lines = []
    for path, length in zip(recordings, seconds):
        if length == 0:
            lines.append(f"warning: {path}: no speech found in it; the score says nothing (--vad silero refuses it)")
        elif length < SHORT:
            lines.append(f"warning: {path}: {length:.1f} s of speech; scores of less than {SHORT:g} s say little")
    return lines


def read_own_calibration(source: ModelSource, path: Path | None = None) -> LogisticCalibration | None:
    """Read a model's calibration of cosine scores, or another file of it; None if the model has none.

    Raises
    ------
    ValueError
        If it expects more than a score, was fitted on scores of other weights, or another file does not say on which.
    """
    place = path or source.calibration(BACKEND)
    if path is None and not place.is_file():
        return None
    calibration, record = read_calibration(place)
    if path is not None and not record.get("checkpoint_sha256"):
        raise ConfigError(f"{path}: does not say of which model it is; make it with sv calibrate fit --model")
    check_weights(record, source, place)
    if record["inputs"] != ["score"]:
        raise ValueError(f"{place}: expects {', '.join(record['inputs'])}; sv verify has a score alone")
    return calibration


def check_weights(record: dict[str, Any], source: ModelSource, path: Path) -> None:
    """Raise ConfigError if a calibration or threshold was made with other weights than a model's.

    One that does not say which weights it is of, as those of earlier versions, is taken.
    """
    made_with = record.get("checkpoint_sha256")
    if made_with and made_with != (own := source.sha256()):
        raise ConfigError(
            f"{path}: made with other weights ({made_with[:12]}) than those of {source.name} ({own[:12]}); make it anew"
        )


def judge(score: float, calibration: LogisticCalibration | None, point: OperatingPoint) -> Verdict:
    """Turn a score into a verdict; without a calibration there is no decision."""
    if calibration is None:
        return Verdict(score=score, calibrated=False)
    llr = float(calibration.llrs([[score]])[0])
    decision = SAME if llr >= point.threshold else DIFFERENT
    return Verdict(score=score, calibrated=True, llr=llr, threshold=point.threshold, decision=decision)


def verdict_lines(found: Verdict) -> list[str]:
    """A verdict for people."""
    by_score = found.decision is not None and not found.calibrated
    remark = "" if found.calibrated or by_score else ", uncalibrated: no decision"
    lines = [f"score      {found.score:.4f}   (cosine{remark})"]
    if found.calibrated:
        lines.append(f"LLR        {found.llr:.3f}   (natural log; accepted from {found.threshold:.3f})")
    if found.decision:
        lines.append(f"decision   {found.decision}{f'   (accepted from {found.threshold:.4f})' if by_score else ''}")
    return lines


def write_threshold(path: Path, found: Threshold, source: ModelSource, trials: Path, scores: Path) -> None:
    """Write a threshold as JSON, with the hash of the weights and the data that it comes from."""
    origin = {
        "checkpoint_sha256": source.sha256(),
        "model": source.name,
        "trials": str(trials),
        "trials_sha256": sha256_of(trials),
        "scores_sha256": sha256_of(scores),
    }
    write_json(path, {**to_dict(found), **origin})


def read_threshold(path: Path, source: ModelSource) -> float:
    """Read a threshold of cosine scores; raises ConfigError if the file holds none, or one of other weights."""
    record = load_json(path)
    threshold = record.get("threshold") if isinstance(record, dict) else None
    if not isinstance(threshold, float) or "checkpoint_sha256" not in record:
        raise ConfigError(f"{path}: not a threshold; make one with sv threshold --out")
    check_weights(record, source, path)
    return threshold


def decide(score: float, threshold: float) -> Verdict:
    """Turn a score into a verdict by a threshold of scores."""
    decision = SAME if score >= threshold else DIFFERENT
    return Verdict(score=score, calibrated=False, threshold=threshold, decision=decision)
