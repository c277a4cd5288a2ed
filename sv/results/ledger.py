"""RESULTS.md, whose tables are generated from recorded results in results/*.json beside it, and checked against them."""

import json
import re
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from sv.base.config import load_json, load_json_table
from sv.base.files import atomic_write, write_text
from sv.base.layout import ModelFolder
from sv.results.breakdown import break_down_stored, groups_of, tables_of
from sv.results.comparison import compare
from sv.results.conditions import is_clean
from sv.results.draws import draws_note, draws_table
from sv.results.folder import load_results
from sv.results.pairs import Pairs, pairs, pairs_notes, pairs_table, rates_table
from sv.results.proof import Proof, differences, digest_of, score_path, store
from sv.results.rows import CALIBRATED, COMPARED, Row, check_rows, read_results
from sv.results.score_files import StoredScores, read_score_file
from sv.results.tables import (
    BACKEND_LEGENDS,
    LEGEND,
    backend_rows,
    backend_table,
    footnotes,
    markdown_rows,
    markdown_table,
    mean_name,
)

BLOCK = re.compile(r"<!-- (results/\S+\.json): begin -->\n(.*?)\n<!-- (results/\S+\.json): end -->", re.DOTALL)
MARKER = re.compile(r"<!-- results/\S+: (?:begin|end) -->")
MOST_WIDE = 3  # systems; tables of more show the EER of each condition alone, the results beside them all


def record(
    markdown: Path,
    name: str,
    folders: Sequence[Path],
    note: str,
    despite: Sequence[str] = (),
    references: Sequence[str] = (),
    data: Path | None = None,
    backends: Sequence[str] = (),
    keep: bool = False,
    chosen: Sequence[str] = (),
) -> None:
    """Copy the results of model folders to results/<name>.json beside a Markdown file, and give it a block if it has none.

    With the data directories, the scores are stored too, see `sv.results.score_files`, and figures are those of what is stored.
    With `keep`, systems that were recorded before stay, but for those of the folders, and so do the note, the differences
    allowed and the references, where none are given; the stored scores of what stays are verified first.

    Parameters
    ----------
    references : sequence of str
        `<system>:<back end>`: test all others against these, in place of every two systems; with `data`.
    data : path, optional
        Folder of the data directories.
    backends : sequence of str
        Record these alone; all by default.
    keep : bool, optional
        Add to a table that is there, or replace systems of it; with `data`.
    chosen : sequence of str
        `<system>:<system>`: test these pairs alone, see `sv.results.pairs.pairs`; with `data`.

    Raises
    ------
    ValueError
        If the systems cannot share a table, have the same name, or lack a back end; if `keep` finds no stored scores, or others
        than were recorded; or as `sv.results.proof.store` does.
    """
    models = [ModelFolder(folder) for folder in folders]
    systems = [_chosen(read_results(model.results), model, backends) for model in models]
    breakdowns = [load_json(model.breakdown) for model in models if model.breakdown.exists()]
    path, files, differing, groups = markdown.parent / "results" / f"{name}.json", {}, {}, {}
    before = _recorded(path) if keep else None
    if before:
        note, groups = note or before["note"], before.get("groups", {})
        despite = [*dict.fromkeys([*before["despite"], *despite])]
        if not (references or chosen):
            references, chosen = _asked(before.get("pairs", {}))
    if data is not None:
        stay = _unlike(systems, before) if before else []
        compare([*stay, *systems], despite)  # before the work
        if before:
            _verify_scores(path, before, stay)
        systems, files = _stored(path, folders, systems, data)
        if before:
            systems, files = _beside(path, before, stay, systems, files)
    digests = {place.name: digest_of(file) for place, file in files.items()} if files else None
    stored = [read_score_file(*item) for item in files.items()]
    if files and _same_trials(systems):
        differing["pairs"] = _pairs(systems, stored, references, chosen)
    elif references or chosen:
        raise ValueError("--against, --pair: the systems have different trials; no test pairs them")
    if files and any([*breakdowns, groups]):
        differing["groups"] = groups | groups_of(breakdowns, data)
        breakdowns = [break_down_stored(*own, differing["groups"]) for own in zip(systems, stored)]
    parts = [_factored(rows) for rows in systems]
    entry = {"note": note, "scores": digests, "despite": list(despite), "systems": parts, "breakdowns": breakdowns}
    entry |= differing
    _write(markdown, path, entry, files)


