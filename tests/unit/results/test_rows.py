import json
import subprocess

import numpy as np
import pytest

from sv import __version__
from sv.base.config import ConfigError
from sv.base.files import sha256_of
from sv.kaldi import Trials
from sv.results.rows import (
    COMPARED,
    OF_ONE_SYSTEM,
    POINTS,
    Stamp,
    code_version,
    computed_text,
    crop_scheme,
    make_row,
    merge_rows,
    parse_condition,
    read_results,
    speakers_of,
    stamp_of,
    stamped,
    update_results,
)
from sv.scoring import compute_act_dcf, compute_cllr, compute_eer, compute_min_dcf

FIELDS = (
    "system test_set condition noise snr_db backend num_target num_nontarget num_dropped eer eer_low eer_high min_dcf act_dcf "
    "cllr trials_sha256 checkpoint_sha256 commit seed operating_points crop_scheme normalisation calibration"
)
STAMP = {
    "trials_sha256": "a" * 64, "num_dropped": 2, "crop_scheme": "segment_samples 100", "normalisation": "none",
    "calibration": "none", "checkpoint_sha256": "c" * 64, "commit": "abc", "seed": 7,
}  # fmt: skip


@pytest.fixture
def trials() -> Trials:
    utts = [f"spk{i // 4}-{i:02d}" for i in range(20)]
    pairs = [(a, b) for a in utts for b in utts if a < b]
    is_target = np.array([a[:4] == b[:4] for a, b in pairs])
    return Trials([a for a, _ in pairs], [b for _, b in pairs], is_target)


def row_of(trials: Trials, set_name: str = "test", stamp: dict | None = None, **changes) -> dict:
    scores = np.random.default_rng(0).normal(size=len(trials)) + 1.5 * trials.is_target
    utt2spk = {utt: utt[:4] for utt in (*trials.enrolment, *trials.test)}
    return make_row("sys", set_name, "cosine", trials, scores, utt2spk, Stamp(**STAMP | (stamp or {}))) | changes


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("voxceleb1_test", ("voxceleb1_test", "clean", None, None)),
        ("voxceleb1_test-babble-snr5", ("voxceleb1_test", "babble-snr5", "babble", 5.0)),
        ("my-test-nonspeech-snr-2.5", ("my-test", "nonspeech-snr-2.5", "nonspeech", -2.5)),
        ("my-test-noise", ("my-test-noise", "clean", None, None)),
    ],
)
def test_condition_of_a_data_directory(name, parsed) -> None:
    assert parse_condition(name) == parsed


def test_a_row_has_every_promised_field_and_its_metrics_in_percent(trials) -> None:
    row = row_of(trials, "test-music-snr10")
    scores = np.random.default_rng(0).normal(size=len(trials)) + 1.5 * trials.is_target
    assert set(FIELDS.split()) <= set(row)
    assert (row["test_set"], row["condition"], row["noise"], row["snr_db"]) == ("test", "music-snr10", "music", 10.0)
    assert (row["num_target"], row["num_nontarget"]) == (30, 160)
    assert row["eer"] == 100 * compute_eer(scores, trials.is_target)
    assert row["eer_low"] < row["eer"] < row["eer_high"]
    assert row["min_dcf"] == {
        "0.01": compute_min_dcf(scores, trials.is_target, 0.01),
        "0.05": compute_min_dcf(scores, trials.is_target, 0.05),
        "0.01,10,1": compute_min_dcf(scores, trials.is_target, 0.01, 10, 1),
    }
    for point, (low, high) in row["min_dcf_interval"].items():
        assert low <= row["min_dcf"][point] <= high
    assert row["operating_points"] == [str(point) for point in POINTS]
    assert {name: row[name] for name in STAMP} == STAMP
    assert json.loads(json.dumps(row)).keys() == row.keys()


def test_only_calibrated_scores_have_an_actual_cost(trials) -> None:
    row = row_of(trials)
    assert row["act_dcf"] is None and row["cllr"] is None
    assert 0 < row["min_cllr"] < 1
    row = row_of(trials, stamp={"calibration": "logistic regression"})
    scores = np.random.default_rng(0).normal(size=len(trials)) + 1.5 * trials.is_target
    assert row["cllr"] == compute_cllr(scores, trials.is_target)
    assert row["act_dcf"]["0.01,10,1"] == compute_act_dcf(scores, trials.is_target, 0.01, 10, 1)


