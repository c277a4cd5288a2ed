import gzip
import json
import random
import re
import subprocess
import sys
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
    assert found["min_dcf"]["0.01"] == pytest.approx(0.4751, abs=5e-5)
    assert found["min_dcf"]["0.05"] == pytest.approx(0.3430, abs=5e-5)
    assert found["min_dcf"].keys() == found["act_dcf"].keys() == {"0.01", "0.05", "0.01,10,1"}
    assert 0 < found["min_cllr"] < found["cllr"] < 1


def test_any_operating_point(files, capsys) -> None:
    metrics.main([str(files[0]), str(files[1]), "--json", "--point", "0.001", "--point", "0.2,5,1"])
    found = json.loads(capsys.readouterr().out)
    assert found["min_dcf"].keys() == {"0.001", "0.2,5,1"}
    assert found["min_dcf"]["0.001"] == pytest.approx(0.9167, abs=5e-5)


def test_interval_over_speakers(files, tmp_path, capsys) -> None:
    utts = sorted({utt for line in files[0].read_text().splitlines() for utt in line.split()[:2]})
    (tmp_path / "utt2spk").write_text("".join(f"{utt} {utt[:5]}\n" for utt in utts))
    metrics.main([*map(str, files), "--json", "--utt2spk", str(tmp_path / "utt2spk")])
    found = json.loads(capsys.readouterr().out)
    low, high = found["eer_interval"]
    assert 0.5 < low < found["eer"] < high < 12
    metrics.main([*map(str, files), "--utt2spk", str(tmp_path / "utt2spk")])
    assert f"[{low:.2f}, {high:.2f}]" in capsys.readouterr().out


def test_memory_does_not_grow_with_the_trials(tmp_path) -> None:
    """300 thousand trials in parts of 2 ** 13; a dictionary of their pairs and scores alone would take 75 MB."""
    trials, scores = tmp_path / "trials", tmp_path / "scores"
    names = [f"speaker{i:04d}-video-{i:05d}" for i in range(1500)]
    with trials.open("w") as left, scores.open("w") as right:
        for i in range(300_000):
            pair = f"{names[i % 1500]} {names[i // 1500]}"
            left.write(f"{pair} {'target' if i % 10 == 0 else 'nontarget'}\n")
            right.write(f"{pair} {i * 7919 % 100_003 + (i % 10 == 0) * 30_000}\n")
    program = (
        "import resource, sys\n"
        "from sv.bin import metrics\n"
        "from sv.scoring import join, streaming\n"
        "join.PART_TRIALS = streaming.RUN_SCORES = 1 << 13\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "metrics.main(sys.argv[1:])\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(trials), str(scores), "--json"], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert (found["num_target"], found["num_nontarget"]) == (30_000, 270_000)
    assert 30 < found["eer"] < 40
    assert int(done.stderr) < 45  # MB


def test_what_is_printed(files, capsys) -> None:
    metrics.main([str(files[0]), str(files[1])])
    said = capsys.readouterr().out
    assert "360 target, 1978 nontarget" in said
    assert "(Kaldi's compute-eer: 3.88889 %)" in said
    assert re.search(r"minDCF     0\.4751   actDCF 0\.\d{4}   \(p_target\[,c_miss,c_fa\] = 0\.01\)", said)


def test_every_trial_without_a_score_is_named(files, fails) -> None:
    lines = files[1].read_text().splitlines()
    files[1].write_text("\n".join(lines[2:]) + "\n")
    said = fails(metrics.main, *files)
    assert said.splitlines() == [
        f"{files[0]}:1: no score of ev000-00 ev000-01",
        f"{files[0]}:2: no score of ev000-00 ev000-02",
        f"error: {files[1]}: 2 of 2338 trials have no score",
    ]


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
