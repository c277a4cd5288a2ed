"""The tables of a data directory as compact arrays: a million utterances open in seconds and are shared by workers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sv.base.layout import SAMPLING_RATE
from sv.data.utterances import Utterance, utterance_of
from sv.kaldi.scp import MAX_SECONDS, DataDirError, check_last_line, table_bytes
from sv.kaldi.segments import parse_segment

_NEWLINE, _PIPE = b"\n|"
_IS_BLANK = np.isin(np.arange(256), list(b" \t\r\n\f\v"))
_FEW_BLANKS = 2  # around a value, for which all rows are looked at together
_ROWS_AT_ONCE = 1 << 16  # of a table, where strings are copied


@dataclass(frozen=True)
class TextColumn:
    """Many short strings as one byte array and where each starts and ends: no Python object a string.

    Attributes
    ----------
    data : (num_bytes,) uint8 numpy.ndarray
    starts, ends : (num_strings,) int64 numpy.ndarray
    """

    data: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, row: int) -> str:
        return self.data[self.starts[row] : self.ends[row]].tobytes().decode()

    def at(self, rows: np.ndarray) -> "TextColumn":
        """The strings of some rows."""
        return TextColumn(self.data, self.starts[rows], self.ends[rows])

    def differing_row(self, other: "TextColumn") -> int | None:
        """The first row in which the columns differ; the shorter one's length if one is a prefix of the other."""
        shorter = min(len(self), len(other))
        for first in range(0, shorter, _ROWS_AT_ONCE):
            rows = slice(first, min(first + _ROWS_AT_ONCE, shorter))
            here, there = self.fixed_width(rows), other.fixed_width(rows)
            if (differing := np.flatnonzero(here != there)).size:
                return first + int(differing[0])
        return shorter if len(self) != len(other) else None

    def first_out_of_order(self) -> int | None:
        """The first row that does not come after the one before it in byte order."""
        for first in range(0, len(self), _ROWS_AT_ONCE):
            names = self.fixed_width(slice(first, first + _ROWS_AT_ONCE + 1))
            if (wrong := np.flatnonzero(names[1:] <= names[:-1])).size:
                return first + int(wrong[0]) + 1
        return None

    def fixed_width(self, rows: slice = slice(None)) -> np.ndarray:
        """The strings of some rows as an array of bytes, (num_rows,) of dtype S."""
        starts, lengths = self.starts[rows], self.ends[rows] - self.starts[rows]
        columns = np.arange(lengths.max())
        letters = np.empty((len(starts), len(columns)), dtype=np.uint8)
        for first in range(0, len(starts), _ROWS_AT_ONCE):  # the places take eight bytes a letter
            part = slice(first, first + _ROWS_AT_ONCE)
            places = np.minimum(starts[part, None] + columns, len(self.data) - 1)
            # A string's neighbours are copied too, and blanked.
            letters[part] = np.where(columns < lengths[part, None], self.data[places], 0)
        return letters.view(f"S{len(columns)}")[:, 0]


def read_columns(path: Path) -> tuple[TextColumn, TextColumn]:
    """Keys and values of a Kaldi table, in file order.

    Raises
    ------
    DataDirError
        For a table that is empty, cut off, or not UTF-8; with the line of the first that lacks a key or a value.
    """
    raw = table_bytes(path)
    if not raw:
        raise DataDirError(f"{path}: no utterances")
    check_last_line(raw, path)
    _check_text(raw, path)
    data = np.frombuffer(raw, dtype=np.uint8)
    line_ends = np.flatnonzero(data == _NEWLINE)
    line_starts = np.concatenate([[0], line_ends[:-1] + 1])
    blanks = np.flatnonzero(_IS_BLANK[data])
    key_ends = blanks[np.searchsorted(blanks, line_starts)]
    value_starts, value_ends = _without_blanks(data, key_ends, line_ends)
    if (wrong := np.flatnonzero((key_ends == line_starts) | (value_starts == value_ends))).size:
        raise DataDirError(f"{path}:{wrong[0] + 1}: expected '<key> <value>'")
    return TextColumn(data, line_starts, key_ends), TextColumn(data, value_starts, value_ends)


def _check_text(raw: bytes, path: Path) -> None:
    if (damaged := raw.find(0)) >= 0:
        raise DataDirError(f"{path}:{raw.count(10, 0, damaged) + 1}: a NUL byte; the file is damaged")
    if raw.isascii():  # nearly always, and it takes no memory
        return
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise DataDirError(f"{path}:{raw.count(10, 0, error.start) + 1}: not UTF-8 text") from error


