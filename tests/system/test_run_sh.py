"""The recipe as a user runs it: once, again, in parts, after deletions, and after kills."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sv.data.manifests import iter_waveforms
from sv.kaldi import read_table, read_trials, read_utt2spk, read_vectors, validate_data_dir, write_table
from sv.kaldi.segments import read_segments
from sv.scoring.backends import PldaBackEnd

TINY = Path(__file__).with_name("tiny.toml")


def test_a_run_ends_with_results_for_every_condition(whole):
    work, output = whole
    assert "babble 10 dB" in output
    rows = json.loads((work / "exp/tiny/results.json").read_text())
    conditions = {(row["condition"], row["backend"]) for row in rows if row["test_set"] == "voxceleb1_test"}
    names = ["clean", *(f"{noise}-snr{snr}" for noise in ("noise", "babble") for snr in (0, 10))]
    backends = (
        "cosine",
        "cosine-asnorm",
        "centred_cosine",
        "centred_cosine-asnorm",
        "plda",
        "plda-asnorm",
        "neg_mean_l2",
    )
    backends += tuple(f"{backend}-calibrated" for backend in backends)
    assert conditions == {(name, backend) for name in names for backend in backends}
    assert {row["backend"] for row in rows if row["test_set"] == "voxceleb1_valid"} == set(backends[:7])
    for row in rows:
        assert (row["cllr"] is not None) == (row["act_dcf"] is not None) == row["backend"].endswith("-calibrated")
    assert (work / "exp/tiny/calibration/cosine.json").is_file()
    for row in rows:
        assert 0 <= row["eer_low"] <= row["eer_high"] <= 100
        assert row["num_target"] == 3 * 3 or row["test_set"] == "voxceleb1_valid"
        assert len(row["trials_sha256"]) == len(row["checkpoint_sha256"]) == 64
    assert (work / "exp/tiny/report/index.html").read_text().startswith("<!doctype html>")


def test_the_back_end_is_of_the_training_set(whole):
    work, output = whole
    utts, speakers = (len(read_table(work / "data/voxceleb1_train" / name)) for name in ("utt2spk", "spk2utt"))
    embeddings = read_vectors(work / "exp/tiny/embeddings/voxceleb1_train/xvector.scp")
    assert embeddings.keys() == read_table(work / "data/voxceleb1_train/utt2spk").keys()
    backend = PldaBackEnd.load(work / "exp/tiny/backend")
    assert (len(backend.mean), len(backend.plda.psi)) == (16, speakers - 1)
    assert f"LDA to {speakers - 1} dimensions instead of 200: {utts} utterances of {speakers} speakers in 16" in output
    np.testing.assert_allclose(backend.mean, np.mean(list(embeddings.values()), axis=0), atol=1e-6)
    assert (
        read_table(work / "exp/tiny/backend/cohort.scp").keys()
        == read_table(work / "data/voxceleb1_train/spk2utt").keys()
    )


def test_the_data_directories_are_kaldis(whole):
    work, _ = whole
    for path in sorted((work / "data").glob("voxceleb1_*")):
        assert validate_data_dir(path) == []
    noisy = work / "data/voxceleb1_test-babble-snr0"
    assert read_trials(noisy / "trials").enrolment == read_trials(work / "data/voxceleb1_test/trials").enrolment
    assert all(value.endswith("|") for value in read_table(noisy / "wav.scp").values())
    feats = read_table(noisy / "feats.scp")
    assert feats.keys() == read_table(noisy / "utt2spk").keys()


def test_a_second_run_does_nothing_and_says_so(work, recipe, finish, fingerprint):
    before = fingerprint(work)
    code, output = finish(recipe(work))
    assert code == 0
    assert "nothing to do: every stage from 0 to 8 is up to date" in output
    assert fingerprint(work) == before


def test_deleting_one_output_redoes_what_depends_on_it(work, recipe, finish, fingerprint):
    before = fingerprint(work)
    (work / "exp/tiny/embeddings/voxceleb1_test-noise-snr0/xvector.ark").unlink()
    code, output = finish(recipe(work, "--dry-run"))
    assert code == 0
    assert "stage 5: extract tiny: would run: output missing or changed" in output
    assert "stage 6: back end tiny: would run" in output
    assert "stage 7: score tiny: would run" in output
    assert "stage 8: report: would run" in output
    assert "dry run: 4 stage(s) would run" in output
    code, output = finish(recipe(work))
    assert code == 0, output
    assert "stage 4: train tiny: up to date" in output
    assert fingerprint(work) == before


def test_a_probe_says_what_a_training_would_take_and_keeps_nothing(work, recipe, finish, fingerprint):
    before = fingerprint(work)
    code, output = finish(recipe(work, "--probe", "2", "--seed", "1", "--stage", "4", "--stop-stage", "4"))
    assert code == 0, output
    assert re.search(r"stage 4: tiny: \S+ s a step of \d+ utterances, .* h on 1 process without a GPU", output), output
    assert "dry run: 1 stage(s) would run" in output
    assert fingerprint(work) == before


def test_stage_and_stop_stage(work, recipe, finish):
    (work / "exp/tiny/.stage7.done").unlink()
    (work / "data/voxceleb1_test/feats.scp").unlink()
    code, output = finish(recipe(work, "--stage", "3", "--stop-stage", "6"))
    assert code == 0
    assert (work / "data/voxceleb1_test/feats.scp").exists()  # of stored features, which are not computed again
    assert "stage 7" not in output
    assert "stage 2" not in output
    assert "nothing to do: every stage from 3 to 6 is up to date" in output


def test_another_protocol_makes_the_noisy_sets_anew_and_leaves_nothing(work, recipe, finish):
    names = [f"voxceleb1_test-{noise}-snr{snr}" for noise in ("noise", "babble") for snr in (0, 10)]

    def content():
        return {path: path.read_bytes() for name in names for path in (work / "data" / name).iterdir()}

    before, only = content(), ("--stage", "2", "--stop-stage", "2")
    code, output = finish(recipe(work, *only, "--protocol", "exu_net"))
    assert code == 0, output
    assert {(work / "data" / name / "protocol").read_text() for name in names} == {"exu_net\n"}
    assert "stage 3: features" in finish(recipe(work, "--protocol", "exu_net", "--dry-run", "--stage", "3"))[1]
    said = work / "data" / names[1] / "protocol"
    said.unlink()
    code, output = finish(recipe(work, *only, "--protocol", "exu_net", "--dry-run"))
    assert "stage 2: noisy sets: would run: output missing or changed" in output and "/protocol" in output
    code, output = finish(recipe(work, *only))
    assert code == 0 and "stage 2: done" in output, output
    assert content() == before


def test_a_stage_without_what_it_reads_says_so(recipe, finish, tmp_path):
    code, output = finish(recipe(tmp_path, "--stage", "3"))
    assert code == 1
    assert "missing input" in output
    assert "run the stages before it first" in output


def test_missing_corpora_are_explained(recipe, finish, tmp_path):
    code, output = finish(recipe(tmp_path, "--corpora", tmp_path / "none"))
    assert (code, f"option --corpora takes a folder that is there, got '{tmp_path}/none'" in output) == (2, True)
    (tmp_path / "none").mkdir()
    code, output = finish(recipe(tmp_path, "--corpora", tmp_path / "none"))
    assert code == 1
    assert f"voxceleb1: looked for {tmp_path}/none/voxceleb1" in output
    assert "--mini needs none of them" in output
    assert not (tmp_path / "data/.stage0.done").exists()


def test_a_misspelt_setting_stops_training_with_its_name(work, recipe, finish, tmp_path):
    config = tmp_path / "typo.toml"
    config.write_text(TINY.read_text().replace("pairs_per_batch", "pairs_per_bach"))
    code, output = finish(recipe(work, "--config", config, "--stage", "4"))
    assert code == 1
    assert "unknown key 'batches.pairs_per_bach'; did you mean 'pairs_per_batch'?" in output
    assert "Traceback" not in output
    assert not (work / "exp/typo/.stage4.done").exists()


KILLS = {
    3: ("exp/feats", "feats.1.*"),
    4: ("exp/tiny/checkpoints", "step-*.pt"),
    5: ("exp/tiny/embeddings", "xvector.1.*"),
}


@pytest.mark.parametrize("stage", KILLS)
def test_a_run_killed_and_started_again_ends_with_the_same_bytes(work, recipe, finish, stage, fingerprint):
    """kill -9 of everything as soon as the stage has begun to write."""
    before = fingerprint(work)
    folder, sign = KILLS[stage]
    shutil.rmtree(work / folder)
    if stage == 4:
        (work / "exp/tiny/train.jsonl").unlink()
        shutil.rmtree(work / "exp/tiny/embeddings")
    process = recipe(work)
    deadline = time.time() + 200
    while not list((work / folder).rglob(sign)) and process.poll() is None and time.time() < deadline:
        time.sleep(0.005)
    kill_all(process.pid)
    process.communicate()
    assert process.returncode != 0
    marker = {3: "exp/feats", 4: "exp/tiny/.stage4.done", 5: "exp/tiny/.stage5.done"}[stage]
    assert not list((work / marker).rglob(".stage3.done")) if stage == 3 else not (work / marker).exists()
    code, output = finish(recipe(work))
    assert code == 0, output
    assert fingerprint(work) == before


def kill_all(leader):
    """Kill the process group and the sessions that the launcher opened below it."""
    children = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = dict(tuple(map(int, line.split())) for line in children.splitlines())
    doomed = {leader}
    while grown := {pid for pid, parent in parents.items() if parent in doomed} - doomed:
        doomed |= grown
    for pid in doomed:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def test_training_in_two_processes(work, recipe, finish):
    """The same batches, shared by two ranks (batch norm then sees half a batch, so the weights are not the same)."""
    one = [json.loads(line) for line in (work / "exp/tiny/train.jsonl").read_text().splitlines()]
    shutil.rmtree(work / "exp/tiny")
    code, output = finish(recipe(work, "--num-ranks", "2", "--stage", "4", "--stop-stage", "4"))
    assert code == 0, output + (work / "exp/tiny/log/train.log").read_text()
    two = [json.loads(line) for line in (work / "exp/tiny/train.jsonl").read_text().splitlines()]
    assert [line["step"] for line in two] == [line["step"] for line in one]
    assert two[0]["feature_mse"] == pytest.approx(one[0]["feature_mse"], rel=0.2)


def test_kaldi_directories_with_segments_give_the_scores_of_the_files(whole, recipe, finish, tmp_path):
    kaldi = tmp_path / "kaldi"
    for name in ("voxceleb1_dev", "voxceleb1_test"):
        source, out = whole[0] / "data" / name, kaldi / name
        out.mkdir(parents=True)
        recordings, segments = {}, {}
        for utt, samples in iter_waveforms(source, read_utt2spk(source / "utt2spk")):
            parts = recordings.setdefault(utt.split("-")[0], [])  # all that a speaker says, one after the other
            start = sum(map(len, parts)) / 16_000
            segments[utt] = f"{utt.split('-')[0]} {start!r} {start + len(samples) / 16_000!r}"
            parts.append(samples)
        for key, parts in recordings.items():
            soundfile.write(out / f"{key}.wav", np.concatenate(parts), 16_000, subtype="PCM_16")
        write_table(out / "wav.scp", {key: f"{out}/{key}.wav" for key in recordings})
        write_table(out / "segments", segments)
        for table in ("utt2spk", "spk2gender", "trials"):
            if (source / table).exists():
                shutil.copyfile(source / table, out / table)
    code, output = finish(recipe(tmp_path, "--voxceleb1", kaldi))
    assert code == 0, output
    assert read_segments(tmp_path / "data/voxceleb1_valid/segments")
    found = sorted(path.relative_to(tmp_path) for path in (tmp_path / "exp").rglob("*.scores"))
    assert len(found) > 5
    for path in found:
        assert (tmp_path / path).read_bytes() == (whole[0].with_name("pristine") / path).read_bytes(), path


def test_a_model_from_elsewhere_is_scored_beside_a_system_and_not_touched(work, recipe, finish, tmp_path):
    """The same weights by --model give the same scores, and nothing is trained, or written into the model's folder."""
    foreign = tmp_path / "foreign"
    (foreign / "checkpoints").mkdir(parents=True)
    for name in ("config.json", "checkpoints/best.pt"):
        shutil.copyfile(work / "exp/tiny" / name, foreign / name)
    before = {path: path.read_bytes() for path in foreign.rglob("*") if path.is_file()}
    code, output = finish(recipe(work, "--model", foreign))
    assert code == 0, output
    assert "stage 4: train tiny: up to date" in output
    assert {path: path.read_bytes() for path in foreign.rglob("*") if path.is_file()} == before
    assert not list((work / "exp/foreign").rglob("step-*.pt"))
    scores = sorted((work / "exp/tiny/scores").rglob("*.scores"))
    assert len(scores) > 20
    for path in scores:
        assert (
            work / "exp/foreign/scores" / path.relative_to(work / "exp/tiny/scores")
        ).read_bytes() == path.read_bytes()
    assert "foreign" in (work / "exp/tiny/report.txt").read_text()
    code, output = finish(recipe(work, "--model", foreign, "--dry-run"))
    assert "dry run: 0 stage(s) would run" in output


