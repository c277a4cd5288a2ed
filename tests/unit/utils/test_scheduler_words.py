"""Words of schedulers that sites wrap and versions change: ids, states, accounting; with stand-ins for their programs."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import job_array
import job_queue
import pytest
import sge
import slurm
from hypothesis import given, settings
from hypothesis import strategies as st
from job_array import UNLUCKY_TRIES, State, run_all
from job_queue import SubmitError, job_id
from job_request import Request, UsageError, check_options, parse, plain_memory

ROOT = Path(__file__).resolve().parents[3]
MANY = settings(max_examples=10_000, derandomize=True, deadline=None, database=None)
SEEDS = st.integers(0, 2**64)  # of `drawn`: a case is cheap, so that there can be many
ODD = [
    "",
    " ",
    "\n",
    "\t",
    "٣",
    "１",
    "é",
    "\0",
    "-",
    "+",
    "|",
    ",",
    ";",
    ":",
    "=",
    ".",
    "/",
    "%",
    "x",
    "9" * 30,
    "1e9",
    "nan",
]


def drawn(seed, vocabulary, most):
    """Up to `most` words of the vocabulary, drawn by a seed."""
    rng = random.Random(seed)
    return [rng.choice(vocabulary) for _ in range(rng.randrange(most + 1))]


SLURM_ID, SGE_ID = r"(\d+(?:;[\w.-]+)?)", r"(\d+)(?:\.\d+-\d+:\d+)?"


@pytest.mark.parametrize(
    ("output", "pattern", "expected"),
    [
        ("77\n", SLURM_ID, "77"),
        ("-----\nWelcome to cluster 3\n--> queue...OK\n77\n", SLURM_ID, "77"),
        ("2026\n77;east\nbye 5\n\n", SLURM_ID, "77;east"),
        ("\r\n 77 \r\n", SLURM_ID, "77"),
        ("3 new messages\n12.1-8:1\n4 more\n", SGE_ID, "12"),
        ("12\n", SGE_ID, "12"),
    ],
)
def test_a_job_id_is_the_last_line_that_is_one(output, pattern, expected):
    assert job_id(output, pattern) == expected


@pytest.mark.parametrize("output", ["", "\n", "Submitted batch job 77\n", "٧٧\n", "77;\n", "-77\n"])
def test_output_without_an_id_is_told(output):
    with pytest.raises(SubmitError, match="no line of its output is a job id"):
        job_id(output, SLURM_ID)


@MANY
@given(SEEDS)
def test_any_output_gives_an_id_that_stands_in_it_or_our_error(seed):
    output = "".join(drawn(seed, ["7", "12", "\n", "\n", ";east", "bye", "Submitted", *ODD], 12))
    try:
        found = job_id(output, SLURM_ID)
    except SubmitError:
        assert not any(re.fullmatch(r"[0-9]+(;[A-Za-z0-9_.-]+)?", line.strip()) for line in output.splitlines())
    else:
        assert found in [line.strip() for line in output.splitlines()]


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("CANCELLED by 123", "CANCELLED"),
        ("CANCELLED+", "CANCELLED"),
        ("OUT_OF_ME+", "OUT_OF_MEMORY"),
        ("NODE_FAIL", "NODE_FAIL"),
        ("COMPLETING|NODE_FAIL", "NODE_FAIL"),
        ("RUNNING", "RUNNING"),
        ("completed", "COMPLETED"),
        ("NEWER_STATE", ""),
        ("+", ""),
    ],
)
def test_states_in_slurms_notations(text, state):
    assert slurm.state_of(text) == state


@MANY
@given(SEEDS)
def test_any_text_is_a_state_that_we_know_or_none(seed):
    text = "".join(drawn(seed, [*slurm.KNOWN, *(state[:9] + "+" for state in slurm.KNOWN), " by 1", *ODD], 5))
    found = slurm.state_of(text)
    words = [word.rstrip("+") for word in re.split(r"[\s|,]+", text.upper())]
    assert not found or any(word and found.startswith(word) for word in words)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """program(name, script): a program of the scheduler, first in PATH, that notes how it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(name, script):
        (folder / name).write_text(f'#!/bin/bash\necho "{name} $*" >> {tmp_path}/calls\n{script}\n')
        (folder / name).chmod(0o755)

    def calls():
        return (tmp_path / "calls").read_text().splitlines()

    for name in ("scancel", "scontrol", "sacct", "qdel", "qacct"):
        make(name, "")
    make.calls = calls
    return make