def _without_blanks(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The stretches without the blanks around them; a stretch of blanks alone becomes empty."""
    starts, ends = starts.copy(), ends.copy()
    for _ in range(_FEW_BLANKS):
        starts += (starts < ends) & _IS_BLANK[data[np.minimum(starts, len(data) - 1)]]
        ends -= (starts < ends) & _IS_BLANK[data[ends - 1]]
    wide = (starts < ends) & (_IS_BLANK[data[np.minimum(starts, len(data) - 1)]] | _IS_BLANK[data[ends - 1]])
    for row in np.flatnonzero(wide):
        text = data[starts[row] : ends[row]].tobytes()
        starts[row] += len(text) - len(text.lstrip())
        ends[row] = starts[row] + len(text.strip())
    return starts, ends


class UtteranceIndex:
    """The utterances of a data directory in compact arrays.

    Attributes
    ----------
    utterances, recordings, paths : TextColumn
    speakers : list of str
        In byte order; a speaker's id is its place.
    speaker_ids, first_samples, num_samples : (num_utterances,) numpy.ndarray
        Speakers, and where the utterances lie in their files.

    Raises
    ------
    DataDirError
        If a table is malformed, wav.scp is not in byte order or has an utterance twice, the tables do not have the same
        utterances in the same order, a duration is not a positive number, or an entry of wav.scp is a pipe: training reads
        from the middle of files. With segments, these are the utterances, of wav.scp's recordings.
    """

    def __init__(self, data_dir: str | Path) -> None:
        data_dir = Path(data_dir)
        self.utterances, self.paths = _sorted_columns(data_dir / "wav.scp")
        if (pipes := np.flatnonzero(self.paths.data[self.paths.ends - 1] == _PIPE)).size:
            raise DataDirError(
                f"{data_dir}/wav.scp:{pipes[0] + 1}: {self.utterances[pipes[0]]!r} is a pipe; training reads files only, "
                "write them out first"
            )
        self.has_segments = (data_dir / "segments").exists()
        if self.has_segments:
            recordings = self.utterances
            self.utterances, segments = _sorted_columns(data_dir / "segments")
            rows, self.first_samples, self.num_samples = _parse_segments(segments, recordings, data_dir / "segments")
            self.recordings, self.paths = recordings.at(rows), self.paths.at(rows)
        else:
            self.recordings, self.num_samples = self.utterances, _num_samples(data_dir / "utt2dur", self.utterances)
            self.first_samples = np.zeros_like(self.num_samples)
        self.speakers, self.speaker_ids = _ids_of(_aligned_column(data_dir / "utt2spk", self.utterances))

    def __len__(self) -> int:
        return len(self.utterances)

    def utterance(self, row: int) -> Utterance:
        """Location of an utterance in its file."""
        start = int(self.first_samples[row]) if self.has_segments else None
        return Utterance(self.recordings[row], self.paths[row], int(self.num_samples[row]), start)


def _sorted_columns(path: Path) -> tuple[TextColumn, TextColumn]:
    keys, values = read_columns(path)
    if (row := keys.first_out_of_order()) is not None:
        raise DataDirError(
            f"{path}:{row + 1}: {keys[row]!r} after {keys[row - 1]!r}; expected byte order, each utterance once: "
            "utils/fix_data_dir.py sorts"
        )
    return keys, values


def _parse_segments(segments: TextColumn, recordings: TextColumn, path: Path) -> tuple[np.ndarray, ...]:
    """Of each segment the row of its recording, its first sample and its number of samples, (num_segments,) int64."""
    rows = {recordings[row]: row for row in range(len(recordings))}
    table = np.empty((3, len(segments)), dtype=np.int64)
    for number in range(len(segments)):
        try:
            segment = parse_segment(segments[number])
            table[0, number] = rows[segment.recording]
        except ValueError as error:
            raise DataDirError(f"{path}:{number + 1}: {error}") from error
        except KeyError as error:
            raise DataDirError(f"{path}:{number + 1}: recording {error} is not in wav.scp") from error
        utterance = utterance_of(segment, "")
        table[1:, number] = utterance.start, utterance.num_samples
    return tuple(table)


def _aligned_column(path: Path, utterances: TextColumn) -> TextColumn:
    keys, values = read_columns(path)
    if (row := keys.differing_row(utterances)) is not None:
        raise DataDirError(
            f"{path}:{row + 1}: its utterances are not those of wav.scp, in its order, from here on; "
            "utils/validate_data_dir.py tells more"
        )
    return values


def _ids_of(speakers: TextColumn) -> tuple[list[str], np.ndarray]:
    """The distinct strings in byte order, and the place of each row's among them."""
    names = speakers.fixed_width()
    # Utterances lie sorted and start with the speaker, so that one name a run is all that has to be sorted.
    first_of_run = np.concatenate([[True], names[1:] != names[:-1]])
    distinct, ids = np.unique(names[first_of_run], return_inverse=True)
    return [name.decode() for name in distinct], ids.astype(np.int32)[np.cumsum(first_of_run) - 1]


def _num_samples(path: Path, utterances: TextColumn) -> np.ndarray:
    """Number of samples of each utterance by utt2dur, (num_utterances,) int64."""
    text = _aligned_column(path, utterances).fixed_width()
    try:
        if (text.view(np.uint8) == ord("_")).any():
            raise ValueError("an underscore")
        seconds = text.astype(np.float64)
    except ValueError as error:
        raise DataDirError(f"{path}: not a number of seconds ({error})") from error
    if (wrong := np.flatnonzero(~((seconds > 0) & (seconds <= MAX_SECONDS)))).size:
        row = wrong[0]
        raise DataDirError(
            f"{path}:{row + 1}: duration of {utterances[row]!r} must be positive seconds, got {text[row].decode()[:40]!r}"
        )
    return np.round(seconds * SAMPLING_RATE).astype(np.int64)
