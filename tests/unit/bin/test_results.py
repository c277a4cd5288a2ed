import json

import pytest

from sv.base.files import write_text
from sv.bin import results


@pytest.fixture
def system(tmp_path):
    row = {
        "system": "ours", "test_set": "test", "condition": "clean", "noise": None, "snr_db": None, "backend": "cosine",
        "num_target": 5, "num_nontarget": 7, "eer": 3.0, "eer_low": 2.0, "eer_high": 5.0, "act_dcf": None, "cllr": None,
        "min_dcf": {"0.01": 0.5, "0.05": 0.25}, "min_cllr": 0.125, "trials_sha256": "a" * 64, "num_dropped": 0,
        "crop_scheme": "x", "normalisation": "none", "calibration": "none", "operating_points": [], "seed": 0,
        "checkpoint_sha256": "c" * 64, "commit": "abc",
    }  # fmt: skip
    write_text(tmp_path / "ours" / "results.json", json.dumps([row]))
    return tmp_path / "ours"


def test_record_check_edit_and_update(system, tmp_path, fails) -> None:
    path = tmp_path / "RESULTS.md"
    results.main(["record", "mini", str(path), str(system), "--note", "Synthetic."])
    results.main(["check", str(path), str(path)])
    text = path.read_text()
    assert "Synthetic." in text and "| clean | 3.00 |" in text
    path.write_text(text.replace("3.00", "1.00"))
    said = fails(results.main, "check", path)
    assert said.startswith(f"error: {path}:") and said.endswith(f"run sv results update {path}")
    results.main(["update", str(path)])
    assert path.read_text() == text


def test_wrong_usage_and_missing_results(system, tmp_path, fails) -> None:
    path = tmp_path / "RESULTS.md"
    assert "required: EXP_DIR" in fails(results.main, "record", "x", path, code=2)
    assert "required: record|check|verify|update" in fails(results.main, code=2)
    assert "--against needs --data" in fails(results.main, "record", "x", path, system, "--against", "a:cosine", code=2)
    (system / "results.json").unlink()
    said = fails(results.main, "record", "x", path, system)
    assert said == f"error: {system}/results.json: not there; run stage 7 first"


@pytest.mark.parametrize(
    "old", [["RESULTS.md"], ["--check", "RESULTS.md"], ["--record", "mini", "RESULTS.md", "exp/a"]]
)
def test_the_former_spelling_says_the_present_one(old, fails) -> None:
    assert fails(results.main, *old, code=2).endswith(
        f"{old[0]} is not a command; write sv results record NAME RESULTS.md EXP_DIR..., check RESULTS.md..., "
        "verify RESULTS.md... or update RESULTS.md...\n"
    )
