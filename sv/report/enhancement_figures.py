"""Figures of embedding enhancement: its training, and distances within pairs of utterances."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from sv.report.drawing import BLUE, GREEN, NUM_BINS, ORANGE, RED, new_axes, to_svg

KINDS = {"same session": BLUE, "different session": GREEN, "different speaker": ORANGE}  # and their colours
CURVES = {"loss": BLUE, "valid_loss": RED, "valid_eer": ORANGE}


def enhancement_curves(journal: Sequence[dict], title: str) -> Markup:
    """Loss in training and on held-out speakers, and on a second axis their EER, over epochs; empty without a journal.

    The training loss is averaged over each epoch.
    """
    means = {key: _by_epoch(journal, key) for key in CURVES}
    if not means["loss"] or not means["valid_eer"]:
        return Markup()
    with new_axes(4.2, 3.1) as axis:
        other = axis.twinx()
        names = {"loss": "loss, training", "valid_loss": "loss, held out", "valid_eer": "EER, held out"}
        lines = [
            (other if key == "valid_eer" else axis).plot(*zip(*values), color=CURVES[key], lw=1.3, label=names[key])[0]
            for key, values in means.items()
            if values
        ]
        axis.set(title=title, xlabel="epoch", ylabel="loss")
        other.set(ylabel="EER (%)", ylim=(0, None))
        other.grid(visible=False)
        axis.legend(handles=lines, loc="lower center", bbox_to_anchor=(0.5, 1.08), ncols=3, fontsize=8, columnspacing=1)
        return to_svg(axis, f"Loss and held-out EER over epochs, {title}")


def _by_epoch(journal: Sequence[dict], key: str) -> list[tuple[int, float]]:
    values: dict[int, list[float]] = {}
    for record in journal:
        if key in record:
            values.setdefault(record["epoch"] + 1, []).append(record[key])
    return [(epoch, float(np.mean(own))) for epoch, own in sorted(values.items())]


def distance_histogram(distances: Mapping[str, np.ndarray], title: str) -> Markup:
    """Densities of distances, one colour of `KINDS` per kind of pair."""
    everything = np.concatenate(list(distances.values()))
    edges = np.linspace(min(0.0, everything.min()), everything.max(), NUM_BINS + 1)
    with new_axes(4.2, 2.6) as axis:
        for kind, values in distances.items():
            shown = {"density": True, "alpha": 0.45, "color": KINDS[kind], "label": kind, "histtype": "stepfilled"}
            axis.hist(values, bins=edges, **shown)
        axis.set(title=title, xlabel="1 - cosine", yticks=[], xlim=(edges[0], edges[-1]))
        axis.legend()
        return to_svg(axis, f"Distances of pairs, {title}")
