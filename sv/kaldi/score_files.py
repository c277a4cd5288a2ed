"""Score files of any toolkit, read a line at a time: which column is what is found out from the file itself."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sv.kaldi.scp import DataDirError, iter_lines, shown, to_number

DELIMITERS = re.compile(rb"[\s,;]+")
LABELS = {"target": True, "nontarget": False, "1": True, "0": False, "imp": False, "impostor": False, "tgt": True}
PROBED_LINES = 1000
MOST_COLUMNS = 100


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Columns of a score file, numbered from 0.

    Attributes
    ----------
    num_columns : int
    enrolment, test, score : int
    label : int, optional
    has_header : bool
    """

    num_columns: int
    enrolment: int
    test: int
    score: int
    label: int | None = None
    has_header: bool = False


def _iter_fields(path: str | Path) -> Iterator[tuple[int, bytes, list[str]]]:
    """Number, bytes and fields, between blanks, commas or semicolons, of each line; DataDirError for what is not UTF-8."""
    with Path(path).open("rb") as file:
        for number, line in iter_lines(file):
            fields = DELIMITERS.split(line) if b"," in line or b";" in line else line.split()
            try:
                yield number, line, [field.decode() for field in fields if field]
            except UnicodeDecodeError as error:
                raise DataDirError(f"{path}:{number}: not UTF-8 text") from error


def _is_number(text: str) -> bool:
    try:
        to_number(text)
    except ValueError:
        return False
    return True


def find_layout(path: str | Path, known: Collection[str]) -> Layout:
    """Columns of a score file, from its first lines and the utterances of the trial list.

    Two columns hold known utterances, the first of them the enrolment side. Of what is left, a column that says nothing
    but target or nontarget (or 1 or 0) is the label if another one holds numbers, which is the score. The label of each trial
    is compared with the trial list's later, so that 1 and 0 that mean something else are noticed.

    Parameters
    ----------
    path : path
    known : collection of str
        Utterances of the trials.

    Raises
    ------
    DataDirError
        If the columns cannot be told apart; the message names a line and the columns.
    """
    numbered = [(number, fields) for number, _, fields in islice(_iter_fields(path), PROBED_LINES)]
    lines = [fields for _, fields in numbered]
    if not lines:
        raise DataDirError(f"{path}: is empty; expected lines of '<enrolment-utt> <test-utt> <score>'")
    header = len(lines) > 1 and not any(field in known or _is_number(field) for field in lines[0])
    width = len(lines[header])
    if width > MOST_COLUMNS:
        raise DataDirError(f"{path}:{numbered[header][0]}: {width} columns; is this a score file?")
    scored = [(number, row) for number, row in numbered[header:] if len(row) == width and _num_known(row, known) >= 2]
    if not scored:
        raise DataDirError(
            f"{path}: none of its first {len(lines)} lines names two utterances of the trial list, e.g. {' '.join(lines[header])!r}"
        )
    rows = [row for _, row in scored]
    found = _columns_of(rows, known)
    problem = _ambiguity(found, rows)
    if problem:
        columns = "; ".join(f"{kind} {' '.join(str(c + 1) for c in own) or 'none'}" for kind, own in found.items())
        raise DataDirError(f"{path}:{scored[0][0]}: {problem}, got {' '.join(rows[0])!r} (columns of {columns})")
    sides, labels = found["utterances"], found["labels"]
    return Layout(
        num_columns=width, enrolment=sides[0], test=sides[1], score=found["scores"][0],
        label=labels[0] if labels else None, has_header=header,
    )  # fmt: skip


def _num_known(row: list[str], known: Collection[str]) -> int:
    return sum(field in known for field in row)


def _columns_of(rows: list[list[str]], known: Collection[str]) -> dict[str, list[int]]:
    """Columns that may hold utterances, scores and labels."""
    sides = [column for column in range(len(rows[0])) if all(row[column] in known for row in rows)]
    others = [column for column in range(len(rows[0])) if column not in sides]
    # Most lines decide, so that a bad one is met where it stands.
    labels = [column for column in others if 2 * sum(row[column].lower() in LABELS for row in rows) > len(rows)]
    numbers = [column for column in others if 2 * sum(_is_number(row[column]) for row in rows) >= len(rows)]
    if len(numbers) > 1:
        numbers = [column for column in numbers if column not in labels]
    return {"utterances": sides, "scores": numbers, "labels": [column for column in labels if column not in numbers]}


def _ambiguity(found: dict[str, list[int]], rows: list[list[str]]) -> str:
    """A line on what keeps the columns from being told apart; empty if nothing does."""
    scores, labels = found["scores"], found["labels"]
    if len(found["utterances"]) != 2 or len(scores) != 1:
        return "expected two columns of utterances and one of scores"
    if len(labels) > 1:
        return "expected one column of labels at most"
    is_number = labels and any(_is_number(row[labels[0]]) for row in rows)
    if is_number and len(rows) > 1 and len({row[scores[0]] for row in rows}) == 1:
        return "expected scores that differ beside the column of 1 and 0, which may be the scores"
    return ""


def iter_scores(path: str | Path, layout: Layout) -> Iterator[tuple[int, str, str, float, bool | None]]:
    """Yield (line number, enrolment, test, score, label if the file has one); raises DataDirError with file and line."""
    for number, line, fields in _iter_fields(path):
        if number == 1 and layout.has_header:
            continue
        try:
            score = to_number(fields[layout.score]) if len(fields) == layout.num_columns else float("nan")
            label = None if layout.label is None else LABELS[fields[layout.label].lower()]
        except (ValueError, KeyError, IndexError):
            score = float("nan")
        if not abs(score) < float("inf"):
            raise DataDirError(f"{path}:{number}: expected {_expected(layout)}, got {shown(line)}")
        yield number, fields[layout.enrolment], fields[layout.test], score, label


def _expected(layout: Layout) -> str:
    names = {layout.enrolment: "<enrolment-utt>", layout.test: "<test-utt>", layout.score: "<score>"}
    if layout.label is not None:
        names[layout.label] = "target|nontarget"
    return "'" + " ".join(names.get(column, "...") for column in range(layout.num_columns)) + "'"
