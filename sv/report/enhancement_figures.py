"""Figures of embedding enhancement: its training, and distances within pairs of utterances."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from sv.report.blocks import Figure, Table
from sv.report.drawing import BLUE, GREEN, NUM_BINS, ORANGE, RED, Spot, new_axes, thinned, to_svg
from sv.report.figures import bin_spots, bin_table, share_by_bin
from sv.results.tables import ABSENT

KINDS = {"same session": BLUE, "different session": GREEN, "different speaker": ORANGE}  # and their colours
Means = Mapping[str, Sequence[tuple[int, float]]]  # (epoch, value) by curve
CURVES = {"loss": BLUE, "valid_loss": RED, "valid_eer": ORANGE}


def enhancement_curves(journal: Sequence[dict], title: str) -> Figure | None:
    """Loss in training and on held-out speakers, and on a second axis their EER, over epochs; None without a journal.

    The training loss is averaged over each epoch.
    """
    means = {key: _by_epoch(journal, key) for key in CURVES}
    if not means["loss"] or not means["valid_eer"]:
        return None
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
        axis.legend(handles=lines, loc="lower center", bbox_to_anchor=(0.5, 1.1), ncols=2, columnspacing=1)
        name = f"Loss and held-out EER over epochs, {title}"
        return Figure(name, to_svg(axis, name, _spots(axis, means, names)), _values(means, names))


def _spots(axis: Axes, means: Means, names: Mapping[str, str]) -> list[Spot]:
    """Points of the losses; those of the EER, which are on the other axis, are told with the losses of their epoch."""
    eers = dict(means["valid_eer"])
    return [
        Spot(
            f"epoch {epoch}: {names[key]} {value:.4g}"
            + (f", {names['valid_eer']} {eers[epoch]:.2f} %" if epoch in eers else ""),
            epoch,
            value,
        )
        for key in ("loss", "valid_loss")
        for epoch, value in thinned(means[key])
    ]


def _values(means: Means, names: Mapping[str, str]) -> Table:
    tables = [dict(values) for values in means.values()]
    epochs = thinned(sorted(set().union(*tables)))
    rows = [
        [f"{epoch}", *(f"{table[epoch]:.4g}" if epoch in table else ABSENT for table in tables)] for epoch in epochs
    ]
    return Table(["epoch", *(names[key] for key in means)], rows)


def _by_epoch(journal: Sequence[dict], key: str) -> list[tuple[int, float]]:
    values: dict[int, list[float]] = {}
    for record in journal:
        if key in record:
            values.setdefault(record["epoch"] + 1, []).append(record[key])
    return [(epoch, float(np.mean(own))) for epoch, own in sorted(values.items())]


def distance_histogram(distances: Mapping[str, np.ndarray], title: str) -> Figure:
    """Densities of distances, one colour of `KINDS` per kind of pair."""
    everything = np.concatenate(list(distances.values()))
    edges = np.linspace(min(0.0, everything.min()), everything.max(), NUM_BINS + 1)
    with new_axes(4.2, 2.6) as axis:
        for kind, values in distances.items():
            shown = {"density": True, "alpha": 0.45, "color": KINDS[kind], "label": kind, "histtype": "stepfilled"}
            axis.hist(values, bins=edges, **shown)
        axis.set(title=title, xlabel="1 - cosine", yticks=[], xlim=(edges[0], edges[-1]))
        axis.legend()
        name = f"Distances of pairs, {title}"
        shares = {kind: share_by_bin(values, edges) for kind, values in distances.items()}
        return Figure(name, to_svg(axis, name, bin_spots(axis, edges, shares)), bin_table("1 - cosine", edges, shares))