@pytest.mark.parametrize("name", list(STAMP))
def test_there_is_no_stamp_without_all_of_it(name) -> None:
    with pytest.raises(TypeError, match=name):
        Stamp(**{key: value for key, value in STAMP.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("trials_sha256", "abc", "trials_sha256 must be 64 hexadecimal digits, got 'abc'"),
        ("checkpoint_sha256", "", "checkpoint_sha256 must be 64 hexadecimal digits, got ''"),
        ("commit", "", "commit must be said, 'none' if there is none"),
        ("crop_scheme", "", "crop_scheme must be said"),
        ("precision", "", "precision must be said"),
        ("num_dropped", -1, "num_dropped must not be negative, got -1"),
    ],
)
def test_a_stamp_that_says_nothing_is_refused(name, value, message) -> None:
    with pytest.raises(ValueError, match=message):
        Stamp(**STAMP | {name: value})


def test_a_stamp_is_taken_from_the_folders(tmp_path) -> None:
    model, data = tmp_path / "model", tmp_path / "data"
    (model / "checkpoints").mkdir(parents=True)
    (model / "checkpoints" / "best.pt").write_bytes(b"weights")
    (model / "config.json").write_text('{"extract": {"segment_samples": 100, "scheme": "even", "batch_size": 8}}')
    for name in ("test", "test-noise-snr5"):
        (data / name).mkdir(parents=True)
        (data / name / "trials").write_text("a b target\n")
    (data / "test" / "trials.dropped").write_text("a x\nb x\n")
    for name in ("test", "test-noise-snr5"):
        stamp = stamp_of(model, data / name, 3)
        assert (stamp.num_dropped, stamp.crop_scheme) == (2, "even, segment_samples 100")
        assert (stamp.normalisation, stamp.calibration, stamp.seed) == ("none", "none", 3)
        assert stamp.trials_sha256 == sha256_of(data / name / "trials")
        assert stamp.checkpoint_sha256 == sha256_of(model / "checkpoints" / "best.pt")


def test_crops_are_told_by_what_counts() -> None:
    extract = {
        "segment_samples": 100, "scheme": "consecutive", "num_segments": 10, "step_samples": 50, "unit_segments": True,
        "peak_normalise": False, "raise_to_dbfs": None, "batch_size": 8,
    }  # fmt: skip
    assert crop_scheme(extract) == "consecutive, segment_samples 100, unit_segments"
    assert crop_scheme(extract | {"scheme": "even"}) == "even, segment_samples 100, num_segments 10, unit_segments"
    assert (
        crop_scheme(extract | {"scheme": "sliding"}) == "sliding, segment_samples 100, step_samples 50, unit_segments"
    )
    assert crop_scheme(extract | {"raise_to_dbfs": -30.0}).endswith("unit_segments, raise_to_dbfs -30.0")
    assert crop_scheme({"new_option": 3}) == "consecutive, new_option 3"


def test_speakers_are_numbered_alike_on_both_sides(trials) -> None:
    utt2spk = {utt: utt[:4] for utt in (*trials.enrolment, *trials.test)}
    left, right = speakers_of(trials, utt2spk)
    np.testing.assert_array_equal(left == right, trials.is_target)
    assert set(left) | set(right) == set(range(5))


def test_an_utterance_without_speaker_is_named(trials) -> None:
    utt2spk = {utt: utt[:4] for utt in trials.enrolment}
    with pytest.raises(KeyError, match=r"1 of 20 trial utterances have no speaker, e.g. \['spk4-19'\]"):
        speakers_of(trials, utt2spk)


def test_rows_replace_their_like_and_leave_the_others(trials) -> None:
    old = [row_of(trials), row_of(trials, "test-noise-snr0"), row_of(trials, backend="plda")]
    new = [row_of(trials, eer=1.0)]
    assert merge_rows(old, new) == [*old[1:], *new]
    assert merge_rows(merge_rows(old, new), new) == merge_rows(old, new)


