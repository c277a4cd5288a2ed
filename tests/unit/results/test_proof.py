"""Recorded results that can be verified, and every way to tamper with them."""

import hashlib
import json
import lzma
import shutil
from pathlib import Path

import numpy as np
import pytest

from sv.base.layout import ModelFolder
from sv.bin import results as command
from sv.kaldi import read_scores, read_utt2spk, write_table
from sv.kaldi.trials import trials_of_bytes
from sv.results import proof
from sv.results.breakdown import break_down_folder
from sv.results.ledger import record, update, verify
from sv.results.rows import bootstrap_curves, read_results
from sv.results.score_files import (
    FILTERS,
    MAX_BYTES,
    Mapped,
    StoredScores,
    TrialList,
    mapped,
    pack,
    read_score_file,
    rounded,
)
from sv.results.verdicts import holm
from sv.scoring.bootstrap import interval, paired_test

SYSTEMS = {"ours": 3.0, "baseline": 2.0}


@pytest.fixture
def recorded(tmp_path, write_folders) -> Path:
    folders = write_folders(tmp_path, SYSTEMS)
    path = tmp_path / "board" / "RESULTS.md"
    record(path, "mini", folders, "Synthetic.", data=tmp_path / "data")
    update(path)
    return path


@pytest.fixture
def fails():
    def run(main, *arguments) -> str:
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        return exit_.value.code

    return run


def json_of(markdown: Path) -> Path:
    return markdown.parent / "results" / "mini.json"


def score_file(markdown: Path, system: str = "ours") -> Path:
    return markdown.parent / "results" / "mini" / f"{system}.scores.xz"


def rewrite(markdown: Path, change) -> None:
    """Change the recorded JSON, and make the tables anew, as somebody would who knows the tools."""
    entry = json.loads(json_of(markdown).read_text())
    change(entry)
    json_of(markdown).write_text(json.dumps(entry))
    update(markdown)


def replace_file(markdown: Path, data: bytes, system: str = "ours") -> None:
    """Put another score file, and its hash, in the place of the recorded one."""
    score_file(markdown, system).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    rewrite(markdown, lambda entry: entry["scores"].update({f"{system}.scores.xz": digest}))


