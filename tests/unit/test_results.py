import json
import subprocess

import numpy as np
import pytest

from sv.kaldi import Trials
from sv.results import (
    Provenance,
    git_commit,
    make_row,
    merge_rows,
    parse_condition,
    read_results,
    speakers_of,
    update_results,
)
from sv.scoring import compute_eer, compute_min_dcf

FIELDS = (
    "system test_set condition noise snr_db backend num_target num_nontarget eer eer_low eer_high min_dcf act_dcf cllr "
    "trials_sha256 checkpoint_sha256 commit seed"
)


@pytest.fixture
def trials() -> Trials:
    utts = [f"spk{i // 4}-{i:02d}" for i in range(20)]
    pairs = [(a, b) for a in utts for b in utts if a < b]
    is_target = np.array([a[:4] == b[:4] for a, b in pairs])
    return Trials([a for a, _ in pairs], [b for _, b in pairs], is_target)


def row_of(trials: Trials, set_name: str = "test", checkpoint: str = "c", **changes) -> dict:
    scores = np.random.default_rng(0).normal(size=len(trials)) + 1.5 * trials.is_target
    utt2spk = {utt: utt[:4] for utt in (*trials.enrolment, *trials.test)}
    stamp = Provenance(system="sys", trials_sha256="t", checkpoint_sha256=checkpoint, commit=None, seed=7)
    return make_row(set_name, "cosine", trials, scores, utt2spk, stamp) | changes


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
    assert row["min_dcf"] == {p: compute_min_dcf(scores, trials.is_target, float(p)) for p in ("0.01", "0.05")}
    assert json.loads(json.dumps(row)) == row


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


def test_rows_of_other_weights_do_not_survive(trials) -> None:
    old = [row_of(trials), row_of(trials, "test-noise-snr0")]
    new = [row_of(trials, checkpoint="retrained")]
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
    ("text", "message"), [("[{", "line 1 column"), ('{"a": 1}', "expected a list of rows"), ("[{}]", "expected a list")]
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

    assert git_commit(tmp_path) is None
    git("init", "-q")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-qm", "one")
    git("tag", "-a", "v1", "-m", "v1")
    commit = git("rev-parse", "HEAD")
    assert git_commit(tmp_path) == commit
    (tmp_path / "file").write_text("two")
    assert git_commit(tmp_path) == f"{commit}-dirty"
