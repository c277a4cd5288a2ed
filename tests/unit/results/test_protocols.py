"""Rows of noise that was added by different protocols: kept apart, and said below tables."""

import math
import re

import pytest

from sv.base.config import load_json, write_json
from sv.bin import results as results_command
from sv.report.page import page
from sv.results.comparison import compare
from sv.results.folder import ScoreLists, load_results
from sv.results.ledger import check, update
from sv.results.protocols import NOTES
from sv.results.rows import Stamp, computed_text, merge_rows
from sv.results.tables import footnotes, rule_notes

EXU_NET = {"protocol": "exu_net"}


def test_systems_of_two_protocols_share_no_table_whatever_their_conditions(row) -> None:
    ours = [row("ours"), row("ours", "noise", 0.0), row("ours", "babble", 0.0)]
    theirs = [row("theirs"), row("theirs", "noise", 0.0, **EXU_NET), row("theirs", "babble", 0.0, **EXU_NET)]
    message = (
        "ours and theirs cannot share a table: on test noise-snr0 (cosine) protocol is exact and exu_net on test {}"
    )
    with pytest.raises(ValueError, match=re.escape(message.format("noise-snr0 (cosine)"))):
        compare([ours, theirs])
    with pytest.raises(ValueError, match=re.escape(message.format("babble-snr0 (cosine)"))):
        compare([ours[:2], theirs[::2]])  # no noisy condition in common
    assert compare([ours, theirs], ["protocol"])
    assert compare([ours[:1], theirs])  # clean speech has no protocol
    assert compare([theirs, [one | {"system": "others"} for one in theirs]])


def test_one_system_has_one_protocol_whatever_is_allowed(row) -> None:
    rows = [row("a"), row("a", "noise", 0.0), row("a", "noise", 5.0, **EXU_NET)]
    message = (
        r"rows of a cannot share a table: on test noise-snr0 \(cosine\) protocol is exact and exu_net on test noise-snr5 "
        r"\(cosine\); run stage 7 again"
    )
    for despite in ((), ("protocol",)):
        with pytest.raises(ValueError, match=message):
            compare([rows], despite)


def test_kinds_that_are_more_than_added_noise_stand_beside_either(row) -> None:
    rows = [row("a", "noise", 0.0, **EXU_NET), row("a") | {"condition": "clip"}]
    rows.append(row("a", "noise", 0.0) | {"condition": "far-noise-snr0"})
    assert compare([rows])


def test_rows_of_the_other_protocol_do_not_survive_and_clean_ones_do(row) -> None:
    old = [row("a"), row("a", "noise", 0.0), row("a", "noise", 5.0), row("b", "noise", 5.0)]
    old.append(row("a", "noise", 5.0) | {"condition": "far-noise-snr5"})
    new = [row("a", "noise", 0.0, **EXU_NET)]
    assert merge_rows(old[:3] + old[4:], new) == [old[0], old[4], *new]
    assert merge_rows(merge_rows(old[:3], new), [old[1]]) == [old[0], old[1]]
    assert merge_rows(old[:3], [row("a")]) == [old[1], old[2], row("a")]


def test_the_note_s_numbers_are_those_of_the_formula() -> None:
    def better_db(noise_power: float, speech_power: float = 1e-3, floor: float = 1e-4) -> float:
        gain = (speech_power + floor) / (noise_power + floor)
        return 10 * math.log10(speech_power / (gain * noise_power))

    found = [better_db(10 ** (-level / 10)) for level in (50, 60, 20)]
    assert [f"{abs(db):.1f} dB" for db in found] == ["10.0 dB", "19.6 dB", "0.4 dB"] and found[2] < 0
    told = (
        "with noise at -50 dBFS is {:.1f} dB better than its label, with noise at -60 dBFS {:.1f} dB, with noise at -20 dBFS "
        "{:.1f} dB worse"
    )
    assert told.format(*map(abs, found)) in NOTES["exu_net"]


def test_it_is_said_once_for_all_systems_that_it_holds_for(row) -> None:
    rows = {name: [row(name), row(name, "noise", 0.0, **EXU_NET)] for name in ("a", "b")}
    note = f"a, b: noise added by protocol exu_net: {NOTES['exu_net']}"
    assert rule_notes(list(rows.values())) == [note]
    assert footnotes(list(rows.values()))[2:] == [note]
    assert rule_notes([[row("a"), row("a", "noise", 0.0)]]) == []
    (said,) = rule_notes([[row("a", "noise", 0.0, protocol="other")]])
    assert said == "a: noise added by protocol other: not known here"


def test_an_encoder_is_said_alone() -> None:
    encoded = {"encoder": "libsndfile 1.2.2, compression 0.99"}
    assert computed_text([encoded]) == ", encoded by libsndfile 1.2.2, compression 0.99"
    assert computed_text([encoded | {"runtime": "onnxruntime"}]).startswith(", float32 by onnxruntime, encoded by ")
    telephone = {"encoder": "mu-law 8 kHz"}
    said = computed_text(
        [{"condition": "clean"}, encoded, encoded, telephone]
    )  # the clean row comes first, and has none
    assert said == ", encoded by libsndfile 1.2.2, compression 0.99; mu-law 8 kHz"
    assert computed_text([EXU_NET]) == ""  # has a note of its own


@pytest.mark.parametrize("name", ["protocol", "encoder"])
def test_a_stamp_says_both(name) -> None:
    given = dict.fromkeys(("crop_scheme", "normalisation", "calibration", "commit"), "none") | {
        "num_dropped": 0,
        "seed": 0,
    }
    with pytest.raises(ValueError, match=f"{name} must be said"):
        Stamp(trials_sha256="a" * 64, checkpoint_sha256="c" * 64, **given, **{name: ""})


@pytest.fixture
def folders(tmp_path, write_folders):
    return write_folders(tmp_path, {"ours": 3.0, "baseline": 1.5})


def by_exu_net(folder) -> None:
    rows = load_json(folder / "results.json")
    write_json(folder / "results.json", [one | EXU_NET if one["noise"] else one for one in rows])


def test_the_report_has_the_sentence(folders, tmp_path) -> None:
    for folder in folders:
        by_exu_net(folder)
    text = page([load_results(folder) for folder in folders], ScoreLists(tmp_path / "data"))
    assert text.count("ours, baseline: noise added by protocol exu_net: ") == 1 and "the label is not the SNR" in text


def test_differences_are_of_one_protocol_and_say_it(folders, tmp_path) -> None:
    path, data = tmp_path / "RESULTS.md", str(tmp_path / "data")
    words = ["record", "many", str(path), *map(str, folders), "--against", "baseline:cosine", "--data", data]
    results_command.main(words)
    exact = path.read_text()
    assert "protocol" not in exact
    by_exu_net(folders[0])
    message = "ours and baseline cannot share a table: .* protocol is exu_net and exact"
    with pytest.raises(SystemExit, match=message):
        results_command.main(words)
    assert path.read_text() == exact
    by_exu_net(folders[1])
    results_command.main(words)
    assert "\n- ours, baseline: noise added by protocol exu_net: " in path.read_text()
    check(path)
    update(path)
