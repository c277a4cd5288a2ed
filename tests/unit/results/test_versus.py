"""Many systems against references: rates, paired differences, the recorded table."""

import json

import numpy as np
import pytest

from sv.bin import results as results_command
from sv.results.comparison import compare
from sv.results.folder import ScoreLists, load_results
from sv.results.ledger import check
from sv.results.verdicts import replicates, verdicts
from sv.results.versus import versus, versus_table


@pytest.fixture
def folders(tmp_path, write_folders):
    return write_folders(tmp_path, {"ours": 3.0, "baseline": 1.5})


def test_rates_and_differences_are_those_of_the_results_and_of_the_report(folders, tmp_path) -> None:
    loaded, lists = [load_results(folder) for folder in folders], ScoreLists(tmp_path / "data")
    ours, baseline = (r for r in versus(loaded, ["baseline:cosine"], lists) if r["backend"] == "cosine")
    rows = {row["condition"]: row for row in loaded[0].rows if row["backend"] == "cosine"}
    clean = rows.pop("clean")
    assert ours["clean"] == pytest.approx([clean["eer"], clean["eer_low"], clean["eer_high"]])
    assert ours["noisy"][0] == pytest.approx(np.mean([row["eer"] for row in rows.values()]))
    assert ours["noisy"][1] < ours["noisy"][0] < ours["noisy"][2]
    assert baseline["against"] == {}
    shared = compare([result.rows for result in loaded])[0].shared
    (report,) = verdicts(replicates(lists.by_condition(loaded, shared)))
    test = report.overall
    assert ours["against"]["baseline:cosine"]["noisy"][:3] == pytest.approx([test.difference, test.low, test.high])


def test_the_table_says_what_is_better_and_nothing_of_a_reference_against_itself() -> None:
    def against(noisy, p_value):
        return {"do:cosine": {"clean": [0.0, -1.0, 1.0, 1.0], "noisy": [noisy, noisy - 1, noisy + 1, p_value]}}

    common = {"backend": "cosine", "clean": [5.0, 4.0, 6.25], "noisy": [10.0, 9.0, 11.0]}
    records = [
        {"system": name, **common, "against": found}
        for name, found in (("do", {}), ("a", against(-2, 0.01)), ("b", against(2, 0.04)), ("c", against(-2, 0.06)))
    ]
    header, reference, *rows = versus_table(records)
    assert header[2:] == [
        "clean EER % [95 %]",
        "noisy EER % [95 %]",
        "clean: minus do, cosine",
        "noisy: minus do, cosine",
    ]
    assert reference == ["do", "cosine", "5.00 [4.0, 6.2]", "10.00 [9.0, 11.0]", "", ""]
    assert [row[-1] for row in rows] == ["-2.00 [-3.0, -1.0] better", "+2.00 [+1.0, +3.0] worse", "-2.00 [-3.0, -1.0]"]
    assert {row[-2] for row in rows} == {"+0.00 [-1.0, +1.0]"}


def test_it_is_recorded_with_the_clean_rows_alone_and_checked(folders, tmp_path) -> None:
    path, options = tmp_path / "RESULTS.md", ["--against", "baseline:cosine", "--data", str(tmp_path / "data")]
    results_command.main(["record", "many", str(path), *map(str, folders), "--note", "Said.", *options])
    text = path.read_text()
    assert "Said.\n\n| system | back end | clean EER % [95 %] |" in text
    entry = json.loads((tmp_path / "results/many.json").read_text())
    assert "; checkpoints: ours cccccccccccc, baseline cccccccccccc" in text
    assert {part["shared"]["condition"] for parts in entry["systems"] for part in parts} == {"clean"}
    check(path)
    path.write_text(text.replace("better", "worse"))
    with pytest.raises(ValueError, match="differs from the results"):
        check(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--against", "other:cosine", "--data", "data"], r"--against other:cosine: not among ours:cosine")],
)
def test_an_unknown_reference_is_named(options, message, folders, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message):
        results_command.main(["record", "many", "RESULTS.md", *map(str, folders), *options])
    with pytest.raises(SystemExit):
        results_command.main(["record", "many", "RESULTS.md", *map(str, folders), *options[:2]])


def test_systems_of_other_conditions_are_refused(folders, tmp_path) -> None:
    first, second = (load_results(folder) for folder in folders)
    second.rows[:] = [row for row in second.rows if row["condition"] != "clean"]
    with pytest.raises(ValueError, match="baseline was scored in other conditions than ours"):
        versus([first, second], ["ours:cosine"], ScoreLists(tmp_path / "data"))