def test_rows_that_are_all_of_their_test_set_leave_no_other_of_it(trials) -> None:
    old = [row_of(trials, name) for name in ("test", "test-noise-snr0", "test-noise-snr0-draw2", "other")]
    new = [row_of(trials, eer=1.0), row_of(trials, "test-noise-snr0", eer=2.0)]
    assert merge_rows(old, new, whole=True) == [old[3], *new]
    assert merge_rows(old, new) == [*old[2:], *new]


def test_rows_of_other_weights_code_or_seed_do_not_survive(trials) -> None:
    old = [row_of(trials), row_of(trials, "test-noise-snr0")]
    for other in ({"checkpoint_sha256": "e" * 64}, {"commit": "def"}, {"seed": 8}):
        new = [row_of(trials, stamp=other)]
        assert merge_rows(old, new) == new


def test_updating_a_file_twice_changes_nothing_more(trials, tmp_path) -> None:
    path = tmp_path / "results.json"
    for set_name in ("test", "test-noise-snr0", "test"):
        update_results(path, [row_of(trials, set_name)])
    assert [row["condition"] for row in read_results(path)] == ["noise-snr0", "clean"]
    before = path.read_bytes()
    update_results(path, [row_of(trials, "test")])
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{", "line 1 column"),
        ('{"a": 1}', "expected a list of rows"),
        ('[{"system": "a", "test_set": "b"}]', "row 1 lacks condition, backend, trials_sha256, num_dropped"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, text, message) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"results.json: .*{message}.*; remove it and score again"):
        read_results(path)


def test_commit_of_a_checkout_says_if_it_was_changed(tmp_path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", "-C", tmp_path, *identity, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert code_version(tmp_path) == f"release {__version__}"
    git("init", "-q")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-qm", "one")
    git("tag", "-a", "v1", "-m", "v1")
    commit = git("rev-parse", "HEAD")
    assert code_version(tmp_path) == commit
    (tmp_path / "file").write_text("two")
    assert code_version(tmp_path) == f"{commit}-dirty"
    installed = tmp_path / "env" / "sv"  # into an environment within somebody's repository, which does not hold it
    installed.mkdir(parents=True)
    (installed / "rows.py").touch()
    assert code_version(installed) == f"release {__version__}"


def test_the_stamp_has_what_computed_the_embeddings(tmp_path) -> None:
    model, data = tmp_path / "model", tmp_path / "data" / "test"
    for folder in (model / "checkpoints", model / "embeddings" / "test", data):
        folder.mkdir(parents=True)
    (model / "checkpoints" / "best.pt").write_bytes(b"weights")
    (model / "config.json").write_text("{}")
    (data / "trials").write_text("a b target\n")
    before = stamp_of(model, data, 0)  # embeddings from before this was recorded
    assert (before.precision, before.runtime) == ("float32", "torch")
    record = model / "embeddings" / "test" / "computed.json"
    record.write_text('{"precision": "bf16", "runtime": "torch"}')
    assert (stamp_of(model, data, 0).precision, stamp_of(model, data, 0).runtime) == ("bf16", "torch")
    for odd in ('{"precision": "bf16"}', '{"precision": "bf16", "runtime": 3}'):
        record.write_text(odd)
        with pytest.raises(ConfigError, match=r"computed.json: expected precision and runtime; run stage 5 again"):
            stamp_of(model, data, 0)


def test_rows_without_precision_are_float32_by_torch_and_say_nothing_of_it() -> None:
    old = {"system": "a", "crop_scheme": "x"}
    assert (stamped(old, "precision"), stamped(old, "runtime"), stamped(old, "crop_scheme")) == (
        "float32",
        "torch",
        "x",
    )
    assert computed_text([old]) == computed_text([old | {"precision": "float32", "runtime": "torch"}]) == ""
    assert computed_text([old | {"precision": "bf16"}]) == ", bf16 by torch"


def test_fields_that_have_to_be_alike_are_those_that_the_stamp_marks() -> None:
    assert (
        *("crop_scheme", "checkpoint_sha256", "commit", "seed", "precision", "runtime", "operating_points"),
    ) == OF_ONE_SYSTEM
    assert (
        *(
            "trials_sha256",
            "num_dropped",
            "crop_scheme",
            "normalisation",
            "calibration",
            "precision",
            "runtime",
            "encoder",
            "protocol",
        ),
        *("num_target", "num_nontarget", "operating_points"),
    ) == COMPARED