def test_more_draws_make_the_new_ones_alone_and_fewer_leave_no_row(work, recipe, finish, fingerprint):
    def done_stages(output):
        started = [line.split(" stage ")[1] for line in output.splitlines() if " stage " in line and ": " in line]
        return {line.split(":")[0] + line.split(":")[1] for line in started if "it has not been completed yet" in line}

    before = fingerprint(work)
    code, output = finish(recipe(work, "--draws", "2"))
    assert code == 0, output
    assert {line[0] for line in done_stages(output)} == {"2", "3", "5"}
    assert all(line.endswith("draw 2") for line in done_stages(output))
    for title in ("2: noisy sets", "4: train tiny", "5: extract tiny", "6: back end tiny"):
        assert f"stage {title}: up to date" in output
    after = fingerprint(work)
    known = [path for path in before if not path.endswith("results.json") and "report" not in path]
    assert [path for path in known if after[path] != before[path]] == []
    rows = json.loads((work / "exp/tiny/results.json").read_text())
    names = {row["condition"] for row in rows}
    noisy = {f"{noise}-snr{snr}" for noise in ("noise", "babble") for snr in (0, 10)}
    assert names == {"clean", *noisy, *(f"{name}-draw2" for name in noisy)}
    text = (work / "exp/tiny/report.txt").read_text()
    assert "over draws" in text and "draw2" not in text
    assert "Spread over draws" in (work / "exp/tiny/report/index.html").read_text()
    code, output = finish(recipe(work))  # one draw again
    assert code == 0, output
    assert "stage 5: extract tiny: up to date" in output
    after = fingerprint(work)
    assert {path: after[path] for path in before} == before  # results.json and the report among them
    assert "over draws" not in (work / "exp/tiny/report.txt").read_text()