FINAL = (
    "BOOT_FAIL CANCELLED DEADLINE LAUNCH_FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED RECONFIG_FAIL REVOKED TIMEOUT".split()
)
HELD = "REQUEUE_HOLD RESV_DEL_HOLD SPECIAL_EXIT".split()


@pytest.mark.parametrize("state", FINAL + HELD)
def test_every_state_that_ends_a_task_is_known_at_once_and_named(program, state):
    program("squeue", f"echo 'site banner'; echo '1 RUNNING None'; echo '2 {state} Reason'; echo '3 {state} by 123'")
    scheduler = slurm.Slurm()
    assert scheduler.active("17") == {1: "RUNNING"}
    assert sorted(scheduler.ends) == [("17", 2), ("17", 3)]
    assert state in scheduler.explain("17", 2)
    assert "scancel 17_2" in program.calls()


@pytest.mark.parametrize(
    ("state", "retriable", "unlucky"),
    [
        ("NODE_FAIL", True, True),
        ("BOOT_FAIL", True, True),
        ("PREEMPTED", True, True),
        ("LAUNCH_FAILED", True, True),
        ("RECONFIG_FAIL", True, True),
        ("REQUEUE_HOLD", True, True),
        ("OUT_OF_MEMORY", True, False),
        ("TIMEOUT", False, False),
        ("DEADLINE", False, False),
        ("CANCELLED", False, False),
        ("REVOKED", False, False),
        ("SPECIAL_EXIT", False, False),
        ("RESV_DEL_HOLD", False, False),
    ],
)
def test_another_attempt_follows_where_it_helps(state, retriable, unlucky):
    ended = State(task=1, status="lost", reason=slurm.ENDS[state] + " on n1")
    assert (ended.retriable, ended.unlucky) == (retriable, unlucky)


def test_states_in_which_it_waits_or_that_we_do_not_know_go_on(program):
    lines = [f"{index} {state} None" for index, state in enumerate([*slurm.ACTIVE, "BRAND_NEW"], start=1)]
    program("squeue", f"printf '%s\\n' {' '.join(repr(line) for line in lines)} '90 COMPLETED None' '91 FAILED x'")
    assert sorted(slurm.Slurm().active("17")) == list(range(1, len(lines) + 1))


def test_a_pending_task_that_never_starts_is_cancelled_and_named(program):
    program("squeue", "echo 'N/A PENDING DependencyNeverSatisfied'")
    scheduler = slurm.Slurm()
    assert scheduler.active("17") == {}
    assert "can never be met" in scheduler.explain("17", 1)
    assert "scancel 17" in program.calls()


def test_a_job_of_another_cluster_is_asked_for_there(program):
    program("squeue", "")
    scheduler = slurm.Slurm()
    assert scheduler.active("17;east") == {}
    scheduler.cancel("17;east")
    assert program.calls()[0].startswith("squeue -M east -h -r -t all -j 17 ")
    assert program.calls()[-1] == "scancel -M east 17"


def test_accounting_tells_what_the_controller_forgot(program):
    program(
        "sacct",
        "echo banner; echo '17_1|COMPLETED|0:0|n1'; echo '17_2|CANCELLED by 123|0:15|n2'; echo '17_3|NODE_FAIL|0:0|n3'",
    )
    scheduler = slurm.Slurm()
    assert scheduler.explain("17", 2) == "cancelled by somebody else (Slurm: CANCELLED) on n2"
    assert scheduler.explain("17", 3) == "its node failed (Slurm: NODE_FAIL) on n3"
    assert scheduler.explain("17", 4) == ""


QSTAT = """banner of the site
<?xml version='1.0'?><job_info><queue_info>{}</queue_info></job_info>"""
JOB = "<job_list><JB_job_number>9</JB_job_number><state>{}</state><tasks>{}</tasks></job_list>"


def test_what_grid_engine_deletes_or_cannot_start_is_known_at_once(program):
    jobs = JOB.format("r", "1") + JOB.format("Eqw", "2") + JOB.format("dr", "3-4:1") + JOB.format("hqw", "5,6,x")
    program(
        "qstat",
        f'if [[ $1 == -j ]]; then echo "error reason 2: no such folder"; else cat <<E\n{QSTAT.format(jobs)}\nE\nfi',
    )
    scheduler = sge.Sge()
    assert sorted(scheduler.active("9")) == [1, 5, 6]
    assert scheduler.explain("9", 2) == "could not start (Grid Engine: no such folder)"
    assert scheduler.explain("9", 3) == "cancelled by somebody else (Grid Engine: deleted, dr)"
    assert [call for call in program.calls() if call.startswith("qdel")] == ["qdel 9 -t 2"]


