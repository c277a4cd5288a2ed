"""Results by properties of the test side."""

import json

import numpy as np
import pytest

from sv.bin import breakdown as command
from sv.kaldi.trials import Trials, write_scores, write_trials
from sv.results.breakdown import break_down, tables_of
from sv.results.tables import aligned

TRIALS = Trials(
    ["a-0", "b-0", "a-0", "b-0", "a-0", "b-0"],
    ["a-1", "a-1", "b-1", "b-1", "a-2", "a-2"],
    np.array([True, False, False, True, True, False]),
)
SCORES = np.array([0.9, 0.1, 0.8, 0.2, 0.7, 0.3])  # a-1 and a-2 are told apart, b-1 never
ROOMS = {"a-1": "rm1", "b-1": "rm2", "a-2": "rm1"}
MICS = {"a-1": "mc01", "b-1": "mc01", "a-2": "mc02"}
UTT2SPK = {utt: utt[0] for utt in ("a-0", "b-0", "a-1", "b-1", "a-2")}


def rows_of(**changes) -> list[dict]:
    settings = {"tables": {"room": ROOMS, "mic": MICS}, "trials": TRIALS, "scores": SCORES} | changes
    return break_down("x", "set", "cosine", utt2spk=UTT2SPK, seed=0, **settings)


def test_each_value_has_its_own_trials_and_error_rate() -> None:
    found = {(row["by"], row["value"]): (row["num_target"], row["num_nontarget"], row["eer"]) for row in rows_of()}
    assert found == {
        ("room", "rm1"): (2, 2, 0.0),
        ("room", "rm2"): (1, 1, 100.0),
        ("mic", "mc01"): (2, 2, 50.0),
        ("mic", "mc02"): (1, 1, 0.0),
    }


def test_a_value_without_both_kinds_of_trials_has_counts_and_no_metrics() -> None:
    rows = rows_of(tables={"room": {"a-1": "rm1", "b-1": "rm1", "a-2": "rm3"}}, trials=Trials(
        TRIALS.enrolment[:5], TRIALS.test[:5], TRIALS.is_target[:5]), scores=SCORES[:5])  # fmt: skip
    assert [(row["value"], row["num_target"], row["num_nontarget"]) for row in rows] == [("rm1", 2, 2), ("rm3", 1, 0)]
    assert rows[1]["eer"] is None
    assert aligned(tables_of([rows])[0][2]).splitlines()[-1].split() == ["rm3", "1", "0", "-", "-", "-"]


def test_a_table_that_lacks_a_test_utterance_is_named() -> None:
    with pytest.raises(KeyError, match=r"utt2room lacks 1 test utterances, e.g. \['b-1'\]"):
        rows_of(tables={"room": {"a-1": "rm1", "a-2": "rm1"}})


def test_tables_put_systems_beside_each_other() -> None:
    rows = rows_of()
    other = [row | {"system": "y", "eer": 12.5} for row in rows if row["value"] != "rm2"]
    (test_set, by, table), _ = tables_of([rows, other])
    assert (test_set, by) == ("set", "room")
    assert [row[0] for row in table] == ["room", "rm1", "rm2"]
    assert table[0][3:] == ["x EER %", "x 95 %", "x minDCF .01", "y EER %", "y 95 %", "y minDCF .01"]
    assert (table[1][3], table[1][6], table[2][6]) == ("0.00", "12.50", "-")


@pytest.fixture
def folders(tmp_path):
    data, model = tmp_path / "data" / "set", tmp_path / "exp" / "x"
    data.mkdir(parents=True)
    write_trials(data / "trials", TRIALS)
    for name, table in (("utt2spk", UTT2SPK), ("utt2room", ROOMS)):
        (data / name).write_text("".join(f"{utt} {value}\n" for utt, value in sorted(table.items())))
    (model / "checkpoints").mkdir(parents=True)
    (model / "checkpoints" / "best.pt").write_bytes(b"weights")
    return data.parent, model


def test_command_writes_and_prints(folders, capsys) -> None:
    data, model = folders
    write_scores(model / "scores" / "set" / "cosine.scores", TRIALS, SCORES)
    command.main(["--by", "room", "--data", str(data), "--sets", "set", str(model)])
    rows = json.loads((model / "breakdown.json").read_text())
    assert [(row["value"], row["eer"]) for row in rows] == [("rm1", 0.0), ("rm2", 100.0)]
    assert "set by room" in capsys.readouterr().out


def test_command_says_what_is_missing(folders, capsys) -> None:
    data, model = folders
    with pytest.raises(SystemExit, match="no scores; run stage 7 first"):
        command.main(["--by", "room", "--data", str(data), "--sets", "set", str(model)])
    command.main(["--by", "angle", "--data", str(data), "--sets", "set", str(model)])
    assert "set: has no utt2angle; left out of the breakdown" in capsys.readouterr().out
