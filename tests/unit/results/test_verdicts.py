from pathlib import Path

import numpy as np
import pytest

from sv.results.comparison import compare
from sv.results.folder import ScoreLists, load_results
from sv.results.verdicts import Replicates, Verdict, holm, outcome, replicates, verdicts, winner


@pytest.fixture
def folders(tmp_path, write_folders) -> list[Path]:
    return write_folders(tmp_path, {"ours": 3.0, "baseline": 1.5})


def drawn_of(folders: list[Path]) -> Replicates | None:
    results = [load_results(folder) for folder in folders]
    shared = compare([result.rows for result in results])[0].shared
    return replicates(ScoreLists(folders[0].parents[1] / "data").by_condition(results, shared))


def found_verdicts(folders: list[Path]) -> list[Verdict]:
    return verdicts(drawn_of(folders))


def test_a_better_system_is_found_better(folders) -> None:
    (found,) = found_verdicts(folders)
    rows = [[row for row in load_results(folder).rows if row["backend"] == "cosine"] for folder in folders]
    differences = {a["condition"]: a["eer"] - b["eer"] for a, b in zip(*rows)}
    for row, test in found.conditions:
        assert test.difference == pytest.approx(differences[row["condition"]])
        assert test.low < test.difference < test.high
    noisy = [difference for condition, difference in differences.items() if condition != "clean"]
    assert found.overall.difference == pytest.approx(np.mean(noisy))
    assert found.overall.p_value < 0.05 and found.overall.high < 0
    assert found.other == "baseline"


def test_a_system_against_itself_and_alone(folders) -> None:
    (found,) = found_verdicts([folders[0], folders[0]])
    assert (found.overall.difference, found.overall.p_value) == (0, 1)
    assert found_verdicts(folders[:1]) == []


def test_the_winner_has_the_least_mean_and_its_p_values_are_corrected_for_the_others(tmp_path, write_folders) -> None:
    folders = write_folders(tmp_path, {"poor": 1.0, "good": 3.0, "fair": 2.0})
    drawn = drawn_of(folders)
    best, found = winner(drawn)
    assert (best, [verdict.other for verdict in found]) == (1, ["poor", "fair"])
    alone = [verdict.overall for verdict in verdicts(drawn, 1)]
    assert [test.difference for test in alone] == [verdict.overall.difference for verdict in found]
    assert all(test.difference < 0 for test in alone)
    assert [verdict.overall.p_value for verdict in found] == holm([test.p_value for test in alone])
    (back, _) = verdicts(drawn, 0)  # the first against the second is the second against the first
    assert back.overall.difference == -alone[0].difference


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == pytest.approx([1, 1])
    assert holm([]) == []


def test_an_outcome_is_the_first_systems() -> None:
    assert [outcome(-1.0, 0.049), outcome(1.0, 0.049), outcome(-1.0, 0.05)] == ["better", "worse", "same"]
