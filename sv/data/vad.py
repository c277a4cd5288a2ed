"""Speech by its energy: the trimming and splitting of the GE2E systems on VCTK.

Levels are relative to the loudest frame of the recording. That suits studio recordings only: one click louder than the
speech mutes all of it.
"""

import numpy as np

from sv.data.audio import BadAudio

FLOOR = 1e-5  # of an RMS amplitude, before it is put into decibels


def speech_frames(samples: np.ndarray, top_db: float, frame_length: int = 2048, hop_length: int = 512) -> np.ndarray:
    """Mark centred frames louder than the loudest less `top_db`, (len(samples) // hop_length + 1,) bool.

    Parameters
    ----------
    samples : (samples,) numpy.ndarray
    top_db : float
        Of RMS levels.
    frame_length, hop_length : int
        Samples, whatever the sampling rate.

    Raises
    ------
    BadAudio
        If every sample is zero: nothing is louder than nothing.
    """
    if not samples.any():
        raise BadAudio("silent: every sample is zero, so no part of it is speech")
    half = frame_length // 2
    energy = np.concatenate([[0.0], np.cumsum(np.pad(samples.astype(np.float64), half) ** 2)])
    starts = np.arange(len(samples) // hop_length + 1) * hop_length
    power = np.maximum(energy[starts + frame_length] - energy[starts], 0) / frame_length
    level_db = 20 * np.log10(np.maximum(np.sqrt(power), FLOOR))
    return level_db > level_db.max() - top_db


def split_speech(
    samples: np.ndarray, top_db: float = 20.0, frame_length: int = 2048, hop_length: int = 512
) -> list[tuple[int, int]]:
    """Every run of speech frames as (first sample, end sample); parameters and errors are those of `speech_frames`."""
    speech = speech_frames(samples, top_db, frame_length, hop_length)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], speech, [False]]))) * hop_length
    return [(int(start), min(int(end), len(samples))) for start, end in edges.reshape(-1, 2)]


def trim(samples: np.ndarray, top_db: float = 14.0, frame_length: int = 2048, hop_length: int = 512) -> tuple[int, int]:
    """(first sample, end sample) of what lies between the first and the last speech frame, both included."""
    runs = split_speech(samples, top_db, frame_length, hop_length)
    return runs[0][0], runs[-1][1]
