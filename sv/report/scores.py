"""Sections that are drawn from score lists: DET curves, histograms, calibration, speakers and trials that cause errors."""

from collections.abc import Sequence

from sv.report import figures
from sv.report.audio import Audio, Worst, worst_of
from sv.report.blocks import Bar, Block, Command, Grid, Panel, Section, Sounds, Table, Text, colour_key, figure_grid
from sv.results.folder import ScoreList
from sv.results.tables import ACT_DCF, CLLR, MIN_CLLR, MIN_DCF
from sv.scoring.errors import SpeakerErrors, eer_threshold, speaker_errors

NUM_SPEAKERS = 8  # listed as the worst
CALIBRATION_MEASURES = (MIN_DCF, ACT_DCF, MIN_CLLR, CLLR)
ByCondition = Sequence[Sequence[ScoreList]]  # per condition the list of every system


def by_system(shown: ByCondition) -> list[ScoreList]:
    """All lists, those of one system together."""
    return [item for own in zip(*shown) for item in own]


def _names(shown: ByCondition) -> list[str]:
    return [item.system for item in shown[0]]


def score_sections(shown: ByCondition) -> list[Section]:
    """DET curves and histograms; none without conditions."""
    return [det_section(shown), histogram_section(shown)] if shown else []


def error_sections(shown: ByCondition, audio: Audio) -> list[Section]:
    """Speakers and trials that cause errors; none without conditions."""
    return [speakers_section(shown), worst_section(shown, audio)] if shown else []


def det_section(shown: ByCondition) -> Section:
    """DET curves, one colour per system and one kind of line per condition."""
    legend = "; ".join(f"{figures.line_of(i)}: {own[0].condition}" for i, own in enumerate(shown))
    text = Text(f"{legend[0].upper()}{legend[1:]}.")
    return Section("Detection error trade-off", [colour_key(_names(shown)), figures.det_curves(by_system(shown)), text])


def histogram_section(shown: ByCondition) -> Section:
    """Score histograms, those of one system on one axis."""
    drawn = []
    for own in zip(*shown):
        limits = float(min(item.scores.min() for item in own)), float(max(item.scores.max() for item in own))
        drawn += [figures.score_histogram(item, limits) for item in own]
    return Section("Scores", figure_grid(drawn))


def calibration_section(shown: ByCondition) -> Section:
    """Cost over the prior, and the loss by calibration, of calibrated scores; empty if there are none."""
    if not shown:
        return Section("Calibration")
    rows = [item.row for own in shown for item in own]
    header = ["system", "condition", *(measure.header for measure in CALIBRATION_MEASURES)]
    cells = [
        [item.system, item.condition, *(measure.cell([item.row]) for measure in CALIBRATION_MEASURES)]
        for own in shown
        for item in own
    ]
    text = (
        f"Scores as log-likelihood ratios by {rows[0]['calibration']}. Solid: cost of the decisions they imply at each prior; "
        "dotted: the least that any threshold on these scores could reach; 1 is deciding without listening. Cllr in bits."
    )
    panels = figure_grid([figures.bayes_errors(own) for own in shown])
    return Section("Calibration", [colour_key(_names(shown)), *panels, Table(header, cells, 2), Text(text)])


def speakers_section(shown: ByCondition) -> Section:
    """Errors by speaker, in each condition."""
    scatters, tables = [], []
    for own in shown:
        found = [_errors_of(item) for item in own]
        told = [(item.system, *errors) for item, errors in zip(own, found)]
        scatters.append(figures.speaker_scatter(own[0].condition, told))
        tables += [_speaker_panel(item, *errors) for item, errors in zip(own, found)]
    legend = (
        "Trials at or above each system's EER threshold are accepted. A dot is a speaker. A false alarm counts for both of "
        "its speakers; share: of all errors, misses and false alarms counting alike in total."
    )
    return Section(
        "Which speakers cause the errors",
        [colour_key(_names(shown)), *figure_grid(scatters), Grid(tables), Text(legend)],
    )


def _errors_of(item: ScoreList) -> tuple[SpeakerErrors, list[str]]:
    speakers, names = item.speakers()
    return speaker_errors(item.scores, item.is_target, speakers, eer_threshold(item.scores, item.is_target)), names


def _speaker_panel(item: ScoreList, errors: SpeakerErrors, names: Sequence[str]) -> Panel:
    order = sorted(range(len(names)), key=lambda i: (-errors.share[i], names[i]))
    highest = max(errors.share.max(), 1e-9)
    rows = [
        [
            names[i],
            f"{errors.misses[i]}/{errors.targets[i]}",
            f"{errors.false_alarms[i]}/{errors.nontargets[i]}",
            f"{100 * errors.share[i]:.0f} %",
            Bar(5 * errors.share[i] / highest),
        ]
        for i in order[:NUM_SPEAKERS]
    ]
    half = next((k for k in range(1, len(order) + 1) if sum(errors.share[i] for i in order[:k]) >= 0.5), 0)
    said = f"{half} of {len(order)} speakers cause half of the errors." if half else "No errors."
    table = Table(["speaker", "misses", "false alarms", "share", ""], rows, num_words=0)
    return Panel(f"{item.system}, {item.condition}", [table, Text(said)])


def worst_section(shown: ByCondition, audio: Audio) -> Section:
    """Most confident errors, by the ids of their recordings, and some of them to be heard."""
    lists = by_system(shown)
    panels = [_worst_panel(worst, audio) for item in lists for worst in worst_of(item)]
    listen = Command(
        "To hear any as it was tested:",
        "python -m sv.bin.render_cut data/SET/cuts.jsonl.gz ID > heard.wav",
        f", SET being {' or '.join(dict.fromkeys(item.set_name for item in lists))}.",
    )
    return Section("The worst trials", [Text(audio.said), Grid(panels), listen])


def _worst_panel(worst: Worst, audio: Audio) -> Panel:
    item, rows = worst.item, []
    for i in worst.trials:
        sides = (item.trials.enrolment[i], item.trials.test[i])
        clips = [(utt, audio.addresses.get((item.set_name, utt), "")) for utt in sides]
        rows.append([Sounds(clips), f"{item.scores[i]:.3f}"])
    table: Block = Table(["enrolment and test", "score"], rows)
    return Panel(f"{item.system}, {item.condition}: {worst.kind}", [table])
