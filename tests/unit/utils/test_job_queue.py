"""Submission to schedulers, with a stand-in for the scheduler; tests/cluster has the real ones."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import job_queue
import pytest
import sge
import slurm
from job_queue import Array, SubmitError, job_script, raised, read_conf, translate
from job_request import Request, UsageError, parse, ranges

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests/golden/job_scripts"


def conf_of(tmp_path, text):
    (tmp_path / "slurm.conf").write_text(text)
    return read_conf(tmp_path / "slurm.conf")


def test_a_conf_file_in_kaldis_syntax(tmp_path):
    """Lines of Kaldi's own default; defaults may come after the options they feed."""
    conf = conf_of(
        tmp_path,
        """# comment
command sbatch --export=PATH -S /bin/bash   # with options
option mem=* --mem-per-cpu $0
option mem=0          # Do not add anything
option num-threads=1
option gpu=* -p gpu --gres=gpu:$0 --comment 'two words'
option gpu=0 -p shared
default gpu=0
""",
    )
    assert conf.command == ["sbatch", "--export=PATH", "-S", "/bin/bash"]
    assert conf.defaults == {"gpu": "0"}
    assert conf.names() == ["gpu", "mem", "num_threads"]
    assert translate(conf, {"gpu": "0", "mem": "0"}) == ["-p", "shared"]
    assert translate(conf, {"gpu": "2"}) == ["-p", "gpu", "--gres=gpu:2", "--comment", "two words"]
    assert translate(conf, {"mem": "4G", "max_jobs_run": "3", "pick": "all"}) == ["--mem-per-cpu", "4G"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("option mem=* --mem $0\n", "slurm.conf: no line 'command ...'"),
        ("command sbatch\noptoin mem=* x\n", "slurm.conf:2: expected 'command ...'"),
        ("command sbatch\noption mem --mem $0\n", "slurm.conf:2: expected"),
        ("command sbatch\ndefault gpu=0 x\n", "slurm.conf:2: expected"),
    ],
)
def test_a_bad_conf_file_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        conf_of(tmp_path, text)


def test_a_conf_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"none\.conf"):
        read_conf(tmp_path / "none.conf")


def test_an_option_that_the_conf_does_not_describe_is_named(tmp_path):
    conf = conf_of(tmp_path, "command sbatch\noption num_threads=1\n")
    with pytest.raises(UsageError, match=r"no line 'option num_threads=2 \.\.\.' or"):
        translate(conf, {"num_threads": "2"})


@pytest.mark.parametrize(("memory", "factor", "expected"), [("4G", 2, "8G"), ("1.5G", 2, "3072M"), ("500", 4, "2000")])
def test_memory_is_raised(memory, factor, expected):
    assert raised(memory, factor) == expected


@pytest.mark.parametrize("kind", ["slurm", "sge"])
def test_our_conf_files_know_every_option(kind):
    conf = read_conf(ROOT / f"utils/conf/{kind}.conf")
    options = {"mem": "4G", "gpu": "1", "num_threads": "2", "time": "4:00:00"}
    words = " ".join(translate(conf, options))
    assert (
        words
        == {
            "slurm": "--mem=4G --gres=gpu:1 --cpus-per-task=2 --time=4:00:00",
            "sge": "-l ram_free=4G -l gpu=1 -pe smp 2 -l h_rt=4:00:00",
        }[kind]
    )
    assert translate(conf, conf.defaults) == []


@pytest.mark.parametrize("scheduler", [slurm.Slurm(), sge.Sge()])
@pytest.mark.parametrize(("name", "tasks"), [("single", [1]), ("array", [1, 2, 3]), ("rest", [2, 5])])
def test_job_scripts_are_the_golden_ones(scheduler, name, tasks):
    words = ["JOB=1:5", "/exp/log/x.JOB.log", "echo", "it's task JOB", "|", "cat"]
    script = job_script(parse(words), scheduler, tasks, attempt=1)
    script = script.replace(sys.executable, "python3").replace(f"{ROOT}/", "")
    golden = GOLDEN / f"{scheduler.name.removesuffix('.py')}-{name}.sh"
    if os.environ.get("WRITE_GOLDEN"):
        golden.write_text(script)
    assert script == golden.read_text()


