"""Means over conditions: mean15 and mean16 as papers print them, and a mean of each kind of condition."""

from collections.abc import Sequence

from sv.base.layout import FAR, snr_text
from sv.results.conditions import WHOLE, condition_label, condition_order, first_draws, is_clean, kind_of
from sv.results.rows import Row

MUSAN = ("noise", "music", "babble")  # kinds of noise of mean15, in the papers' order
SNRS = (0.0, 5.0, 10.0, 15.0, 20.0)  # dB; a kind of noise is whole with these
MEAN15, MEAN16 = "mean15", "mean16"
OF_MEAN15 = frozenset(f"mean of {kind}" for kind in MUSAN)
NOISY = "noisy"


def means(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Means that some conditions allow, in the order of tables: name, and the rows that it is over.

    `mean15` is over MUSAN's noise, music and babble at 0, 5, 10, 15 and 20 dB, `mean16` over these and clean speech; neither
    is there without all of them. Each kind of condition has a mean of its own, which says what it is over where that is not
    the papers' five SNRs; one condition alone has none. Several kinds of noise far away have one over all of them, too.

    Parameters
    ----------
    rows : sequence of Row
        Of one system, test set and back end, in any order; of further draws none counts, see `sv.results.draws`.
    """
    rows = first_draws(rows)
    kinds: dict[str, list[Row]] = {}
    for row in sorted(rows, key=condition_order):
        kinds.setdefault(kind_of(row), []).append(row)
    found = {_mean_name(kind, own): own for kind, own in kinds.items() if len(own) > 1}
    names = [_mean_name(kind, own) for kind, own in kinds.items() if kind in MUSAN and len(own) > 1]
    others = {name: own for name, own in found.items() if name not in names}
    distant = [kind for kind in kinds if is_far(kind)]
    if len(distant) > 1:
        own = [row for kind in distant for row in kinds[kind]]
        others[_mean_name(FAR, own)] = own
    papers = mean15(rows)
    clean = [row for row in rows if is_clean(row)]
    whole = {MEAN15: papers} if papers else {}
    whole |= {MEAN16: clean + papers} if papers and clean else {}
    return {name: found[name] for name in names} | whole | others


def is_far(kind: str) -> bool:
    """True if a kind of condition, or a mean's name without `mean of`, is of some noise and far away."""
    return kind.startswith(f"{FAR} ")


def mean15(rows: Sequence[Row]) -> list[Row]:
    """Rows of the fifteen conditions of `mean15`; empty unless all are there."""
    own = [row for row in first_draws(rows) if kind_of(row) in MUSAN and row["snr_db"] in SNRS]
    return own if len({row["condition"] for row in own}) == len(MUSAN) * len(SNRS) else []


def averaged(rows: Sequence[Row]) -> tuple[str, list[Row]]:
    """One mean for all noise: `mean15` and its rows where they are all there, else `noisy` and all rows but clean ones."""
    papers = mean15(rows)
    return (MEAN15, papers) if papers else (NOISY, [row for row in first_draws(rows) if not is_clean(row)])


def averaged_text(rows: Sequence[Row]) -> str:
    """Name of `averaged` for a sentence: `mean15`, `the mean of 4 noisy conditions`, or `of 9 conditions` if not all have noise."""
    name, own = averaged(rows)
    noisy = "noisy " if all(row["snr_db"] is not None for row in own) else ""
    return MEAN15 if name == MEAN15 else f"the mean of {len(own)} {noisy}condition{'s' * (len(own) != 1)}"


def _mean_name(kind: str, rows: Sequence[Row]) -> str:
    """Name of a kind's mean: `mean of babble`, `mean of babble at 0, 2.5 dB`, `mean of codec`, `mean of codec-gsm, codec-opus`."""
    snrs = sorted({row["snr_db"] for row in rows if row["snr_db"] is not None})
    if snrs == list(SNRS):
        return f"mean of {kind}"
    if snrs:
        return f"mean of {kind} at {', '.join(map(snr_text, snrs))} dB"
    names = [condition_label(row) for row in rows]
    return f"mean of {kind if names == WHOLE.get(kind) else ', '.join(names)}"
