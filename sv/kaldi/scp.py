"""Kaldi's text tables: `<key> <value>` lines, sorted by byte, each key once."""

from collections.abc import Mapping
from pathlib import Path

from sv.files import atomic_write


class DataDirError(ValueError):
    """Bad input data; the message names file and line."""


def byte_order(key: str) -> bytes:
    """Sort key that gives the order of LC_ALL=C, which Kaldi demands."""
    return key.encode()


def read_table(path: str | Path, *, value: str = "value") -> dict[str, str]:
    """Read a table in file order.

    Parameters
    ----------
    path : path
    value : str
        What the second field is, for the error message.

    Raises
    ------
    DataDirError
        `path:line: ...` for a line without two fields, a repeated key, text that is not UTF-8, or a last line without
        its end: what is left of a cut offset can point at another utterance's record.
    """
    table: dict[str, str] = {}
    for number, line in enumerate(_decoded_lines(path), start=1):
        fields = line.split(maxsplit=1)
        if len(fields) != 2:
            raise DataDirError(f"{path}:{number}: expected '<key> <{value}>', got {line!r}")
        key = fields[0]
        if key in table:
            raise DataDirError(f"{path}:{number}: key {key!r} stands twice")
        table[key] = fields[1].rstrip()
    return table


def _decoded_lines(path: str | Path) -> list[str]:
    data = Path(path).read_bytes()
    if data and not data.endswith(b"\n"):
        last = data.count(b"\n") + 1
        raise DataDirError(f"{path}:{last}: the last line has no line end; if the file is not cut off, add one")
    try:
        return data.decode("utf-8").removesuffix("\n").split("\n") if data else []
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataDirError(f"{path}:{line}: not UTF-8 text") from error


def read_scp(path: str | Path) -> dict[str, str]:
    """Read an scp: key to file, `file:offset`, or pipe."""
    return read_table(path, value="file")


def read_utt2spk(path: str | Path) -> dict[str, str]:
    """Read utt2spk: utterance to speaker."""
    return read_table(path, value="speaker")


def read_utt2dur(path: str | Path) -> dict[str, float]:
    """Read utt2dur: utterance to duration in seconds (> 0)."""
    durations = {}
    for number, (utt, text) in enumerate(read_table(path, value="seconds").items(), start=1):
        try:
            durations[utt] = float(text)
        except ValueError:
            durations[utt] = -1.0
        if not 0 < durations[utt] < float("inf"):
            raise DataDirError(f"{path}:{number}: duration of {utt!r} must be positive seconds, got {text!r}")
    return durations


def read_spk2utt(path: str | Path) -> dict[str, list[str]]:
    """Read spk2utt: speaker to utterances."""
    return {speaker: utts.split() for speaker, utts in read_table(path, value="utterances").items()}


def invert(utt2spk: Mapping[str, str]) -> dict[str, list[str]]:
    """Turn utt2spk into spk2utt; utterances in byte order."""
    spk2utt: dict[str, list[str]] = {}
    for utt in sorted(utt2spk, key=byte_order):
        spk2utt.setdefault(utt2spk[utt], []).append(utt)
    return spk2utt


def check_key(key: str, path: str | Path) -> None:
    """Raise DataDirError unless `key` is one word."""
    if not key or key.split() != [key]:
        raise DataDirError(f"{path}: {key!r} cannot be a key: it must be one word without spaces")


def write_table(path: str | Path, table: Mapping[str, str]) -> None:
    """Write `<key> <value>` lines in byte order, whole or not at all."""
    with atomic_write(path) as file:
        for key in sorted(table, key=byte_order):
            check_key(key, path)
            file.write(f"{key} {table[key]}\n")