def _write(markdown: Path, path: Path, entry: dict[str, Any], files: dict[Path, bytes]) -> None:
    """Write results and score files, remove score files of systems that are gone, and append the block if there is none."""
    text = render(entry, path)
    for place, file in files.items():
        with atomic_write(place, "wb") as out:
            out.write(file)
    write_text(path, _dump(entry) + "\n")
    for old_file in {*path.with_suffix("").glob("*.scores.xz")} - files.keys():
        old_file.unlink()
    old = markdown.read_text(encoding="utf-8") if markdown.exists() else "# Results\n"
    source = f"results/{path.name}"
    if f"<!-- {source}: begin -->" not in old:
        write_text(markdown, f"{old.rstrip()}\n\n{_block(source, text)}\n")


def _chosen(rows: Sequence[Row], model: ModelFolder, backends: Sequence[str]) -> list[Row]:
    """Rows of some back ends, or of all if none are named; raises ValueError if there are none of one."""
    known = dict.fromkeys(row["backend"] for row in rows)
    if unknown := [name for name in backends if name not in known]:
        raise ValueError(f"--backends: {model.results} has no rows of {unknown[0]}; there are {', '.join(known)}")
    return [row for row in rows if not backends or row["backend"] in backends]


def _stored(
    path: Path, folders: Sequence[Path], systems: Sequence[list[Row]], data: Path
) -> tuple[list[list[Row]], dict[Path, bytes]]:
    """Rows of the systems as their stored scores prove them, and the score files by path."""
    results = [load_results(folder) for folder in folders]
    made, files = [], {}
    for folder, result, rows in zip(folders, results, systems):
        place = score_path(path, result.name)
        if place in files:
            raise ValueError(f"{folder}: another system has the name {result.name} too; record one of them")
        own, files[place] = store(result, rows, data)
        made.append(own)
    return made, files


def _recorded(path: Path) -> dict[str, Any]:
    """Recorded entry whose scores are stored; raises ValueError if there is none."""
    entry = load_json_table(path) if path.is_file() else {}
    if not entry.get("scores"):
        raise ValueError(
            f"{path}: no recorded results with stored scores that --keep could add to; record without --keep"
        )
    render(entry, path)  # it can be read
    return entry


def _unlike(systems: Sequence[list[Row]], before: dict[str, Any]) -> list[list[Row]]:
    """Rows of the recorded systems that have the names of none of some systems."""
    names = set(map(_name, systems))
    return [rows for rows in map(_unfactored, before["systems"]) if _name(rows) not in names]


def _verify_scores(path: Path, before: dict[str, Any], stay: Sequence[list[Row]]) -> None:
    """Raise ValueError if recorded rows are not what the scores beside them give."""
    places = [score_path(path, _name(own)).name for own in stay]
    Proof(path=path, digests={place: before["scores"].get(place) for place in places}).verify(stay)


def _beside(
    path: Path, before: dict[str, Any], stay: Sequence[list[Row]], new: Sequence[list[Row]], files: dict[Path, bytes]
) -> tuple[list[list[Row]], dict[Path, bytes]]:
    """Systems that stay and new ones, in the places of those they replace or last; and all score files."""
    rows = {_name(own): own for own in [*stay, *new]}
    order = [*dict.fromkeys([_name(_unfactored(parts)) for parts in before["systems"]] + list(rows))]
    places = [score_path(path, name) for name in order]
    return [rows[name] for name in order], {place: files.get(place) or place.read_bytes() for place in places}


