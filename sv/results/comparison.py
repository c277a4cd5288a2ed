"""Several systems side by side: rows that may share a table, by test set, back end and condition."""

import dataclasses
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sv.results.conditions import condition_order, draw_of, is_clean, kind_of
from sv.results.rows import COMPARED, OF_ONE_SYSTEM, Row, stamped


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Results on one test set with one back end.

    Attributes
    ----------
    test_set, backend : str
    systems : list of str
    conditions : list of list
        Clean first, then by noise type and falling SNR; per condition one row per system, None where it has none.
        Of each condition the first draw.
    draws : list of list
        The same of all further draws, in the order of `conditions` within a draw.
    """

    test_set: str
    backend: str
    systems: list[str]
    conditions: list[list[Row | None]]
    draws: list[list[Row | None]] = dataclasses.field(default_factory=list)

    @property
    def shared(self) -> list[list[Row]]:
        """Conditions that every system has."""
        return [rows for rows in self.conditions if all(rows)]

    @property
    def noises(self) -> list[str]:
        """Kinds of condition that have SNRs, in the order of the table."""
        found = (first(rows) for rows in self.conditions)
        return list(dict.fromkeys(kind_of(row) for row in found if row["snr_db"] is not None))

    @property
    def shown(self) -> list[list[Row]]:
        """Clean and the noisy condition with the highest mean EER, of those that every system has."""
        clean = [rows for rows in self.shared if is_clean(first(rows))]
        noisy = [rows for rows in self.shared if not is_clean(first(rows))]
        return clean + sorted(noisy, key=lambda rows: sum(row["eer"] for row in rows))[-1:]


def other_sets(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Comparisons on further test sets that have conditions besides clean, by the back end of the first."""
    main = comparisons[0]
    return [
        each
        for each in comparisons
        if each.backend == main.backend and each.test_set != main.test_set and len(each.conditions) > 1
    ]


def first(rows: Sequence[Row | None]) -> Row:
    """First row that is not None; every row describes the same condition."""
    return next(row for row in rows if row is not None)


def compare(systems: Sequence[list[Row]], despite: Collection[str] = ()) -> list[Comparison]:
    """Compare systems on every test set and back end of their rows, in the order in which these first appear.

    Parameters
    ----------
    systems : sequence of list of rows
        One list per system, none of them empty.
    despite : collection of str
        Fields of `COMPARED` in which the systems may differ all the same.

    Raises
    ------
    ValueError
        If two systems differ in a field of `COMPARED`, naming them, the condition and the field; if the rows of one
        system are not of one run; or if noise was added by different protocols, be it in different conditions.
    """
    for rows in systems:
        _check_one_run(rows)
    _check_one_protocol(systems if "protocol" in despite else [[row for rows in systems for row in rows]])
    names = [rows[0]["system"] for rows in systems]
    pairs = dict.fromkeys((row["test_set"], row["backend"]) for rows in systems for row in rows)
    comparisons = []
    for test_set, backend in pairs:
        tables = [
            {row["condition"]: row for row in rows if (row["test_set"], row["backend"]) == (test_set, backend)}
            for rows in systems
        ]
        conditions = [[table.get(name) for table in tables] for name in dict.fromkeys(key for t in tables for key in t)]
        for rows in conditions:
            _check_comparable(rows, despite)
        conditions.sort(key=lambda rows: (draw_of(first(rows)), *condition_order(first(rows))))
        further = [rows for rows in conditions if draw_of(first(rows)) > 1]
        firsts = conditions[: len(conditions) - len(further)]
        comparisons.append(
            Comparison(test_set=test_set, backend=backend, systems=names, conditions=firsts, draws=further)
        )
    return comparisons


def _check_one_run(rows: Sequence[Row]) -> None:
    for field in OF_ONE_SYSTEM:
        values = list(dict.fromkeys(str(stamped(row, field)) for row in rows))
        if len(values) > 1:
            raise ValueError(
                f"rows of {rows[0]['system']} cannot share a table: {field} is {values[0]} and {values[1]}; run stage 7 again"
            )


def _check_one_protocol(groups: Sequence[Sequence[Row]]) -> None:
    """Raise ValueError, naming two rows, if the noise of a group of rows was added by different protocols: means would mix them."""
    for rows in groups:
        found: dict[str, Row] = {}
        for row in rows:
            if kind_of(row) == row["noise"]:
                found.setdefault(stamped(row, "protocol"), row)
        if len(found) > 1:
            one, other, *_ = found.values()
            names = list(dict.fromkeys((one["system"], other["system"])))
            first, second = (f"on {row['test_set']} {row['condition']} ({row['backend']})" for row in (one, other))
            raise ValueError(
                f"{' and '.join(names) if len(names) > 1 else f'rows of {names[0]}'} cannot share a table: {first} protocol is "
                f"{stamped(one, 'protocol')} and {stamped(other, 'protocol')} {second}{'; run stage 7 again' * (len(names) == 1)}"
            )


def _compared(row: Row, field: str) -> object:
    """Value of a field; of the normalisation without the cohort's id, a hash of the system's own embeddings."""
    return re.sub(r", cohort \w+$", "", row[field]) if field == "normalisation" else stamped(row, field)


def _check_comparable(rows: Sequence[Row | None], despite: Collection[str]) -> None:
    reference = first(rows)
    for row in rows:
        for field in COMPARED:
            if row is not None and _compared(row, field) != _compared(reference, field) and field not in despite:
                raise ValueError(
                    f"{reference['system']} and {row['system']} cannot share a table: on {row['test_set']} {row['condition']} "
                    f"({row['backend']}) {field} is {stamped(reference, field)} and {stamped(row, field)}"
                )
