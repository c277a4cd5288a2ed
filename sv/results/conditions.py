"""Wording and order of the conditions of a test set, as tables, figures and the report show them."""

from collections.abc import Iterable, Sequence

from sv.base.layout import CLEAN, CODECS, REVERB_SIZES, Condition, snr_text
from sv.results.rows import Row

NOISE_ORDER = ("noise", "music", "babble", "nonspeech")
WHOLE = {"reverb": [f"reverb-{size}" for size in REVERB_SIZES], "codec": [f"codec-{codec}" for codec in CODECS]}
PLAIN_ORDER = (*WHOLE, "clip")  # of kinds without an SNR; `WHOLE` has all conditions of those that have several


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


def condition_order(row: Row) -> tuple[int, str, float, int, str]:
    """Sort key: clean, the papers' noise types in their order, other noise by name, then rooms, codecs and clipping.

    SNRs go from high to low, rooms from small to large.
    """
    if is_clean(row):
        return -1, "", 0.0, 0, ""
    kind, name = kind_of(row), row.get("condition", CLEAN)
    if row["snr_db"] is not None:
        return _place(kind, NOISE_ORDER), kind, -row["snr_db"], 0, name
    later = len(NOISE_ORDER) + 1
    return later + _place(kind, PLAIN_ORDER), kind, 0.0, _place(as_first(row)["condition"], WHOLE.get(kind, ())), name


def _place(name: str, order: Sequence[str]) -> int:
    """Place in an order; behind it if the name is not in it."""
    return order.index(name) if name in order else len(order)
