import json
from pathlib import Path

import pytest

from sv.results.ledger import check, generated, record, update, verify

ROOT = Path(__file__).parents[3]


def row(system: str, noise: str | None, eer: float) -> dict:
    return {
        "system": system, "test_set": "test", "condition": "clean" if noise is None else f"{noise}-snr5", "noise": noise,
        "snr_db": noise and 5.0, "backend": "cosine", "num_target": 5, "num_nontarget": 7, "eer": eer, "eer_low": eer - 1,
        "eer_high": eer + 2, "min_dcf": {"0.01": 0.5, "0.05": 0.25}, "act_dcf": None, "cllr": None, "min_cllr": 0.125,
        "trials_sha256": "a" * 64, "num_dropped": 0, "crop_scheme": "segment_samples 100", "normalisation": "none",
        "calibration": "none", "operating_points": ["0.01", "0.05"], "checkpoint_sha256": "c" * 64, "commit": "abc", "seed": 0,
    }  # fmt: skip


@pytest.fixture
def recorded(tmp_path) -> Path:
    """A Markdown file with words around the block of two systems."""
    for system, eer in (("ours", 3.0), ("baseline", 6.0)):
        (tmp_path / system).mkdir()
        (tmp_path / system / "results.json").write_text(
            json.dumps([row(system, None, eer), row(system, "babble", 2 * eer)])
        )
    path = tmp_path / "RESULTS.md"
    path.write_text("# Results\n\nBefore.\n")
    record(path, "mini", [tmp_path / "ours", tmp_path / "baseline"], "Synthetic.")
    path.write_text(path.read_text() + "\nAfter.\n")
    return path


def test_a_block_is_appended_with_its_results_beside_it(recorded) -> None:
    text = recorded.read_text()
    assert text.startswith("# Results\n\nBefore.\n\n<!-- results/mini.json: begin -->\nSynthetic.\n\n| condition |")
    assert text.endswith("<!-- results/mini.json: end -->\n\nAfter.\n")
    assert "| babble 5 dB | 6.00 | [5.0, 8.0] | 0.500 | 0.250 | 12.00 | [11.0, 14.0] | 0.500 | 0.250 |" in text
    assert "| ours | cosine | 3.00 | 0.500 | - | - | 0.125 | 6.00 | 0.500 | - | - | 0.125 |" in text
    assert (recorded.parent / "results" / "mini.json").is_file()
    check(recorded)


def test_what_all_rows_of_a_system_share_is_recorded_once(recorded) -> None:
    (ours,), _ = json.loads((recorded.parent / "results" / "mini.json").read_text())["systems"]
    assert ours["shared"]["system"] == "ours"
    assert not any("system" in row for row in ours["rows"])
    rows = json.loads((recorded.parent / "ours" / "results.json").read_text())
    assert [ours["shared"] | row for row in ours["rows"]] == rows


def test_recording_again_replaces_the_block_and_nothing_else(recorded) -> None:
    folder = recorded.parent
    before = recorded.read_text()
    (folder / "ours" / "results.json").write_text(json.dumps([row("ours", None, 9.0)]))
    record(recorded, "mini", [folder / "ours"], "")
    update(recorded)
    after = recorded.read_text()
    assert "| clean | 9.00 | [8.0, 11.0] |" in after and "Synthetic." not in after
    assert after.partition("<!--")[0] == before.partition("<!--")[0]
    assert after.rpartition("-->")[2] == before.rpartition("-->")[2]
    record(recorded, "other", [folder / "ours"], "")
    assert recorded.read_text().startswith(after.rstrip())
    check(recorded)


def test_breakdowns_are_recorded_with_the_rest(recorded) -> None:
    folder = recorded.parent
    part = {"system": "ours", "test_set": "test", "backend": "cosine", "by": "room", "value": "rm1", "num_target": 3,
            "num_nontarget": 4, "eer": 5.0, "eer_low": 4.0, "eer_high": 7.0, "min_dcf": {"0.01": 0.75}}  # fmt: skip
    (folder / "ours" / "breakdown.json").write_text(json.dumps([part]))
    record(recorded, "mini", [folder / "ours", folder / "baseline"], "")
    update(recorded)
    text = recorded.read_text()
    assert "test by room\n\n| room | target | nontarget | ours EER % | ours 95 % | ours minDCF .01 |" in text
    assert "| rm1 | 3 | 4 | 5.00 | [4.0, 7.0] | 0.750 |" in text
    check(recorded)


def test_a_hand_edited_figure_is_found_with_its_line(recorded) -> None:
    recorded.write_text(recorded.read_text().replace("| clean | 3.00 |", "| clean | 2.00 |"))
    number = recorded.read_text()[: recorded.read_text().index("| clean | 2.00")].count("\n") + 1
    message = rf"RESULTS.md:{number}: differs from the results .*: '\| clean \| 2.00.* should be '\| clean \| 3.00"
    with pytest.raises(ValueError, match=message):
        check(recorded)
    update(recorded)
    check(recorded)


def test_a_removed_line_is_found(recorded) -> None:
    lines = recorded.read_text().splitlines(keepends=True)
    recorded.write_text("".join(line for line in lines if not line.startswith("| babble")))
    with pytest.raises(ValueError, match="differs from the results it is generated from"):
        check(recorded)


def test_a_table_outside_the_blocks_is_refused(recorded) -> None:
    recorded.write_text(recorded.read_text() + "\n| EER |\n|---|\n| 0.1 |\n")
    with pytest.raises(
        ValueError, match=r"RESULTS.md: a table outside the generated blocks: '\| EER \|'; record its results"
    ):
        check(recorded)


@pytest.mark.parametrize("marker", ["begin", "end"])
def test_a_marker_without_its_partner_is_refused(recorded, marker) -> None:
    recorded.write_text(recorded.read_text().replace(f"<!-- results/mini.json: {marker} -->\n", ""))
    with pytest.raises(
        ValueError, match=r"RESULTS.md: a block's begin or end marker has no partner: <!-- results/mini.json"
    ):
        generated(recorded)


def test_a_block_without_its_results_is_refused(recorded) -> None:
    path = recorded.parent / "results" / "mini.json"
    path.write_text('{"note": "", "systems": []}')
    with pytest.raises(ValueError, match=r"results/mini.json: not what sv results record writes"):
        generated(recorded)
    path.unlink()
    with pytest.raises(ValueError, match=r"results/mini.json is not there; record it again, or remove its block"):
        generated(recorded)


def test_results_that_cannot_share_a_table_are_not_recorded(recorded) -> None:
    folder = recorded.parent
    (folder / "ours" / "results.json").write_text(json.dumps([row("ours", None, 3.0) | {"trials_sha256": "b" * 64}]))
    before = (folder / "results" / "mini.json").read_bytes()
    with pytest.raises(ValueError, match="ours and baseline cannot share a table"):
        record(recorded, "mini", [folder / "ours", folder / "baseline"], "")
    assert (folder / "results" / "mini.json").read_bytes() == before


@pytest.mark.parametrize("path", sorted(ROOT.glob("egs/*/RESULTS.md")), ids=lambda path: path.parent.name)
def test_the_repositorys_own_results_are_as_they_were_generated_and_their_scores_give_them(path) -> None:
    verify(path)