def refused(markdown: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        verify(markdown)
    assert "\n" not in str(error.value)


def test_an_honest_record_verifies_also_as_a_folder(recorded) -> None:
    line = f"{json_of(recorded)}: 30 rows of 2 systems verified by their scores"
    assert verify(recorded) == verify(recorded.parent) == [line]
    recorded.parent.rename(recorded.parent.with_name("sent"))
    assert "30 rows of 2 systems verified" in verify(recorded.parent.with_name("sent"))[0]


def test_recorded_rows_are_those_of_the_scores_nearly(recorded, tmp_path) -> None:
    entry = json.loads(json_of(recorded).read_text())
    rows = [part["shared"] | row for part in entry["systems"][0] for row in part["rows"]]
    old = read_results(tmp_path / "exp" / "ours" / "results.json")
    assert [proof.key_of(row) for row in rows] == [proof.key_of(row) for row in old]
    for new, row in zip(rows, old):
        assert new["eer"] == pytest.approx(row["eer"], abs=0.05) and new.keys() == row.keys()
        assert new["cllr"] == pytest.approx(row["cllr"], abs=1e-3)
    own = read_score_file(Path("x"), score_file(recorded).read_bytes())
    listed, scores = own.of(("test-babble-snr0", "cosine-calibrated"))
    exact = read_scores(tmp_path / "exp/ours/scores/test-babble-snr0/cosine-calibrated.scores")
    assert np.allclose(scores, [exact[pair] for pair in zip(listed.trials.enrolment, listed.trials.test)], atol=1e-3)
    assert isinstance(own.lists["test-babble-snr0", "cosine-calibrated"][1], Mapped)
    assert len(own.trials) == 1  # once for all conditions
    assert listed.text == (tmp_path / "data/test/trials").read_bytes()


def test_every_two_systems_are_tested_by_the_stored_scores(tmp_path, write_folders) -> None:
    names = {"ours": 3.0, "baseline": 2.0, "third": 2.0}
    folders = write_folders(tmp_path, names)
    path = tmp_path / "board" / "RESULTS.md"
    record(path, "mini", folders, "", data=tmp_path / "data", backends=["cosine"])
    update(path)
    found = json.loads(json_of(path).read_text())["pairs"]
    assert [test["pair"] for test in found["tests"]] == [
        ["ours:cosine", "baseline:cosine"],
        ["ours:cosine", "third:cosine"],
        ["baseline:cosine", "third:cosine"],
    ]
    assert found["backends"] == ["cosine"] and found["parts"][0] == "clean" and len(found["parts"]) > 1
    stored = {name: read_score_file(Path("x"), score_file(path, name).read_bytes()) for name in names}
    rows = {
        row["condition"]: row for row in read_results(tmp_path / "exp/ours/results.json") if row["backend"] == "cosine"
    }
    curves = {}
    for name, own in stored.items():
        listed, scores = own.of(("test", "cosine"))
        curves[name] = bootstrap_curves("test", listed.trials, scores, listed.speakers, rows["clean"]["seed"])
    eers = {name: 100 * own.eers() for name, own in curves.items()}
    num_speakers = curves["ours"].num_speakers
    named = ([name.split(":")[0] for name in test["pair"]] for test in found["tests"])
    tests = [paired_test(eers[a], eers[b], num_speakers) for a, b in named]
    for record_, test, p_value in zip(found["tests"], tests, holm([test.p_value for test in tests])):
        assert record_["clean"] == pytest.approx([test.difference, test.low, test.high, p_value], abs=1e-6)
    rates = {rate["of"]: rate for rate in found["rates"]}
    for name, own in curves.items():
        low, high = interval(own.eers(), num_speakers, rows["clean"]["num_target"])
        assert rates[f"{name}:cosine"]["clean"] == pytest.approx([eers[name][0], 100 * low, 100 * high], abs=1e-6)
    text = path.read_text()
    assert "| ours minus baseline | " in text and "Holm's correction for the number of pairs" in text
    assert "| ours | cosine | {:.2f} [{:.1f}, {:.1f}] | ".format(*rates["ours:cosine"]["clean"]) in text
    assert verify(path)


@pytest.mark.parametrize("place", range(4))
def test_a_changed_difference_fails(recorded, place) -> None:
    def change(entry: dict) -> None:
        entry["pairs"]["tests"][0]["clean"][place] += 0.01

    rewrite(recorded, change)
    refused(recorded, r"mini\.json: pairs tests \[0\] clean \[\d\] is .*, its scores give")


@pytest.mark.parametrize("place", range(3))
def test_a_changed_interval_of_a_mean_fails(recorded, place) -> None:
    def change(entry: dict) -> None:
        rates = entry["pairs"]["rates"][0]
        rates[list(rates)[-1]][place] += 0.01

    rewrite(recorded, change)
    refused(recorded, r"mini\.json: pairs rates \[0\] .* \[\d\] is .*, its scores give")


def test_all_are_tested_against_what_is_named(tmp_path, write_folders) -> None:
    folders = write_folders(tmp_path, {"ours": 3.0, "baseline": 2.0})
    path = tmp_path / "board" / "RESULTS.md"
    given = {"data": tmp_path / "data", "backends": ["cosine", "neg_mean_l2"]}
    record(path, "mini", folders, "", references=["baseline:cosine"], **given)
    update(path)
    found = json.loads(json_of(path).read_text())["pairs"]
    others = ["ours:cosine", "ours:neg_mean_l2", "baseline:neg_mean_l2"]
    assert [test["pair"] for test in found["tests"]] == [[name, "baseline:cosine"] for name in others]
    assert [rate["of"] for rate in found["rates"]] == [*others[:2], "baseline:cosine", others[2]]
    ours, again, own = found["tests"]
    assert ours["clean"] == again["clean"] and ours["clean"][0] < 0  # the same scores in both back ends
    assert own["clean"] == [0, 0, 0, 1]
    assert "| ours:neg_mean_l2 minus baseline:cosine | " in path.read_text()
    assert "correction for the number of rows with one reference" in path.read_text()
    assert verify(path)


def test_chosen_pairs_alone_are_tested_and_scores_of_the_same_weights_compared(tmp_path, write_folders) -> None:
    folders = write_folders(tmp_path, {"ours": 3.0, "narrow": 2.9, "baseline": 2.0})
    weights = read_results(folders[0] / "results.json")[0]["checkpoint_sha256"]
    rows = read_results(folders[1] / "results.json")
    (folders[1] / "results.json").write_text(json.dumps([row | {"checkpoint_sha256": weights} for row in rows]))
    path = tmp_path / "board" / "RESULTS.md"
    given = {"data": tmp_path / "data", "backends": ["cosine"]}
    record(path, "mini", folders, "", chosen=["narrow:ours", "ours+narrow:baseline"], **given)
    update(path)
    found = json.loads(json_of(path).read_text())["pairs"]
    assert [test["pair"] for test in found["tests"]] == [
        ["narrow:cosine", "ours:cosine"],
        ["ours+narrow:cosine", "baseline:cosine"],
    ]
    assert [rate["of"] for rate in found["rates"]] == ["ours:cosine", "narrow:cosine", "baseline:cosine"]
    rates = {rate["of"]: rate["clean"][0] for rate in found["rates"]}
    first, mean = found["tests"]
    assert first["clean"][0] == pytest.approx(rates["narrow:cosine"] - rates["ours:cosine"])
    both = (rates["narrow:cosine"] + rates["ours:cosine"]) / 2
    assert mean["clean"][0] == pytest.approx(both - rates["baseline:cosine"])
    stored = [read_score_file(Path("x"), score_file(path, name).read_bytes()) for name in ("ours", "narrow")]
    changes = [np.abs(stored[0].of(key)[1] - stored[1].of(key)[1]).max() for key in stored[0].lists]
    assert first["moved"] == pytest.approx(max(changes)) and "moved" not in mean
    text = path.read_text()
    assert f" {first['moved']:.3f} |" in text and "score change" in text and "| ours+narrow minus baseline |" in text
    assert verify(path)
    record(path, "mini", folders[2:], "", keep=True, data=given["data"], backends=["cosine"])
    assert json.loads(json_of(path).read_text())["pairs"] == found  # the pairs asked for stay
    rewrite(path, lambda entry: entry["pairs"]["tests"][0].update(moved=0.5))
    refused(path, r"mini\.json: pairs tests \[0\] moved is 0\.5, its scores give")


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ("ours", "--pair ours: give FIRST:SECOND"),
        ("ours:other", "--pair ours:other: no system 'other', there are ours, baseline"),
        ("ours+x:baseline", r"--pair ours\+x:baseline: no system 'x'"),
        (":ours", "--pair :ours: no system ''"),
    ],
)
def test_a_chosen_pair_that_is_none_is_named(tmp_path, write_folders, chosen, said) -> None:
    folders = write_folders(tmp_path, {"ours": 3.0, "baseline": 2.0})
    path, given = tmp_path / "board" / "RESULTS.md", {"data": tmp_path / "data", "backends": ["cosine"]}
    with pytest.raises(ValueError, match=said):
        record(path, "mini", folders, "", chosen=[chosen], **given)
    assert not path.exists()


