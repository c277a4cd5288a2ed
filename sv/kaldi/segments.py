"""Kaldi's `segments`: utterances that are stretches of longer recordings."""

from dataclasses import dataclass
from pathlib import Path

from sv.kaldi.scp import DataDirError, read_table, to_number


@dataclass(frozen=True, slots=True)
class Segment:
    """From `start` to `end`, in seconds, of a recording of wav.scp."""

    recording: str
    start: float
    end: float


def parse_segment(text: str) -> Segment:
    """The `<recording> <start> <end>` of a line of segments, maybe followed by channel 0; raises ValueError otherwise."""
    fields = text.split()
    if len(fields) not in (3, 4) or fields[3:] not in ([], ["0"]):
        raise ValueError("expected '<utterance> <recording> <start> <end>' in seconds of one channel")
    start, end = to_number(fields[1]), to_number(fields[2])
    if end == -1:
        raise ValueError("end -1, which means the recording's; local/import_data_dir.py writes the seconds")
    if not 0 <= start < end < float("inf"):
        raise ValueError(f"it must have 0 <= start < end, got {fields[1]} and {fields[2]}")
    return Segment(fields[0], start, end)


def read_segments(path: str | Path) -> dict[str, Segment]:
    """Read segments, in file order.

    Raises
    ------
    DataDirError
        `path:line: ...` as `read_table` does, and for a line that is not a segment.
    """
    segments = {}
    for number, (utt, text) in enumerate(read_table(path, value="recording> <start> <end").items(), start=1):
        try:
            segments[utt] = parse_segment(text)
        except ValueError as error:
            raise DataDirError(f"{path}:{number}: {utt}: {error}") from error
    return segments