def _name(rows: Sequence[Row]) -> str:
    return rows[0]["system"]


def _same_trials(systems: Sequence[Sequence[Row]]) -> bool:
    """True if the first test set has the same clean trials for every system."""
    rows = [row for own in systems for row in own if is_clean(row) and row["test_set"] == systems[0][0]["test_set"]]
    return len({row["trials_sha256"] for row in rows}) == 1


def _asked(found: Pairs) -> tuple[Sequence[str], Sequence[str]]:
    """References and chosen pairs of recorded tests."""
    return found.get("references", ()), found.get("chosen", ())


def _pairs(
    systems: Sequence[list[Row]], stored: Sequence[StoredScores], references: Sequence[str], chosen: Sequence[str]
) -> Pairs:
    """Rates and tests of the back ends that all systems have, without calibrated ones, whose EER is that of the others."""
    comparisons = compare(systems, COMPARED)
    backends = [
        each.backend
        for each in comparisons
        if each.test_set == comparisons[0].test_set and each.shared and not each.backend.endswith(CALIBRATED)
    ]
    return pairs(systems, stored, backends, references, chosen)


def _factored(rows: Sequence[Row]) -> list[dict]:
    """Group a system's rows by test set and store shared values once per group."""
    parts = []
    for _, part in groupby(rows, key=itemgetter("test_set")):
        first, *others = part = list(part)
        shared = {key: value for key, value in first.items() if all(key in row and row[key] == value for row in others)}
        own = [{key: value for key, value in row.items() if key not in shared} for row in part]
        parts.append({"shared": shared, "rows": own})
    return parts


def _unfactored(parts: Sequence[dict]) -> list[Row]:
    """Rows that `_factored` grouped."""
    return [part["shared"] | row for part in parts for row in part["rows"]]


def _dump(value: object) -> str:
    """JSON with one row per line, so that diffs are readable."""
    if isinstance(value, dict) and any(map(_is_table, value.values())):
        return "{" + ",\n".join(f"{json.dumps(key)}: {_dump(item)}" for key, item in value.items()) + "}"
    return "[\n" + ",\n".join(map(_dump, value)) + "\n]" if _is_table(value) else json.dumps(value)


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], list | dict)


def render(entry: dict, path: Path) -> str:
    """Markdown of a recorded entry.

    Raises
    ------
    ValueError
        Naming `path`, if `record` cannot have written the entry, or if the systems cannot share a table.
    """
    try:
        return _rendered(entry, path)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"{path}: not what sv results record writes ({error!r})") from error


def _rendered(entry: dict, path: Path) -> str:
    systems: list[list[Row]] = [_unfactored(parts) for parts in entry["systems"]]
    for rows in systems:
        check_rows(rows, path)
    comparisons = compare(systems, entry["despite"])
    breakdowns = tables_of([rows for rows in entry["breakdowns"] if rows])
    pair_notes: list[str] = []
    brief = len(systems) > MOST_WIDE
    header, *body = backend_table(comparisons)
    tables = [markdown_table(comparisons[0], brief), markdown_rows(header, body, num_words=2)]
    if spread := draws_table(comparisons[0], brief):
        tables.insert(1, markdown_rows(spread[0], spread[1:]))
    if found := entry.get("pairs"):
        (header, *body), tests = rates_table(found, comparisons), pairs_table(found)
        tests = [markdown_rows(tests[0], tests[1:])] if tests else []
        tables = [markdown_rows(header, body, num_words=2), *tests, *tables]
        pair_notes = pairs_notes(found)
    legend = BACKEND_LEGENDS[mean_name(backend_rows(comparisons))]
    notes = [f"{LEGEND}; {legend}", *draws_note(comparisons[0]), *pair_notes, *footnotes(systems)]
    parts = [
        entry["note"],
        *tables,
        *(f"{test_set} by {by}\n\n{markdown_rows(cells[0], cells[1:])}" for test_set, by, cells in breakdowns),
        "\n".join(f"- {line}" for line in notes),
    ]
    return "\n\n".join(filter(None, parts))