def test_a_mean_over_other_conditions_is_not_shared(tmp_path, write_folders, add_set) -> None:
    folders = write_folders(tmp_path, {"ours": 3.0, "baseline": 2.0})
    for noise, given in (("noise", folders), ("babble", folders), ("music", folders[:1])):
        add_set(given, f"test-far-{noise}-snr0", num_speakers=8)
    path, given = tmp_path / "RESULTS.md", {"data": tmp_path / "data", "backends": ["cosine"]}
    record(path, "mini", folders, "", **given)
    parts = json.loads(json_of(path).read_text())["pairs"]["parts"]
    assert "clean" in parts and not [part for part in parts if "far" in part]
    record(path, "same", [folders[1]], "", **given)
    alone = json.loads(json_of(path).with_name("same.json").read_text())["pairs"]["parts"]
    assert "mean of far at 0 dB" in alone


def test_a_reference_that_is_not_there_is_named(tmp_path, write_folders) -> None:
    folders = write_folders(tmp_path, {"ours": 3.0, "baseline": 2.0})
    path, given = tmp_path / "board" / "RESULTS.md", {"data": tmp_path / "data", "backends": ["cosine"]}
    with pytest.raises(ValueError, match="--against other:cosine: not among ours:cosine, baseline:cosine"):
        record(path, "mini", folders, "", references=["other:cosine"], **given)
    assert not path.exists()


