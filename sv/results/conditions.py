"""Wording and order of the conditions of a test set, as tables, figures and the report show them."""

from sv.base.layout import CLEAN, snr_text
from sv.results.rows import Row

NOISE_ORDER = ("noise", "music", "babble", "nonspeech")


def is_clean(row: Row) -> bool:
    """True if no noise was added to the test set."""
    return row["noise"] is None


def kind_of(row: Row) -> str:
    """Kind of condition that a row belongs to, as tables group them: `clean`, or the noise as the user names it."""
    return CLEAN if is_clean(row) else row["noise"]


def snr_label(snr_db: float) -> str:
    """Signal-to-noise ratio with its unit: `5 dB`."""
    return f"{snr_text(snr_db)} dB"


def condition_label(row: Row) -> str:
    """`clean`, or noise and SNR: `babble 5 dB`; the noise is named as the user names it."""
    return CLEAN if is_clean(row) else f"{row['noise']} {snr_label(row['snr_db'])}"


def condition_order(row: Row) -> tuple[int, str, float]:
    """Sort key: clean, the papers' noise types in their order, other noise types by name; SNRs from high to low."""
    if is_clean(row):
        return -1, "", 0.0
    known = NOISE_ORDER.index(row["noise"]) if row["noise"] in NOISE_ORDER else len(NOISE_ORDER)
    return known, row["noise"], -row["snr_db"]
