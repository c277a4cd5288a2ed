from pathlib import Path

import numpy as np
import pytest

from sv.results.folder import holm, load_results, read_score_list, shown_conditions, verdicts
from sv.results.tables import compare


@pytest.fixture
def folders(tmp_path, write_folders) -> list[Path]:
    return write_folders(tmp_path, {"ours": 3.0, "baseline": 1.5})


def found_verdicts(folders: list[Path]):
    results = [load_results(folder) for folder in folders]
    return verdicts(results, compare([result.rows for result in results])[0], folders[0].parents[1] / "data")


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


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == pytest.approx([1, 1])
    assert holm([]) == []


def test_the_hardest_shared_condition_is_shown_beside_clean(folders) -> None:
    comparison = compare([load_results(folder).rows for folder in folders])[0]
    clean, hardest = shown_conditions(comparison)
    means = {rows[0]["condition"]: sum(row["eer"] for row in rows) for rows in comparison.shared}
    assert clean[0]["condition"] == "clean"
    assert means[hardest[0]["condition"]] == max(means.values())


def test_speakers_are_numbered_as_they_are_named(folders) -> None:
    result = load_results(folders[0])
    item = read_score_list(result, result.rows[0], folders[0].parents[1] / "data")
    (left, right), names = item.speakers()
    assert [names[i] for i in left] == [utt[:3] for utt in item.trials.enrolment]
    assert [names[i] for i in right] == [utt[:3] for utt in item.trials.test]


def test_trials_that_changed_since_scoring_are_refused(folders) -> None:
    trials = folders[0].parents[1] / "data" / "test" / "trials"
    trials.write_text(trials.read_text().replace("nontarget", "target", 1))
    with pytest.raises(ValueError, match=r"data/test/trials: changed since ours was scored on it; run stage 7 again"):
        found_verdicts(folders)


def test_results_without_rows_are_refused(folders) -> None:
    (folders[0] / "results.json").write_text("[]")
    with pytest.raises(ValueError, match=r"results.json holds no rows; run stage 7 again"):
        load_results(folders[0])
