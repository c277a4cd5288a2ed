"""Wording and order of the conditions of a test set, as tables, figures and the report show them."""

from collections.abc import Iterable

from sv.base.layout import CLEAN, Condition, snr_text
from sv.results.rows import Row

NOISE_ORDER = ("noise", "music", "babble", "nonspeech")


def is_clean(row: Row) -> bool:
    """True if nothing was done to the test set."""
    return kind_of(row) == CLEAN


def kind_of(row: Row) -> str:
    """Kind of condition that a row belongs to, as tables group them, see `sv.base.layout.Condition`."""
    return Condition("", row.get("condition", CLEAN), row["noise"], None).kind


def draw_of(row: Row) -> int:
    """Number of the draw of what is random in a row's condition, from 1."""
    return Condition("", row.get("condition", CLEAN), row["noise"], None).draw


def first_draws(rows: Iterable[Row]) -> list[Row]:
    """Rows of the first draw of each condition: those of all tables but the one of spreads."""
    return [row for row in rows if draw_of(row) == 1]


def as_first(row: Row) -> Row:
    """The row under the name of its condition's first draw, as means over conditions take it."""
    return row | {"condition": Condition("", row["condition"], row["noise"], None).first_name}


def snr_label(snr_db: float) -> str:
    """Signal-to-noise ratio with its unit: `5 dB`."""
    return f"{snr_text(snr_db)} dB"


def condition_label(row: Row) -> str:
    """`clean`, `codec-opus`, or noise and SNR: `babble 5 dB`; the noise is named as the user names it."""
    return row.get("condition", CLEAN) if row["snr_db"] is None else f"{kind_of(row)} {snr_label(row['snr_db'])}"


def condition_order(row: Row) -> tuple[int, str, float, str]:
    """Sort key: clean, the papers' noise types in their order, other kinds by name; SNRs from high to low."""
    if is_clean(row):
        return -1, "", 0.0, ""
    kind = kind_of(row)
    known = NOISE_ORDER.index(kind) if kind in NOISE_ORDER else len(NOISE_ORDER) + (row["snr_db"] is None)
    return known, kind, -(row["snr_db"] or 0.0), row.get("condition", CLEAN)
