import gzip
import json
import random
from pathlib import Path

import pytest

from sv.bin import metrics

GOLDEN = Path(__file__).parents[2] / "golden" / "kaldi_plda"


@pytest.fixture
def files(tmp_path) -> tuple[Path, Path]:
    for name in ("trials", "A.scores"):
        (tmp_path / name).write_bytes(gzip.decompress((GOLDEN / f"{name}.gz").read_bytes()))
    return tmp_path / "trials", tmp_path / "A.scores"


def test_kaldis_scores_in_any_order(files, capsys) -> None:
    lines = files[1].read_text().splitlines()
    random.Random(0).shuffle(lines)
    files[1].write_text("\n".join(lines) + "\n")
    metrics.main([str(files[0]), str(files[1]), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["num_target"], found["num_nontarget"]) == (360, 1978)
    assert found["eer_kaldi"] == pytest.approx(3.88889, abs=5e-6)
    assert found["min_dcf"] == {"0.01": pytest.approx(0.4751, abs=5e-5), "0.05": pytest.approx(0.3430, abs=5e-5)}


def test_what_is_printed(files, capsys) -> None:
    metrics.main([str(files[0]), str(files[1])])
    said = capsys.readouterr().out
    assert "360 target, 1978 nontarget" in said
    assert "(Kaldi's compute-eer: 3.88889 %)" in said
    assert "0.4751   (p_target 0.01, c_miss 1, c_fa 1)" in said


def test_trials_without_a_score_are_counted_and_named(files, fails) -> None:
    lines = files[1].read_text().splitlines()
    files[1].write_text("\n".join(lines[2:]) + "\n")
    said = fails(metrics.main, *files)
    named = "['ev000-00 ev000-01', 'ev000-00 ev000-02']"
    assert said == f"error: {files[1]}: 2 of 2338 trials have no score, e.g. {named}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ev000-00 ev000-01 1.5", "trial ev000-00 ev000-01 has two scores"),
        ("ev000-00 ev000-01 1.5 x", "expected '<enrolment-utt> <test-utt> <score>', got 'ev000-00 ev000-01 1.5 x'"),
        ("a b nan", "expected '<enrolment-utt> <test-utt> <score>', got 'a b nan'"),
    ],
)
def test_bad_lines_are_told_with_their_number(files, fails, line, message) -> None:
    with files[1].open("a") as file:
        file.write(f"{line}\n")
    assert fails(metrics.main, *files) == f"error: {files[1]}:2339: {message}"


def test_a_list_of_one_class_has_no_error_rates(files, fails) -> None:
    targets = [line for line in files[0].read_text().splitlines() if line.endswith(" target")]
    files[0].write_text("\n".join(targets) + "\n")
    said = fails(metrics.main, *files)
    assert said == f"error: {files[0]}: error rates need target and nontarget trials, got 360 and 0"


def test_a_missing_file_is_named(files, fails) -> None:
    assert "nowhere" in fails(metrics.main, files[0], "nowhere")