def test_scripts_pass_shellcheck(tmp_path):
    scripts = sorted(GOLDEN.glob("*.sh"))
    assert len(scripts) == 6
    done = subprocess.run([Path(sys.executable).with_name("shellcheck"), *scripts], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_options_of_arrays():
    output = Path("/q/out")
    assert slurm.Slurm().array_options("x", 8, 2, output)[-1] == "--array=1-8%2"
    assert not any("array" in word for word in slurm.Slurm().array_options("x", 1, 2, output))
    assert sge.Sge().array_options("3x", 8, 2, output)[-4:] == ["-t", "1-8", "-tc", "2"]
    assert sge.Sge().array_options("3x", 8, None, output)[6:8] == ["-N", "_3x"]


@pytest.mark.parametrize(("text", "expected"), [("1-7:2", [1, 3, 5, 7]), ("3", [3]), ("1-2:1,9", [1, 2, 9])])
def test_grid_engines_lists_of_tasks(text, expected):
    assert sge.indices(text) == expected


def test_ranges_of_tasks():
    assert ranges([3, 1, 2, 7, 9, 10]) == "1-3,7,9-10"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"failed": "37  : qmaster enforced h_rt limit", "exit_status": "137"}, "over its time limit"),
        (
            {"failed": "100 : after job", "exit_status": "137", "category": "-l h_rt=60", "ru_wallclock": "61s"},
            "over its time",
        ),
        (
            {"failed": "100 : after job", "exit_status": "137", "category": "-l h_rt=60", "ru_wallclock": "9s"},
            "out of memory",
        ),
        ({"failed": "26  : opening output file", "exit_status": "0"}, "Grid Engine: failed 26"),
        ({"failed": "25  : rescheduling", "exit_status": "0"}, "rescheduled"),
        ({"failed": "0", "exit_status": "1"}, ""),
    ],
)
def test_what_grid_engines_accounting_says(fields, expected):
    explanation = sge.explain_record(fields)
    assert explanation.startswith(expected) or expected in explanation
    assert bool(explanation) == bool(expected)


class StandIn:
    """Runs what is submitted here and now; `does` may replace what happens to (job number, index)."""

    name, index_variable, sets_devices = "stand_in.py", "INDEX", True

    def __init__(self, size=1000, does=None):
        self.size, self.does, self.commands, self.cancelled, self.explanation = size, does or {}, [], [], ""
        self.ends = {}

    def largest_index(self):
        return self.size

    def array_options(self, job_name, size, at_once, output):
        return [f"size={size}", f"at_once={at_once}"]

    def submit(self, command):
        self.commands.append(command)
        job = len(self.commands)
        for index in range(1, 1 + int(command[1].partition("=")[2])):
            action = self.does.get((job, index), "run")
            if action == "refuse":
                raise SubmitError("invalid partition")
            if action == "run":
                subprocess.run(["bash", command[-1]], env=os.environ | {"INDEX": str(index)}, check=False)
        return str(job)

    def active(self, job):
        return None if self.does.get("down") else {}

    def explain(self, job, index):
        return self.explanation

    def avoid(self, nodes):
        return [f"not={','.join(nodes)}"]

    def cancel(self, job):
        self.cancelled.append(job)