@pytest.mark.parametrize("older", [{"tests": []}, [], "none", {"backends": ["cosine"], "rates": {"ours": [1.0]}}])
def test_pairs_of_another_form_are_one_line(recorded, older) -> None:
    entry = json.loads(json_of(recorded).read_text())
    json_of(recorded).write_text(json.dumps(entry | {"pairs": older or ["x"]}))
    for act in (update, verify):
        with pytest.raises(ValueError, match=r"results/mini.json: not what sv results record writes"):
            act(recorded)


def test_trials_of_a_further_set_do_not_keep_systems_from_being_tested(tmp_path, write_folders, add_set) -> None:
    folders = write_folders(tmp_path, SYSTEMS)
    add_set(folders, "held_out", num_speakers=5)
    path = tmp_path / "board" / "RESULTS.md"
    record(path, "mini", folders, "", data=tmp_path / "data")
    update(path)
    assert json.loads(json_of(path).read_text())["pairs"]["tests"][0]["pair"] == ["ours:cosine", "baseline:cosine"]
    assert verify(path)


def test_a_table_of_many_systems_has_their_draws_beside_their_intervals_and_error_rates_alone_below(
    tmp_path, write_folders, add_draws
) -> None:
    folders = write_folders(tmp_path, dict.fromkeys(("a", "b", "c", "d"), 2.0))
    add_draws(folders)
    path = tmp_path / "RESULTS.md"
    record(path, "mini", folders, "", data=tmp_path / "data", backends=["cosine"])
    update(path)
    heads = [line for line in path.read_text().splitlines() if line.startswith(("| condition", "| over draws"))]
    columns = " | ".join(f"{name} EER %" for name in "abcd")
    assert heads == [f"| condition | {columns} |", f"| over draws | {columns} |"]
    summary = next(line for line in path.read_text().splitlines() if line.startswith("| a |"))
    assert summary.count("[") > 1 and "] \u00b1 " in summary and "] | " in summary


@pytest.fixture
def broken_down(tmp_path, write_folders) -> Path:
    """A record with a breakdown by room."""
    folders = write_folders(tmp_path, SYSTEMS)
    utts = sorted(read_utt2spk(tmp_path / "data/test/utt2spk"))
    write_table(tmp_path / "data/test/utt2room", {utt: f"room{i % 2}" for i, utt in enumerate(utts)})
    for folder in folders:
        rows = break_down_folder(folder, tmp_path / "data/test", ["room"], 0)
        ModelFolder(folder).breakdown.write_text(json.dumps(rows))
    path = tmp_path / "board" / "RESULTS.md"
    record(path, "mini", folders, "", data=tmp_path / "data", backends=["cosine"])
    update(path)
    return path


def test_a_breakdown_is_that_of_the_stored_scores(broken_down, tmp_path) -> None:
    found = json.loads(json_of(broken_down).read_text())["breakdowns"][0]
    own = json.loads(ModelFolder(tmp_path / "exp/ours").breakdown.read_text())
    before = [row for row in own if row["backend"] == "cosine"]
    assert [(row["by"], row["value"]) for row in found] == [("room", "room0"), ("room", "room1")]
    for row, old in zip(found, before, strict=True):
        assert row["num_target"] == old["num_target"] and row["eer"] == pytest.approx(old["eer"], abs=0.5)
    assert "test by room" in broken_down.read_text()
    assert verify(broken_down)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda entry: entry["breakdowns"][0][0].update(eer=0.5),
            r"breakdowns \[0\] \[0\] eer is 0.5, its scores give",
        ),
        (lambda entry: entry["groups"]["test"]["room"].sort(), r"breakdowns \[0\] \[0\] .* its scores give"),
        (lambda entry: entry.pop("groups"), r"breakdowns \[0\] is .* its scores give \[\]"),
    ],
    ids=["figure", "rooms", "no rooms"],
)
def test_a_changed_breakdown_fails(broken_down, change, message) -> None:
    rewrite(broken_down, change)
    refused(broken_down, message)


