"""Utterances of a data directory: files of their own, or, with `segments`, parts of longer recordings."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from sv.base.layout import SAMPLING_RATE
from sv.data.audio import BadAudio, is_pipe, read_pipe, read_samples, read_whole
from sv.kaldi.scp import DataDirError, read_scp, read_utt2dur
from sv.kaldi.segments import Segment, read_segments


@dataclass(frozen=True, slots=True)
class Utterance:
    """`num_samples` samples at 16 kHz, from `start` on, of a recording's file or pipe; the whole of it if `start` is None."""

    recording: str
    path: str
    num_samples: int
    start: int | None = None

    def read(self, start: int = 0, num_samples: int | None = None) -> np.ndarray:
        """Samples from `start` of the utterance on, all there are or as many as asked; raises as `read_samples` does."""
        length = self.num_samples - start if num_samples is None else num_samples
        return read_samples(self.path, (self.start or 0) + start, length)

    def read_all(self, allow_pipes: bool = False) -> np.ndarray:
        """All its samples, (num_samples,) float32, also from a pipe if allowed.

        Raises
        ------
        BadAudio
            If the recording is not mono 16 kHz audio, is cut off, or is not as long as the data directory says.
        DataDirError
            For a pipe that is not allowed.
        """
        if self.start is None:
            return read_whole(self.path, self.num_samples, allow_pipes)
        if not is_pipe(self.path):
            return self.read()
        end = self.start + self.num_samples
        samples = _last_pipe(self.path, allow_pipes)
        if end > len(samples):
            raise BadAudio(f"{self.path}: wanted samples {self.start} to {end}, it ends at {len(samples)}")
        return samples[self.start : end]

    @property
    def recording_samples(self) -> int:
        """Length of the recording, from its file's header if the utterance is a part of it."""
        return self.num_samples if self.start is None else soundfile.info(self.path).frames


@lru_cache(maxsize=1)
def _last_pipe(command: str, allow_pipes: bool) -> np.ndarray:
    """Read the audio that a pipe writes; the last one is kept, since a recording's segments are usually read in turn."""
    return read_pipe(command, allow_pipes)


def duration_to_samples(seconds: float) -> int:
    """Number of 16 kHz samples in a duration of utt2dur."""
    return round(seconds * SAMPLING_RATE)


def utterance_of(segment: Segment, path: str) -> Utterance:
    """The utterance that a line of segments describes; its ends are rounded to samples."""
    start = duration_to_samples(segment.start)
    return Utterance(segment.recording, path, duration_to_samples(segment.end) - start, start)


def read_utterances(data_dir: str | Path, wav_scp: Mapping[str, str] | None = None) -> dict[str, Utterance]:
    """Read the utterances of a data directory, in file order.

    Parameters
    ----------
    data_dir : path
    wav_scp : mapping, optional
        Its table wav.scp, if it was read already.

    Raises
    ------
    DataDirError
        If a table is malformed, a segment is of no recording of wav.scp, or, without segments, utt2dur lacks one.
    """
    data_dir = Path(data_dir)
    wav_scp = read_scp(data_dir / "wav.scp") if wav_scp is None else wav_scp
    if (data_dir / "segments").exists():
        segments = read_segments(data_dir / "segments")
        if missing := [utt for utt, segment in segments.items() if segment.recording not in wav_scp]:
            raise DataDirError(
                f"{data_dir}/segments: the recordings of {len(missing)} utterances are not in wav.scp, e.g. "
                f"{segments[missing[0]].recording!r} of {missing[0]!r}"
            )
        return {utt: utterance_of(segment, wav_scp[segment.recording]) for utt, segment in segments.items()}
    if not wav_scp:
        raise DataDirError(f"{data_dir}/wav.scp: no recordings")
    if not (data_dir / "utt2dur").exists():
        raise DataDirError(f"{data_dir}: there is no utt2dur; local/import_data_dir.py makes it")
    durations = read_utt2dur(data_dir / "utt2dur")
    if missing := [utt for utt in wav_scp if utt not in durations]:
        raise DataDirError(f"{data_dir}/utt2dur: {len(missing)} utterances are not there, e.g. {missing[:3]}")
    return {utt: Utterance(utt, path, duration_to_samples(durations[utt])) for utt, path in wav_scp.items()}