def _block(source: str, text: str) -> str:
    return f"<!-- {source}: begin -->\n{text}\n<!-- {source}: end -->"


def generated(markdown: Path) -> str:
    """Text of a Markdown file with every block made anew.

    Raises
    ------
    ValueError
        If a block's results are missing, a marker has no partner, or a table appears outside the blocks.
    """
    text = markdown.read_text(encoding="utf-8")
    _check_markers(markdown, text)

    def make(match: re.Match) -> str:
        path = markdown.parent / match[1]
        if not path.is_file():
            raise ValueError(f"{markdown}: {path} is not there; record it again, or remove its block")
        return _block(match[1], render(load_json(path), path))

    return BLOCK.sub(make, text)


def _check_markers(markdown: Path, text: str) -> None:
    outside = BLOCK.sub(lambda match: match[0] if match[1] != match[3] else "", text)
    if lone := MARKER.search(outside):
        raise ValueError(f"{markdown}: a block's begin or end marker has no partner: {lone[0]}")
    for line in outside.splitlines():
        if line.startswith("|"):
            raise ValueError(f"{markdown}: a table outside the generated blocks: {line[:60]!r}; record its results")


def update(markdown: Path) -> None:
    """Make every block of a Markdown file anew."""
    write_text(markdown, generated(markdown))


def verify(markdown: Path) -> list[str]:
    """Check a Markdown file as `check` does, and every figure of its results by the scores that are stored beside them.

    Returns
    -------
    list of str
        One line for each recorded result.

    Raises
    ------
    ValueError
        In one line: the first file, system, condition, back end and field that is not what the scores give, what was found and
        what was expected; or a block whose results do not say which scores are stored, or that there are none.
    """
    markdown = markdown / "RESULTS.md" if markdown.is_dir() else markdown
    generated(markdown)  # all results are there and can be read
    lines = [
        _verify_entry(markdown.parent / match[1]) for match in BLOCK.finditer(markdown.read_text(encoding="utf-8"))
    ]
    check(markdown)
    return lines


def _verify_entry(path: Path) -> str:
    entry = load_json(path)
    if "scores" not in entry:
        raise ValueError(f"{path}: does not say which scores are stored; record it again")
    if entry["scores"] is None:
        return f"{path}: recorded without scores, not verified"
    digests = entry["scores"]
    if not isinstance(digests, dict) or not digests:
        raise ValueError(f"{path}: scores must name score files and their sha256, or be null; record it again")
    systems = [_unfactored(parts) for parts in entry["systems"]]
    proof = Proof(path=path, digests=digests)
    proof.verify(systems)
    stored = [proof.read(_name(rows)) for rows in systems]
    made: dict[str, Any] = {}
    if "pairs" in entry:
        made["pairs"] = _pairs(systems, stored, *_asked(entry["pairs"]))
    if any(entry["breakdowns"]):
        groups = entry.get("groups", {})
        made["breakdowns"] = [break_down_stored(*own, groups) for own in zip(systems, stored)]
    for part, again in made.items():
        for field, found, expected in differences(part, entry[part], again):
            raise ValueError(f"{path}: {field} is {found}, its scores give {expected}")
    return f"{path}: {sum(map(len, systems))} rows of {len(systems)} systems verified by their scores"


def check(markdown: Path) -> None:
    """Raise ValueError naming file and line if a Markdown file differs from its recorded results."""
    found, wanted = markdown.read_text(encoding="utf-8").splitlines(), generated(markdown).splitlines()
    for number, (line, expected) in enumerate(zip([*found, ""], [*wanted, ""]), start=1):
        if line != expected:
            raise ValueError(
                f"{markdown}:{number}: differs from the results it is generated from: {line[:80]!r} should be {expected[:80]!r}; "
                f"run sv results update {markdown}"
            )
