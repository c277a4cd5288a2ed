"""Kaldi's `segments`: utterances that are stretches of longer recordings."""

import re
from dataclasses import dataclass
from pathlib import Path

from sv.base.layout import SAMPLING_RATE
from sv.kaldi.scp import MAX_SECONDS, DataDirError, read_table, to_number


@dataclass(frozen=True, slots=True)
class Segment:
    """From `start` to `end`, in seconds, of a recording of wav.scp; `channel` as in the fifth column, from 0, if it is there."""

    recording: str
    start: float
    end: float
    channel: int | None = None


def parse_segment(text: str, any_channel: bool = False) -> Segment:
    """Parse the `<recording> <start> <end> [<channel>]` of a line of segments.

    Raises
    ------
    ValueError
        For anything else, and, unless `any_channel`, for a channel other than the first: stages read files of one channel.
    """
    fields = text.split()
    if len(fields) not in (3, 4) or not all(re.fullmatch("[0-9]{1,9}", field) for field in fields[3:]):
        raise ValueError("expected '<utterance> <recording> <start> <end>' in seconds, and perhaps a channel")
    start, end = to_number(fields[1]), to_number(fields[2])
    if end == -1:
        raise ValueError("end -1, which means the recording's; local/import_data_dir.py writes the seconds")
    if not 0 <= start < end <= MAX_SECONDS:
        limit = f"; at most {MAX_SECONDS:.0f} s" if end > MAX_SECONDS else ""
        raise ValueError(f"it must have 0 <= start < end, got {fields[1][:40]} and {fields[2][:40]}{limit}")
    if round(end * SAMPLING_RATE) == round(start * SAMPLING_RATE):
        raise ValueError(f"no sample lies between {fields[1][:40]} and {fields[2][:40]}")
    channel = int(fields[3]) if fields[3:] else None
    if channel and not any_channel:
        raise ValueError(
            f"channel {channel}, but stages read files of one channel; local/import_data_dir.py takes it out"
        )
    return Segment(fields[0], start, end, channel)


def read_segments(path: str | Path) -> dict[str, Segment]:
    """Read segments, in file order.

    Raises
    ------
    DataDirError
        `path:line: ...` as `read_table` does, and for a line that is not a segment, or is one of a second channel: what
        the stages read has one channel.
    """
    segments = {}
    for number, (utt, text) in enumerate(read_table(path, value="recording> <start> <end").items(), start=1):
        try:
            segments[utt] = parse_segment(text)
        except ValueError as error:
            raise DataDirError(f"{path}:{number}: {utt}: {error}") from error
    return segments