@pytest.mark.parametrize("output", ["", "no xml", "<job_info>"])
def test_a_master_that_answers_nonsense_is_asked_again(program, output):
    program("qstat", f"echo '{output}'")
    assert sge.Sge().active("9") is None


@pytest.mark.parametrize(
    ("fields", "words", "retriable", "unlucky"),
    [
        ({"failed": "21  : in recognizing job"}, "its host failed to run it", True, True),
        ({"failed": "7 : before prolog"}, "its host failed to run it", True, True),
        ({"failed": "25  : rescheduling"}, "rescheduled", True, True),
        ({"failed": "24  : migrating"}, "rescheduled", True, True),
        ({"failed": "26  : opening input/output file", "exit_status": "1"}, "Grid Engine: failed 26", True, False),
        ({"failed": "37  : qmaster enforced h_rt, h_cpu, or h_vmem limit"}, "over its time limit", False, False),
        ({"failed": "100 : assumedly after job", "exit_status": "137 (Killed)"}, "out of memory", True, False),
        (
            {"failed": "100 : assumedly after job", "exit_status": "137", "deleted_by": "ann"},
            "cancelled by ann",
            False,
            False,
        ),
        ({"failed": "0", "exit_status": "3"}, "", True, False),
        ({}, "", True, False),
        ({"failed": "much", "exit_status": "?", "category": "h_rt=x", "ru_wallclock": "-"}, "", True, False),
    ],
)
def test_accounting_of_grid_engine(fields, words, retriable, unlucky):
    said = sge.explain_record(fields)
    state = State(task=1, status="lost", reason=said)
    assert said.startswith(words) or words in said
    assert (bool(said), state.retriable, state.unlucky) == (bool(words), retriable, unlucky)


@MANY
@given(SEEDS)
def test_any_record_is_explained(seed):
    names = ["failed", "exit_status", "category", "ru_wallclock", "deleted_by"]
    words = [*ODD, "0", "25", "37 : h_rt", "100 : after job", "137", "h_rt=60", "h_rt=x", "61s", "61", "ann", "NONE"]
    values = drawn(seed, words, len(names))
    said = sge.explain_record(dict(zip(names, values)))
    assert said or not any(value.startswith(("25", "37", "100")) for value in values[:1])


@pytest.mark.parametrize(("num_tries", "reason", "attempts"), [
    ("1", "its node failed (Slurm: NODE_FAIL)", 1 + UNLUCKY_TRIES),
    ("2", "its node failed (Slurm: NODE_FAIL)", 2 + UNLUCKY_TRIES),
    ("2", "out of memory (Slurm: OUT_OF_MEMORY)", 2),
    ("3", "cancelled by somebody else (Slurm: CANCELLED)", 1),
])  # fmt: skip
def test_attempts_are_bounded(tmp_path, monkeypatch, num_tries, reason, attempts):
    monkeypatch.chdir(tmp_path)
    made = []

    def run_round(tasks, attempt, before):
        made.append(attempt)
        return {task: State(task=task, status="lost", attempt=attempt, reason=reason) for task in tasks}

    with pytest.raises(SystemExit) as caught:
        run_all("x", Request(log="x.log", command=["true"], options={"num_tries": num_tries}), run_round)
    assert (caught.value.code, made) == (1, list(range(1, attempts + 1)))


def test_a_state_that_ends_a_task_ends_the_wait_without_its_grace(program, tmp_path):
    """The stand-in's job never starts; squeue says PREEMPTED the first time and nothing later, where a retry is done."""
    program("squeue", 'if [[ "$*" == *"-j 1 "* ]]; then echo "N/A PREEMPTED None"; fi')
    program("sbatch", 'n=$(ls jobs 2> /dev/null | wc -l); mkdir -p jobs; touch jobs/$n; for s; do :; done; '
                      '((n == 0)) || bash "$s"; echo hello; echo $((n + 1))')  # fmt: skip
    command = [sys.executable, ROOT / "utils/slurm.py", "x.log", "echo", "ran"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "attempt 2 of 3: 1 of 1 jobs again (preempted by another job (Slurm: PREEMPTED))" in done.stderr
    assert "ran\n" in (tmp_path / "x.log").read_text()


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("4g", "4G"),
        ("4G", "4G"),
        ("4096M", "4096M"),
        ("4GB", "4G"),
        ("1.5g", "1536M"),
        ("500", "500"),
        ("much", "much"),
    ],
)
def test_memory_in_the_usual_notations(text, plain):
    assert plain_memory(text) == plain
    assert parse(["--mem", text, "x.log", "true"]).options["mem"] == plain