FIELDS = {
    "eer": (("eer",), 1.0), "eer_low": (("eer_low",), 0.5), "eer_high": (("eer_high",), 99.0),
    "min_dcf 0.05": (("min_dcf", "0.05"), 0.01), "act_dcf 0.01": (("act_dcf", "0.01"), 0.01), "cllr": (("cllr",), 0.01),
    "min_cllr": (("min_cllr",), 0.01), "num_speakers": (("num_speakers",), 99), "trials_sha256": (("trials_sha256",), "b" * 64),
}  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_a_changed_figure_is_found_with_its_place(recorded, field) -> None:
    (*names, last), value = FIELDS[field]

    def change(entry) -> None:
        for part in (part for system in entry["systems"] for part in system):
            for row in part["rows"]:
                if field in ("trials_sha256", "num_speakers"):  # of all, or the tables could not be made
                    row[last] = value
                elif (part["shared"] | row)["backend"] == "cosine-calibrated" and (part["shared"] | row)[
                    "system"
                ] == "ours":
                    at = row
                    for name in names:
                        at = at[name]
                    at[last] = value

    rewrite(recorded, change)
    backend = "cosine" if field in ("trials_sha256", "num_speakers") else "cosine-calibrated"
    refused(recorded, f"mini.json: ours, test clean, {backend}: {field} is {value}, its scores give ")


def test_a_changed_digit_far_behind_the_point_is_found(recorded) -> None:
    def change(entry) -> None:
        entry["systems"][1][0]["rows"][0]["eer"] += 1e-6

    rewrite(recorded, change)
    refused(recorded, "baseline, test clean, cosine: eer is")


def test_a_changed_table_is_found_with_its_line(recorded) -> None:
    lines = recorded.read_text().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if line.startswith("| clean"))
    lines[at] = lines[at].replace("0.", "9.", 1)
    recorded.write_text("".join(lines))
    refused(recorded, rf"RESULTS.md:{at + 1}: differs from the results")


def test_a_removed_row_is_found(recorded) -> None:
    rewrite(recorded, lambda entry: [system[0]["rows"].pop(4) for system in entry["systems"]])
    refused(recorded, "mini.json: ours, test-noise-snr0, neg_mean_l2: no row of scores that are stored")


def test_a_row_that_was_added_or_is_there_twice_is_found(recorded) -> None:
    rewrite(recorded, lambda entry: entry["systems"][0][0]["rows"].append(dict(entry["systems"][0][0]["rows"][0])))
    refused(recorded, "ours, test, cosine: more than one row")
    rewrite(recorded, lambda entry: entry["systems"][0][0]["rows"][-1].update(backend="plda"))
    refused(recorded, "ours, test clean, plda: no scores are stored of this row")


def test_a_changed_score_file_is_found(recorded) -> None:
    data = score_file(recorded).read_bytes()
    stored = read_score_file(Path("x"), data)
    stored.lists["test", "cosine"][1].values[0] ^= 1
    score_file(recorded).write_bytes(pack(stored))
    refused(recorded, "ours.scores.xz: sha256 is .*, expected .* of .*mini.json")
    stored.lists["test", "cosine"][1].values[:] = 0
    stored.lists["test", "cosine"][1].values[0] = 1
    replace_file(recorded, pack(stored))
    refused(recorded, "ours, test clean, cosine: eer is .*, its scores give")


def test_another_systems_score_file_is_found(recorded) -> None:
    other = score_file(recorded, "baseline").read_bytes()
    replace_file(recorded, other)
    refused(recorded, "ours.scores.xz: holds the scores of 'baseline', expected those of 'ours'")
    stored = read_score_file(Path("x"), other)
    replace_file(recorded, pack(StoredScores("ours", stored.trials, stored.lists)))
    refused(recorded, "mini.json: ours, test clean, cosine: eer is .*, its scores give")


