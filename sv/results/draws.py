"""Spread of error rates over draws of what is random in a condition: noise, rooms, levels; no speaker is drawn anew."""

from collections.abc import Sequence
from statistics import fmean, stdev

from sv.results.comparison import Comparison
from sv.results.conditions import as_first, condition_label, draw_of, first_draws
from sv.results.means import means
from sv.results.rows import Row
from sv.results.tables import ABSENT, EER, INTERVAL, interval_cell

LEGEND = (
    "over draws: mean \u00b1 standard deviation of the EER (number of draws), when noise, rooms and levels are drawn anew and the "
    "speakers and trials stay; of clean speech and codecs that of a system which draws noise itself when it embeds, by another "
    "seed; beside it the first draw's interval over speakers; the spread of a mean is that of the mean within each draw; all "
    "else is of the first draw"
)
Spread = list[float]  # EER in percent per draw


def spreads(rows: Sequence[Row]) -> dict[str, Spread]:
    """EERs of a system over draws, by condition as tables call it and then by mean; none of what has one draw.

    A condition without anything random, such as clean speech to a system that draws nothing, is the same in every draw's
    means. A draw that lacks a random condition has none of its means.

    Parameters
    ----------
    rows : sequence of Row
        Of one system, test set and back end, all draws, in the order of tables.
    """
    tables: dict[int, dict[str, Row]] = {}
    for row in rows:
        tables.setdefault(draw_of(row), {})[as_first(row)["condition"]] = as_first(row)
    firsts = tables.pop(1, {})
    random = {name for table in tables.values() for name in table}
    every = [firsts, *(tables[number] for number in sorted(tables))]
    found = {
        condition_label(row): [table[name]["eer"] for table in every if name in table]
        for name, row in firsts.items()
        if name in random
    }
    for mean, own in means(list(firsts.values())).items():
        names = [row["condition"] for row in own]
        if random.intersection(names):
            whole = [table for table in every if all(name in table for name in names if name in random)]
            found[mean] = [fmean(({**firsts, **table})[name]["eer"] for name in names) for table in whole]
    return {name: values for name, values in found.items() if len(values) > 1}


def spread_text(values: Spread | None) -> str:
    """Mean, standard deviation and number of draws: `5.96 \u00b1 0.11 (3)`; `ABSENT` where there are not two draws."""
    if not values:
        return ABSENT
    return f"{fmean(values):.2f} \u00b1 {stdev(values):.2f} ({len(values)})"


def draws_table(comparison: Comparison, brief: bool = False) -> list[list[str]]:
    """Header, and cells per condition and mean; empty with one draw.

    The cells are the name, then per system the spread of its EER and, unless `brief`, the interval over speakers, which means
    have not.
    """
    columns = [[row for row in column if row] for column in zip(*comparison.conditions, *comparison.draws)]
    found = [spreads(rows) for rows in columns]
    intervals = [{condition_label(row): interval_cell(row) for row in first_draws(rows)} for rows in columns]
    names = list(dict.fromkeys(name for own in found for name in own))
    if not names:
        return []
    shown = 1 if brief else 2
    columns_of = (EER.header, f"[{INTERVAL}]")[:shown]
    header = ["over draws", *(f"{system} {name}" for system in comparison.systems for name in columns_of)]
    pairs = list(zip(found, intervals))
    body = [
        [name, *(cell for own, of in pairs for cell in (spread_text(own.get(name)), of.get(name, ""))[:shown])]
        for name in names
    ]
    return [header, *body]


def draws_note(comparison: Comparison) -> list[str]:
    """Line for below the tables that explains the spreads; none with one draw."""
    return [LEGEND] if draws_table(comparison) else []
