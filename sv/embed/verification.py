"""Verification of two recordings: score, calibrated log-likelihood ratio and decision."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sv.base.files import existing_file
from sv.base.layout import ModelFolder
from sv.data.audio import BadAudio
from sv.embed.utterances import UtteranceEmbedder
from sv.kaldi import Trials
from sv.scoring import OperatingPoint, score_cosine
from sv.scoring.calibration import read_calibration

BACKEND = "cosine"


def cosine_of(embedder: UtteranceEmbedder, recordings: Sequence[Path]) -> float:
    """Cosine score of two recordings, as stages 5 and 7 compute it; raises BadAudio naming one that cannot be used."""
    reader = embedder.reader()
    inputs = {str(number): (str(path), path) for number, path in enumerate(recordings)}
    vectors = {key: vector for key, vector, _ in embedder(reader(inputs))}
    if reader.bad:
        raise BadAudio(f"cannot use {reader.bad[0]}")
    return float(score_cosine(Trials(["0"], ["1"], np.zeros(1, dtype=bool)), vectors)[0])


def verify(folder: ModelFolder, recordings: Sequence[Path], point: OperatingPoint) -> dict[str, Any]:
    """Compare two recordings with a calibrated model folder.

    Returns
    -------
    dict
        `score`, the cosine; `llr`, the log-likelihood ratio (natural log); `threshold`, of the ratio at the operating point;
        `decision`, "same speaker" or "different speakers".

    Raises
    ------
    FileNotFoundError
        If the folder has no calibration.
    ValueError
        If the calibration expects more than a score.
    BadAudio
        If a recording cannot be used.
    """
    path = folder.calibration(BACKEND)
    existing_file(path, "run stage 7, or fit it on held-out trials with sv calibrate fit")
    calibration, record = read_calibration(path)
    if record["inputs"] != ["score"]:
        raise ValueError(f"{path}: expects {', '.join(record['inputs'])}; sv verify has a score alone")
    score = cosine_of(UtteranceEmbedder.load(folder.path), recordings)
    llr = float(calibration.llrs([[score]])[0])
    decision = "same speaker" if llr >= point.threshold else "different speakers"
    return {"score": score, "llr": llr, "threshold": point.threshold, "decision": decision}