@pytest.fixture
def array(tmp_path, monkeypatch):
    """array(scheduler, *words) -> (Array, request) with short waits."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stand_in.conf").write_text("command submit\noption mem=* --mem=$0\n")

    def make(scheduler, *words):
        request = parse(list(words), pass_on=True)
        made = Array(request, scheduler, read_conf(tmp_path / "stand_in.conf"))
        made.poll_seconds, made.grace_seconds = 0.01, 0.05
        made.prepare()
        return made

    return make


def test_states_are_what_the_tasks_wrote(array, tmp_path):
    made = array(StandIn(), "JOB=1:3", "log/x.JOB.log", "sh", "-c", "echo it\\'s JOB; exit $((JOB - 1))")
    states = made.run_round([1, 2, 3], 1, {})
    assert [(state.status, state.code) for state in states.values()] == [("done", 0), ("failed", 1), ("failed", 2)]
    assert "it's 2\n" in (tmp_path / "log/x.2.log").read_text()
    assert not made.record.exists()


def test_a_task_that_is_gone_without_a_word_is_lost_and_the_schedulers_word_is_kept(array):
    scheduler = StandIn(does={(1, 2): "vanish"})
    made = array(scheduler, "JOB=1:2", "x.JOB.log", "true")
    state = made.run_round([1, 2], 1, {})[2]
    assert (state.status, state.retriable) == ("lost", True)
    assert "it left no state" in str(state)
    scheduler.explanation = "over its time limit (Slurm: TIMEOUT)"
    scheduler.does = {(2, 1): "vanish"}
    state = made.run_round([2], 2, {})[2]
    assert (str(state), state.retriable) == (scheduler.explanation, False)


def test_arrays_larger_than_the_scheduler_takes_are_split(array, tmp_path):
    scheduler = StandIn(size=4)
    made = array(scheduler, "--max-jobs-run", "6", "JOB=1:10", "x.JOB.log", "touch", "did.JOB")
    states = made.run_round(list(range(1, 11)), 1, {})
    assert {state.status for state in states.values()} == {"done"}
    assert len(list(tmp_path.glob("did.*"))) == 10
    assert [command[1:3] for command in scheduler.commands] == [["size=4", "at_once=2"]] * 2 + [["size=2", "at_once=2"]]


def test_tasks_out_of_memory_get_twice_as_much_and_only_they(array, capsys):
    scheduler = StandIn(does={(1, 3): "vanish"})
    scheduler.explanation = "out of memory (Slurm: OUT_OF_MEMORY)"
    made = array(scheduler, "--mem", "3G", "JOB=1:3", "x.JOB.log", "test", "JOB", "-ne", "2")
    first = made.run_round([1, 2, 3], 1, {})
    second = made.run_round([2, 3], 2, first)
    assert [command[3] for command in scheduler.commands] == ["--mem=3G", "--mem=3G", "--mem=6G"]
    assert [command[1] for command in scheduler.commands] == ["size=3", "size=1", "size=1"]
    assert {task: state.status for task, state in second.items()} == {2: "failed", 3: "done"}
    assert "3 ran out of memory: now with --mem 6G" in capsys.readouterr().err


def test_the_next_attempt_keeps_off_a_node_that_failed(array, capsys):
    scheduler = StandIn(does={(1, 1): "vanish"})
    scheduler.explanation = "Slurm: FAILED, JobLaunchFailure on n1"
    made = array(scheduler, "x.log", "true")
    first = made.run_round([1], 1, {})
    assert made.run_round([1], 2, first)[1].status == "done"
    assert ["not=n1" in command for command in scheduler.commands] == [False, True]
    scheduler.does = {(3, 1): "refuse"}  # there is no other node
    again = made.run_round([1], 2, first)
    assert again[1].status == "done"
    assert ["not=n1" in command for command in scheduler.commands] == [False, True, True, False]
    assert "there are no other nodes: not=n1 is dropped" in capsys.readouterr().err


def test_a_refused_job_is_fatal_and_cancels_what_was_submitted(array, capsys):
    scheduler = StandIn(size=1, does={(2, 1): "refuse"})
    made = array(scheduler, "-p", "nosuch", "JOB=1:2", "x.JOB.log", "true")
    with pytest.raises(SystemExit):
        made.run_round([1, 2], 1, {})
    assert scheduler.cancelled == ["1"]
    assert "-p nosuch" in capsys.readouterr().err


def test_a_signal_cancels(array):
    scheduler = StandIn(does={(1, 1): "vanish", "down": True})
    made = array(scheduler, "x.log", "true")
    made.stopped_by = signal.SIGTERM
    with pytest.raises(SystemExit) as caught:
        made.run_round([1], 1, {})
    assert (caught.value.code, scheduler.cancelled, made.record.exists()) == (143, ["1"], False)


def test_a_scheduler_that_does_not_answer_is_waited_for(array):
    scheduler = StandIn(does={(1, 1): "vanish", "down": True})
    made = array(scheduler, "x.log", "true")
    calls = []

    def active(job):
        calls.append(job)
        scheduler.does["down"] = len(calls) < 3
        return None if scheduler.does["down"] else {}

    scheduler.active = active
    started = time.time()
    assert made.run_round([1], 1, {})[1].status == "lost"
    assert len(calls) >= 3
    assert time.time() - started > 2  # one question a second


def test_jobs_that_a_killed_submitter_left_are_cancelled_first(array, capsys):
    scheduler = StandIn()
    made = array(scheduler, "x.log", "true")
    made.record.write_text(json.dumps(["17"]))
    scheduler.active = lambda job: {} if scheduler.cancelled else {1: "RUNNING"}
    made.prepare()
    assert scheduler.cancelled == ["17"]
    assert "cancelling job 17 of an earlier, killed submission" in capsys.readouterr().err


def test_variables_of_a_job_around_us_are_forgotten_which_is_said(monkeypatch, capsys):
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "2")
    monkeypatch.setenv("SBATCH_PARTITION", "x")
    monkeypatch.setenv("SLURM_CONF", "kept")
    job_queue.clean_environment("slurm.py")
    assert [name for name in os.environ if name.startswith(("SLURM", "SBATCH"))] == ["SLURM_CONF"]
    said = capsys.readouterr().err
    assert said.startswith("slurm.py: inside job 5: its SLURM_* variables, and SBATCH_PARTITION, are ignored")
    assert len(said.splitlines()) == 1


def test_outside_a_job_the_users_own_variables_stay_but_for_those_that_change_what_a_job_is(monkeypatch, capsys):
    for name in ("SBATCH_ACCOUNT", "SBATCH_WAIT", "SLURM_CLUSTERS", "SQUEUE_FORMAT"):
        monkeypatch.setenv(name, "x")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    job_queue.clean_environment("slurm.py")
    left = {name for name in os.environ if name.startswith(("SLURM_C", "SBATCH", "SQUEUE"))} - {"SLURM_CONF"}
    assert left == {"SBATCH_ACCOUNT", "SLURM_CLUSTERS"}
    assert "SBATCH_WAIT: ignored" in capsys.readouterr().err


def test_the_recipes_own_conf_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert job_queue.find_conf({}, "slurm") == ROOT / "utils/conf/slurm.conf"
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/slurm.conf").touch()
    assert job_queue.find_conf({}, "slurm") == Path("conf/slurm.conf")
    assert job_queue.find_conf({"config": "x"}, "slurm") == Path("x")


def test_names_and_folders():
    request = Request(log="/exp/log/x.JOB.log", command=["true"], word="JOB", last=2)
    assert (request.name, str(request.folder)) == ("x", "/exp/q/x.JOB")
    assert Request(log="/exp/y.log", command=["true"]).folder == Path("/exp/q/y")


@pytest.mark.parametrize("program", ["slurm.py", "sge.py"])
def test_without_the_scheduler_the_program_says_so(program, tmp_path):
    command = [sys.executable, ROOT / "utils" / program, "x.log", "true"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={"PATH": "/nonexistent"})
    assert done.returncode == 1
    assert "is not there; is this machine part of the cluster" in done.stderr
    assert "Traceback" not in done.stderr
