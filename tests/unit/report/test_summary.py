"""The verdict in a sentence, from made-up differences, and the table of back ends."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sv.report.summary import glance_section, verdict_sentence
from sv.results.comparison import Comparison, compare
from sv.results.folder import load_results
from sv.results.verdicts import Replicates


def row(system: str, eer: float, noise: str | None = None, snr_db: float | None = None) -> dict:
    condition = f"{noise}-snr{snr_db:g}" if noise else "clean"
    return {"system": system, "test_set": "t", "condition": condition, "noise": noise, "snr_db": snr_db, "eer": eer}


class Item:
    """As much of a score list as a verdict reads."""

    def __init__(self, row: dict) -> None:
        self.row, self.system = row, row["system"]


def sentence(eers: dict[str, tuple[float, float, float]], noise: float = 0.1, num_speakers: int = 40) -> str:
    """Verdict on systems by their EERs on clean speech, in babble at 5 dB, in music at 0 dB; replicates deviate by `noise`."""
    kinds = [(None, None), ("babble", 5.0), ("music", 0.0)]
    conditions = [[row(name, own[i], *kind) for name, own in eers.items()] for i, kind in enumerate(kinds)]
    comparison = Comparison(test_set="t", backend="cosine", systems=list(eers), conditions=conditions)
    rng = np.random.default_rng(0)
    drawn = Replicates(
        lists=[[Item(found) for found in rows] for rows in conditions],
        eers=[[np.append(eer, eer + noise * rng.normal(size=200)) for eer in own] for own in eers.values()],
        num_speakers=num_speakers,
    )
    return verdict_sentence(comparison, drawn if len(eers) > 1 else None)


def test_one_system_is_compared_with_nothing() -> None:
    assert sentence({"a": (1.0, 4.0, 6.0)}) == (
        "a: EER 5.00 % in the mean of 2 noisy conditions; on clean speech 1.00 %; music at 0 dB is its worst: 6.00 %; "
        "one system alone is compared with nothing."
    )


def test_the_better_of_two_is_named_wherever_it_stands() -> None:
    said = (
        "b errs least: EER 5.00 % in the mean of 2 noisy conditions, 3.00 points less than a; the paired test after Holm's "
        "correction supports it (p\u00a0<\u00a00.001); on clean speech 1.00 %; babble at 5 dB is its worst: 7.00 %."
    )
    assert sentence({"a": (1.0, 8.0, 8.0), "b": (1.0, 7.0, 3.0)}) == said
    assert sentence({"b": (1.0, 7.0, 3.0), "a": (1.0, 8.0, 8.0)}) == said


def test_a_difference_that_is_not_shown_is_not_claimed() -> None:
    said = sentence({"a": (1.0, 5.0, 5.0), "b": (1.0, 5.2, 5.2)}, noise=3.0)
    start = (
        "a has the least EER, 5.00 % in the mean of 2 noisy conditions, 0.20 points less than b, but the paired test "
    )
    assert said.startswith(f"{start}after Holm's correction shows no difference from b (p\u00a0=\u00a00.")
    assert "errs least" not in said and "supports" not in said


def test_three_systems_of_which_one_is_as_good() -> None:
    said = sentence({"a": (1.0, 5.0, 5.0), "b": (1.0, 5.2, 5.2), "c": (1.0, 40.0, 40.0)}, noise=3.0)
    assert (
        ", 0.20 points less than b, the next, but paired tests after Holm's correction show no difference from b"
        in said
    )
    assert said.count("it errs less than c") == 1
    clear = sentence({"a": (1.0, 5.0, 5.0), "b": (1.0, 9.0, 9.0), "c": (1.0, 40.0, 40.0)})
    assert (
        "4.00 points less than b, the next; paired tests after Holm's correction support it against both others"
        in clear
    )


def test_equal_systems_are_not_told_apart() -> None:
    said = sentence({"a": (1.0, 5.0, 5.0), "b": (1.0, 5.0, 5.0)}, noise=0.0)
    assert "shows no difference from b (p\u00a0=\u00a01.000)" in said


def test_clean_speech_alone_has_no_worst_condition() -> None:
    comparison = Comparison(test_set="t", backend="cosine", systems=["a"], conditions=[[row("a", 2.0)]])
    assert (
        verdict_sentence(comparison, None)
        == "a: EER 2.00 % on clean speech; one system alone is compared with nothing."
    )
    apart = replace(comparison, systems=["a", "b"], conditions=[[row("a", 2.0), None]])
    assert verdict_sentence(apart, None) == "The systems share no condition: nothing says which of them errs least."


@pytest.fixture
def folders(tmp_path, write_folders) -> list[Path]:
    return write_folders(tmp_path, {"ours": 3.0, "baseline": 1.5})


def glance(folders: list[Path], papers: dict[str, str]):
    return glance_section(compare([load_results(folder).rows for folder in folders]), papers)


def test_each_system_has_a_line_by_the_common_back_end_and_by_its_papers(folders) -> None:
    table, notes = glance(folders, {"ours": "neg_mean_l2", "baseline": "cosine"}).blocks
    assert [line[0] for line in table.rows] == [
        "ours\ncosine",
        "ours\nneg_mean_l2, as its paper",
        "baseline\ncosine, as its paper",
    ]
    rows = {row["condition"]: row for row in load_results(folders[0]).rows if row["backend"] == "neg_mean_l2"}
    clean, worst = rows.pop("clean"), max(rows.values(), key=lambda row: row["eer"])
    interval = f"[{clean['eer_low']:.1f}, {clean['eer_high']:.1f}]"
    mean = [f"{sum(values) / 4:.{digits}f}" for values, digits in (
        ([row["eer"] for row in rows.values()], 2), ([row["min_dcf"]["0.01"] for row in rows.values()], 3)
    )]  # fmt: skip
    assert table.rows[1][1:] == [
        f"{clean['eer']:.2f}\n{interval}\n{clean['min_dcf']['0.01']:.3f}", f"{mean[0]}\n\n{mean[1]}",
        f"{worst['eer']:.2f}\n{worst['noise']}\n{worst['snr_db']:g} dB",
    ]  # fmt: skip
    assert notes.text == "Noisy: mean over all conditions but clean."


def test_what_was_not_scored_or_is_not_known_is_said(folders) -> None:
    table, notes = glance(folders, {"ours": "plda"}).blocks
    assert [line[0] for line in table.rows] == ["ours\ncosine", "baseline\ncosine"]
    assert "The paper of ours scores by plda, which was not done here." in notes.text
    assert notes.text.endswith("No paper's back end is on record for baseline.")


def test_without_noise_there_are_no_columns_on_it(folders) -> None:
    rows = [row for row in load_results(folders[0]).rows if row["noise"] is None]
    (folders[0] / "results.json").write_text(json.dumps(rows))
    (table,) = glance(folders[:1], {"ours": "cosine"}).blocks
    assert len(table.header) == 2 and [len(line) for line in table.rows] == [2]