WORDS = [
    *("JOB=1:3 JOB= JOB=3:1 JOB=0 J=5 JOB=1:1000001 JOB=٣ JOB=-1:2 JOB=1:2:3 JOB=x JOB=1. x.JOB.log x.log true | -tc -l".split()),
    *("--mem --mem=4g --mem=x --num-tries=2 --num-tries=0 --time=1-2:3 --gpu=9 --gpu=٣ --pick=all --pick=none --x".split()),
    "JOB=1:2\n", "JOB=1:" + "9" * 5000, "--max-jobs-run=" + "9" * 30, "--num-threads=1e9", "--num-nodes= 2", "--config=",
    *ODD,
]  # fmt: skip


@MANY
@given(SEEDS)
def test_any_command_line_is_understood_or_refused(seed):
    words = drawn(seed, WORDS, 6)
    try:
        request = parse(words, pass_on=True)
        check_options(request.options)
    except UsageError:
        return
    assert 1 <= request.first <= request.last <= request.first + 999_999
    assert request.command and Path(request.log).name
    assert all(
        int(request.options.get(name, 1)) < 10**6 for name in ("num_threads", "num_tries", "max_jobs_run", "gpu")
    )


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]", "[" * 100_000])
def test_a_broken_record_of_jobs_is_said_and_passed_over(tmp_path, monkeypatch, capsys, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf.x").write_text("command submit\n")
    array = job_queue.Array(parse(["x.log", "true"]), slurm.Slurm(), job_queue.read_conf(tmp_path / "conf.x"))
    array.record.parent.mkdir(parents=True)
    array.record.write_text(text)
    array.prepare()
    assert "is no list of jobs" in capsys.readouterr().err
    assert json.loads((array.request.folder / "request.json").read_text())["log"] == "x.log"


def test_a_planted_link_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(job_array.os, "getpid", lambda: 5)
    monkeypatch.setattr(job_array.threading, "get_ident", lambda: 6)
    monkeypatch.setattr(job_array.socket, "gethostname", lambda: "h")
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "x.h.5.6.tmp").symlink_to(tmp_path / "precious")
    job_array.write_whole(tmp_path / "x", "new")
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / "x").read_text() == "new"
    assert not (tmp_path / "x").is_symlink()


def test_grid_engine_within_banners(program, tmp_path):
    """The stand-in runs what is submitted at once; a banner ends in a number, and qstat prints one before its XML."""
    program("qsub", 'for s; do :; done; echo "5 jobs of yours"; SGE_TASK_ID=1 bash "$s" >&2; SGE_TASK_ID=2 bash "$s" >&2; '
                    'echo 9.1-2:1; echo "2026 bye"')  # fmt: skip
    program("qstat", "echo banner; echo '<job_info></job_info>'")
    command = [sys.executable, ROOT / "utils/sge.py", "--mem", "4g", "JOB=1:2", "x.JOB.log", "echo", "ran", "JOB"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ran 2\n" in (tmp_path / "x.2.log").read_text()
    assert [call for call in program.calls() if "ram_free=4G" in call]


def test_the_users_account_reaches_sbatch_unless_we_run_inside_a_job(program, tmp_path):
    program("squeue", "")
    program("sbatch", 'env | grep ^SBATCH_ > seen; for s; do :; done; bash "$s"; echo 7')
    command = [sys.executable, ROOT / "utils/slurm.py", "x.log", "true"]
    own = os.environ | {"SBATCH_ACCOUNT": "p42"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=own)
    assert (done.returncode, done.stderr, (tmp_path / "seen").read_text()) == (0, "", "SBATCH_ACCOUNT=p42\n")
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=own | {"SLURM_JOB_ID": "3"})
    assert (done.returncode, (tmp_path / "seen").read_text()) == (0, "")
    assert "inside job 3: its SLURM_* variables, and SBATCH_ACCOUNT, are ignored" in done.stderr