def test_a_flipped_label_and_a_changed_speaker_are_found(recorded) -> None:
    stored = read_score_file(Path("x"), score_file(recorded).read_bytes())
    own = stored.trials[0]
    text = own.text.replace(b" nontarget\n", b" target\n", 1)
    flipped = TrialList(text, trials_of_bytes(text, "x"), own.speakers)
    replace_file(recorded, pack(StoredScores("ours", [flipped], stored.lists)))
    refused(recorded, "ours, test clean, cosine: num_target is .*, its scores give")
    merged = TrialList(own.text, own.trials, own.speakers | {"s00-00": "s01"})
    replace_file(recorded, pack(StoredScores("ours", [merged], stored.lists)))
    refused(recorded, "ours, test clean, cosine: eer_low is .*, its scores give")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-20], "cut short"),
        (lambda data: b"garbage" * 9, "Input format not supported"),
        (lambda data: b"", "cut short"),
        (lambda data: data + b"x", "something follows its end"),
        (lambda data: data + bytes(MAX_BYTES), f"more than {MAX_BYTES} bytes"),
        (lambda data: lzma.compress(bytes(1 << 25), filters=FILTERS), "more than 16777216 bytes when unpacked"),
        (lambda data: lzma.compress(b"[" * 100_000), "score file that sv results record writes"),
        (lambda data: lzma.compress(b"{}\n"), "score file that sv results record writes"),
        (lambda data: lzma.compress(lzma.decompress(data) + b"\0"), "bytes of scores instead of"),
        (lambda data: lzma.compress(lzma.decompress(data).replace(b'"cosine", 0, 16', b'"cosine", 0, 99', 1)), "bits"),
        (lambda data: lzma.compress(lzma.decompress(data).replace(b'"cosine", 0, 16', b'"cosine", 7, 16', 1)), "index"),
    ],
    ids=["truncated", "garbage", "empty", "tail", "large", "bomb", "deep", "header", "body", "bits", "number"],
)  # fmt: skip
def test_a_damaged_score_file_is_one_line(recorded, damage, message) -> None:
    replace_file(recorded, damage(score_file(recorded).read_bytes()))
    refused(recorded, f"ours.scores.xz: .*{message}")


def test_a_missing_score_file_and_names_of_none_are_found(recorded) -> None:
    data = score_file(recorded).read_bytes()
    score_file(recorded).unlink()
    refused(recorded, "ours.scores.xz: not there")
    score_file(recorded).write_bytes(data)
    rewrite(recorded, lambda entry: entry["scores"].update({"third.scores.xz": "0" * 64}))
    refused(recorded, "names a score file third.scores.xz of no system")
    rewrite(recorded, lambda entry: entry.update(scores={"baseline.scores.xz": entry["scores"]["baseline.scores.xz"]}))
    refused(recorded, "ours: names no score file ours.scores.xz; record it again")


def test_results_say_themselves_that_nothing_was_stored(recorded, tmp_path, fails, capsys) -> None:
    record(recorded, "mini", [tmp_path / "exp" / "ours"], "")
    update(recorded)
    assert not list(score_file(recorded).parent.glob("*"))
    command.main(["verify", str(recorded)])
    assert capsys.readouterr().out == f"{json_of(recorded)}: recorded without scores, not verified\n"
    rewrite(recorded, lambda entry: entry.pop("scores"))
    said = fails(command.main, "verify", recorded)
    assert said == f"error: {json_of(recorded)}: does not say which scores are stored; record it again"


def test_backends_are_chosen(recorded, tmp_path, fails) -> None:
    ours, data = tmp_path / "exp" / "ours", str(tmp_path / "data")
    rest = ["mini", str(recorded), str(ours), "--data", data, "--backends"]
    command.main(["record", *rest, "neg_mean_l2,cosine-calibrated"])
    assert verify(recorded)[0].endswith("10 rows of 1 systems verified by their scores")
    assert not score_file(recorded, "baseline").exists()
    before = score_file(recorded).read_bytes(), json_of(recorded).read_bytes()
    said = fails(command.main, "record", *rest, "cosine,plda")
    assert said == (
        f"error: --backends: {ours}/results.json has no rows of plda; there are cosine, neg_mean_l2, cosine-calibrated"
    )
    assert (score_file(recorded).read_bytes(), json_of(recorded).read_bytes()) == before


