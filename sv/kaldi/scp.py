"""Kaldi's text tables: `<key> <value>` lines, sorted by byte, each key once.

Every table of text is read through here, line by line: a UTF-8 byte order mark, line ends of other systems and blank lines at
the end are nothing of the table's.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sv.base.files import atomic_write

MAX_SECONDS = 1e9  # 32 years; what is longer is no duration, and its samples would not be counted in 64 bits


class DataDirError(ValueError):
    """Bad input data; the message names file and line.

    Of a long one, which quotes a line of some damaged file, the middle is left out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message if len(message) <= 1000 else f"{message[:700]} ... {message[-250:]}")


@contextmanager
def naming(
    path: str | Path, kinds: type[Exception] | tuple[type[Exception], ...] = (KeyError, ValueError)
) -> Iterator[None]:
    """Name the file that a block is about in its errors, which become DataDirErrors.

    Parameters
    ----------
    path : path
    kinds : exception type or tuple of them
        Whose messages lack the name. A DataDirError has it already.
    """
    try:
        yield
    except DataDirError:
        raise
    except kinds as error:
        raise DataDirError(f"{path}: {error.args[0]}") from error


def byte_order(key: str) -> bytes:
    """Sort key that gives the order of LC_ALL=C, which Kaldi demands."""
    return key.encode()


def decode_key(raw: bytes, path: str | Path, number: int) -> str:
    """A key as text; raises DataDirError for what is not UTF-8, and for NUL and blanks beyond ASCII, which would split it later."""
    try:
        key = raw.decode()
    except UnicodeDecodeError as error:
        raise DataDirError(f"{path}:{number}: not UTF-8 text") from error
    if not key.isprintable() and (key.split() != [key] or "\0" in key):
        raise DataDirError(f"{path}:{number}: key {key!r} holds a blank or NUL; a damaged file? else, rename it")
    return key


def to_number(text: str | bytes) -> float:
    """A number as programs write it; raises ValueError, also for the underscores and foreign digits that Python reads."""
    if not text.isascii() or (b"_" if isinstance(text, bytes) else "_") in text:
        raise ValueError(f"not a number: {text!r}")
    return float(text)


BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def iter_lines(stream: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of each line of a table of any length; blank lines only where others follow."""
    blank = 0
    for number, line in enumerate(stream, start=1):
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        if not line or line.isspace():
            blank += 1
            continue
        if blank:
            yield from ((before, b"\n") for before in range(number - blank, number))
            blank = 0
        yield number, line


def table_bytes(path: str | Path) -> bytes:
    """Bytes of a table's lines, without a byte order mark and blank lines at the end."""
    data = Path(path).read_bytes().removeprefix(BYTE_ORDER_MARK)
    length = len(data.rstrip())
    return data[: data.find(b"\n", length) + 1 or None] if length else b""


def text_rows(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line of a corpus' table that is not blank; raises DataDirError for what is not UTF-8."""
    for number, line in iter_lines(Path(path).read_bytes().split(b"\n")):
        try:
            text = line.rstrip(b"\r\n").decode()
        except UnicodeDecodeError as error:
            raise DataDirError(f"{path}:{number}: not UTF-8 text") from error
        if text.strip():
            yield number, text


def split_line(line: bytes, path: str | Path, number: int, value: str = "value") -> tuple[str, str]:
    """Key and value of a table's line, split where Kaldi does, at ASCII blanks; raises DataDirError as `read_table` does."""
    fields = line.split(maxsplit=1)
    if len(fields) != 2:
        raise DataDirError(f"{path}:{number}: expected '<key> <{value}>', got {shown(line)}")
    if b"\0" in line:
        raise DataDirError(f"{path}:{number}: a NUL byte; the file is damaged")
    try:
        return decode_key(fields[0], path, number), fields[1].rstrip().decode()
    except UnicodeDecodeError as error:
        raise DataDirError(f"{path}:{number}: not UTF-8 text") from error


def shown(line: bytes) -> str:
    """A line as a message quotes it."""
    return repr(line[:200].decode(errors="replace").rstrip())


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
        `path:line: ...` for a line without two fields, a repeated key, text that is not UTF-8, a NUL, or a last line
        without its end: what is left of a cut offset can point at another utterance's record.
    """
    data = table_bytes(path)
    check_last_line(data, path)
    table: dict[str, str] = {}
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        key, text = split_line(line, path, number, value)
        if key in table:
            raise DataDirError(f"{path}:{number}: key {key!r} appears twice")
        table[key] = text
    return table


def check_last_line(data: bytes, path: str | Path, first: int = 1) -> None:
    """Raise DataDirError unless the last of a table's lines, the first of which is number `first`, has its end."""
    if data and not data.endswith(b"\n"):
        last = data.count(b"\n") + first
        raise DataDirError(f"{path}:{last}: the last line has no line end; if the file is not cut off, add one")


def read_scp(path: str | Path) -> dict[str, str]:
    """Read an scp: key to file, `file:offset`, or pipe."""
    return read_table(path, value="file")


def read_utt2spk(path: str | Path) -> dict[str, str]:
    """Read utt2spk: utterance to speaker; raises DataDirError, as `read_table` does, also for a speaker of several words."""
    utt2spk = read_table(path, value="speaker")
    for number, (utt, speaker) in enumerate(utt2spk.items(), start=1):
        if speaker.split() != [speaker]:
            raise DataDirError(f"{path}:{number}: the speaker of {utt!r} must be one word, got {speaker[:200]!r}")
    return utt2spk


def read_utt2dur(path: str | Path) -> dict[str, float]:
    """Read utt2dur: utterance to duration in seconds (> 0)."""
    durations = {}
    for number, (utt, text) in enumerate(read_table(path, value="seconds").items(), start=1):
        try:
            durations[utt] = to_number(text)
        except ValueError:
            durations[utt] = -1.0
        if not 0 < durations[utt] <= MAX_SECONDS:
            raise DataDirError(f"{path}:{number}: duration of {utt!r} must be positive seconds, got {text[:40]!r}")
    return durations


def read_num_utts(path: str | Path) -> dict[str, int]:
    """Read num_utts: speaker to number of utterances (>= 1); raises DataDirError with file and line."""
    counts = {}
    for number, (speaker, text) in enumerate(read_table(path, value="number of utterances").items(), start=1):
        if not text.isdecimal() or int(text) < 1:
            raise DataDirError(f"{path}:{number}: expected '<speaker> <number of utterances>', got '{speaker} {text}'")
        counts[speaker] = int(text)
    return counts


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
    if not key or key.split() != [key] or "\0" in key:
        raise DataDirError(f"{path}: {key!r} cannot be a key: it must be one word without spaces")


def check_value(value: str, path: str | Path) -> None:
    """Raise DataDirError unless `value` can stand on a table's line: the name of a file may be any bytes but NUL."""
    if "\n" in value or "\0" in value or value.strip() != value or (not value.isascii() and not _is_utf8(value)):
        raise DataDirError(
            f"{str(path)!r}: {value[:200]!r} cannot stand on a line of a table: a line end, NUL, blanks at an end, or not UTF-8; "
            "rename the folder or file"
        )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # of a name that was no UTF-8
        return False
    return True


def write_table(path: str | Path, table: Mapping[str, str]) -> None:
    """Write `<key> <value>` lines in byte order, whole or not at all; raises DataDirError for what no line can hold."""
    with atomic_write(path) as file:
        for key in sorted(table, key=byte_order):
            check_key(key, path)
            check_value(table[key], path)
            file.write(f"{key} {table[key]}\n")