def test_figures_that_are_not_of_the_scores_are_not_recorded(recorded, tmp_path) -> None:
    place = tmp_path / "exp" / "ours" / "results.json"
    rows = json.loads(place.read_text())
    rows[0]["eer"] += 0.06
    place.write_text(json.dumps(rows))
    before = recorded.read_bytes(), json_of(recorded).read_bytes(), score_file(recorded).read_bytes()
    with pytest.raises(ValueError, match=r"ours: EER of test cosine is .* over 0.05 points apart"):
        record(recorded, "mini", [tmp_path / "exp" / "ours"], "", data=tmp_path / "data")
    assert (recorded.read_bytes(), json_of(recorded).read_bytes(), score_file(recorded).read_bytes()) == before


def test_what_does_not_fit_is_refused_in_a_line_that_names_the_remedy(recorded, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(proof, "MAX_BYTES", 500)
    with pytest.raises(ValueError, match=r"ours: the scores of 15 lists take \d+ bytes, of 500 .* by --backends"):
        record(recorded, "mini", [tmp_path / "exp" / "ours"], "", data=tmp_path / "data")
    monkeypatch.undo()
    assert len(verify(recorded)) == 1


def test_thirty_conditions_of_1700_trials_and_five_back_ends_fit(monkeypatch) -> None:
    """Three back ends, two of them calibrated too, and ids as VoxCeleb has them; the worst case, nothing is correlated."""
    rng = np.random.default_rng(0)
    utts = [f"id{10270 + i // 17}-{''.join(rng.choice(list('abcdefgh'), 11))}-{i:05d}" for i in range(680)]
    pairs = rng.integers(680, size=(1700, 2))
    kinds = ["target" if i % 4 == 0 else "nontarget" for i in range(1700)]
    text = "".join(f"{utts[a]} {utts[b]} {kind}\n" for (a, b), kind in zip(pairs, kinds)).encode()
    listed = TrialList(text, trials_of_bytes(text, "x"), {utt: utt[:7] for utt in utts})
    sizes, change = {}, 0.0
    for bits in (9, 10):
        stored = StoredScores("sys", [listed], {})
        for number in range(30):
            for name in ("cosine", "cosine-asnorm", "plda"):
                scores = rng.normal(size=1700) + 2 * listed.trials.is_target
                key = (f"test-{number}", name)
                stored.lists[key] = 0, rounded(scores, bits)
                change = max(change, np.abs(stored.of(key)[1] - scores).max())
                if name != "plda":
                    stored.lists[key[0], f"{name}-calibrated"] = 0, mapped(3 * scores - 1, key, scores)
        data = pack(stored)
        sizes[bits] = len(data)
        again = read_score_file(Path("x"), data)
        for key in stored.lists:
            assert np.array_equal(stored.of(key)[1], again.of(key)[1])
    assert sizes[9] < sizes[10] <= MAX_BYTES
    assert change <= 10 / 510 / 2  # half a step of a range of less than ten


def test_rounding_keeps_to_its_grid_and_a_map_is_found() -> None:
    scores = np.array([0.0, 1.0, 6.0, 3.2])
    assert rounded(scores, 3).scores.tolist() == [0.0, 1.0, 6.0, 3.0]
    assert rounded(np.full(3, 2.5), 8).scores.tolist() == [2.5] * 3
    found = mapped(2 * scores - 1, ("test", "cosine"), scores)
    assert (found.weight, found.offset) == (2.0, -1.0)
    assert mapped(scores**2, ("test", "cosine"), scores) is None


def test_rows_of_further_draws_are_stored_and_verified_like_all_others(recorded, tmp_path, add_draws) -> None:
    folders = [tmp_path / "exp" / name for name in SYSTEMS]
    add_draws(folders)
    record(recorded, "mini", folders, "Synthetic.", data=tmp_path / "data")
    update(recorded)
    assert verify(recorded) == [f"{json_of(recorded)}: 42 rows of 2 systems verified by their scores"]
    assert "| over draws | ours EER % |" in recorded.read_text()

    def of_draw(entry) -> dict:
        return next(row for row in entry["systems"][0][0]["rows"] if row["condition"] == "noise-snr0-draw3")

    good = json_of(recorded).read_text()
    rewrite(recorded, lambda entry: of_draw(entry).update(eer=1.0))
    refused(recorded, "ours, test noise-snr0-draw3, cosine: eer is 1.0, its scores give ")
    for name in ("noise-snr0-draw4", "noise-snr0-draw1"):
        json_of(recorded).write_text(good)
        rewrite(recorded, lambda entry, name=name: of_draw(entry).update(condition=name))
        refused(recorded, "ours, test-noise-snr0-draw3, cosine: no row of scores that are stored")
    json_of(recorded).write_text(good)
    rewrite(recorded, lambda entry: entry["systems"][0][0]["rows"].remove(of_draw(entry)))
    refused(recorded, "ours, test-noise-snr0-draw3, cosine: no row of scores that are stored")


def test_a_system_added_to_a_record_gives_what_recording_all_at_once_gives(tmp_path, write_folders) -> None:
    *first, third = write_folders(tmp_path, {"ours": 3.0, "baseline": 2.0, "third": 2.0})
    given = {"data": tmp_path / "data", "backends": ["cosine"]}
    whole, path = tmp_path / "whole" / "RESULTS.md", tmp_path / "board" / "RESULTS.md"
    record(whole, "mini", [*first, third], "Synthetic.", ["num_dropped"], ["ours:cosine"], **given)
    record(path, "mini", first, "Synthetic.", ["num_dropped"], ["ours:cosine"], **given)
    for folder in first:
        shutil.rmtree(folder)  # others' weights and scores need not be there
    record(path, "mini", [third], "", keep=True, **given)
    for each in (whole, path):
        update(each)
    assert json_of(path).read_bytes() == json_of(whole).read_bytes() and path.read_bytes() == whole.read_bytes()
    assert verify(path)


def test_a_system_recorded_again_takes_its_place(recorded, tmp_path, write_folders) -> None:
    before = json.loads(json_of(recorded).read_text())
    folders = write_folders(tmp_path / "again", {"ours": 1.0, "baseline": 2.0})
    record(recorded, "mini", folders[:1], "Other note.", data=tmp_path / "again" / "data", keep=True)
    update(recorded)
    after = json.loads(json_of(recorded).read_text())
    assert after["note"] == "Other note." and after["systems"][0] != before["systems"][0]
    assert after["systems"][1] == before["systems"][1] and verify(recorded)


def test_what_a_record_keeps_is_verified_first(recorded, tmp_path, fails) -> None:
    folder, data = tmp_path / "exp" / "ours", tmp_path / "data"
    kept = json.loads(json_of(recorded).read_text())
    kept["systems"][1][0]["rows"][0]["eer"] += 1
    json_of(recorded).write_text(json.dumps(kept))
    words = ("record", "mini", recorded, folder, "--data", data, "--keep")
    assert "its scores give" in fails(command.main, *words)
    assert json.loads(json_of(recorded).read_text()) == kept
    score_file(recorded, "baseline").unlink()
    assert "baseline.scores.xz: not there" in fails(command.main, *words)


def test_keeping_needs_stored_scores(recorded, tmp_path, fails, capsys) -> None:
    folder, data = tmp_path / "exp" / "ours", tmp_path / "data"
    assert "no recorded results with stored scores" in fails(
        command.main, "record", "other", recorded, folder, "--data", data, "--keep"
    )
    record(recorded, "bare", [folder], "")
    assert "bare.json: no recorded results" in fails(
        command.main, "record", "bare", recorded, folder, "--data", data, "--keep"
    )
    fails(command.main, "record", "mini", recorded, folder, "--keep")
    assert "--keep needs --data" in capsys.readouterr().err
