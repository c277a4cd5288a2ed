"""Grid Engine on this machine: Debian's packages, started by hand as root; jobs are submitted by an ordinary user."""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PROGRAMS = ("sge_qmaster", "sge_execd", "qsub", "qconf")
ROOT = Path("/var/lib/gridengine")
RUN = Path("/var/run/gridengine")
SPOOL = Path("/var/spool/gridengine")
EXECUTION_PID = SPOOL / "execd/localhost/execd.pid"
EXECUTION_HOST = """hostname localhost
load_scaling NONE
complex_values gpu=2,mem_free=16G,ram_free=16G
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
"""
PARALLEL = """pe_name smp
slots 999
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule $pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
"""


class CannotStart(RuntimeError):
    """Grid Engine does not run here; the message says why."""


class VirtualSge:
    """One master and one execution host with four slots, which schedule every second."""

    def __init__(self) -> None:
        missing = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
        if missing:
            raise CannotStart(
                f"not installed: {', '.join(missing)} (Debian: apt-get install gridengine-master gridengine-exec)"
            )
        if os.getuid() != 0:
            raise CannotStart("starting Grid Engine needs root")
        if not (ROOT / "default/common/bootstrap").exists():
            raise CannotStart(f"{ROOT}/default is not set up: gridengine-master was installed without a cell")
        users = [user for user in pwd.getpwall() if user.pw_uid >= 1000]
        if not users:
            raise CannotStart("Grid Engine takes no jobs of root, and there is no other user")
        self.user = users[0]
        path = f"{os.environ['PATH']}:/usr/sbin"
        self.env = {"SGE_ROOT": str(ROOT), "SGE_CELL": "default", "PATH": path, "LC_ALL": "C", "HOME": "/tmp"}

    def call(self, *words: str, check: bool = False) -> str:
        """Run one of Grid Engine's programs; its output."""
        done = subprocess.run(words, capture_output=True, text=True, env=self.env, preexec_fn=few_descriptors)
        if check and done.returncode:
            raise CannotStart(f"{' '.join(words)}: {(done.stderr + done.stdout).strip()}")
        return done.stdout

    def configure(self, option: str, text: str, name: str = "conf", check: bool = True) -> None:
        """Give qconf a file."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, name)
            file.write_text(text)
            self.call("qconf", option, str(file), check=check)

    def start(self) -> None:
        """Start the daemons, the one that executes on a port that nobody listens on; raises CannotStart."""
        for attempts_left in (2, 1, 0):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.env["SGE_EXECD_PORT"] = str(probe.getsockname()[1])
            try:
                self.start_daemons()
                return
            except CannotStart as error:  # the usual port, and any other one, may be taken in the meantime
                self.stop()
                if "can't bind" not in str(error) or not attempts_left:
                    raise

    def start_daemons(self) -> None:
        """Start the master, configure it, start the execution daemon; raises CannotStart."""
        RUN.mkdir(exist_ok=True)
        owner = pwd.getpwnam("sgeadmin")
        os.chown(RUN, owner.pw_uid, owner.pw_gid)
        # 127.0.0.1 resolves back to localhost: to Grid Engine the two must be one host.
        (ROOT / "default/common/host_aliases").write_text(f"localhost {socket.gethostname()}\n")
        self.call("sge_qmaster", check=True)
        self.wait_for(lambda: "global" in self.call("qconf", "-sconf"), "the master does not answer")
        self.call("qconf", "-as", "localhost")
        complexes = re.sub(r"(?m)^((?:mem_free|ram_free|gpu) .*\n)", "", self.call("qconf", "-sc"))
        ours = (
            "mem_free mf MEMORY <= YES YES 0 0\ngpu gpu INT <= YES YES 0 0\nram_free ram_free MEMORY <= YES JOB 0 0\n"
        )
        self.configure("-Mc", complexes + ours)
        exists = "localhost" in self.call("qconf", "-sel")
        self.configure("-Me" if exists else "-Ae", EXECUTION_HOST)
        self.configure(
            "-Mhgrp" if "@allhosts" in self.call("qconf", "-shgrpl") else "-Ahgrp",
            "group_name @allhosts\nhostlist localhost\n",
        )
        self.configure("-Mp" if "smp" in self.call("qconf", "-spl") else "-Ap", PARALLEL)
        queue = self.call("qconf", "-sq")
        for key, value in (
            ("qname", "all.q"), ("hostlist", "@allhosts"), ("load_thresholds", "NONE"), ("pe_list", "smp"), ("slots", "4"),
            ("shell", "/bin/bash"), ("shell_start_mode", "unix_behavior"),
        ):  # fmt: skip
            queue = re.sub(rf"(?m)^({key} +).*", rf"\g<1>{value}", queue)
        self.configure("-Mq" if "all.q" in self.call("qconf", "-sql") else "-Aq", queue)
        scheduler = re.sub(r"(?m)^(schedule_interval +).*", r"\g<1>0:0:1", self.call("qconf", "-ssconf"))
        self.configure("-Msconf", re.sub(r"(?m)^(flush_(?:submit|finish)_sec +).*", r"\g<1>1", scheduler))
        settings = self.call("qconf", "-sconf")
        settings = re.sub(r"(?m)^((?:max_unheard|reschedule_unknown) +).*", r"\g<1>00:00:05", settings)
        settings = re.sub(r"(?m)^(load_report_time +).*", r"\g<1>00:00:02", settings)
        settings = settings.replace("flush_time=00:00:15", "flush_time=00:00:01")
        if "accounting_flush_time" not in settings:
            settings = settings.replace("joblog=false", "accounting_flush_time=00:00:00 joblog=false")
        self.configure("-Mconf", settings, name="global")
        self.call("sge_execd", check=True)
        self.wait_for(
            lambda: re.search(r"all\.q@\S+\s+BIP\s+\d+/\d+/4\s+[\d.]+\s+\S+\s*\n", self.call("qstat", "-f")), "no queue"
        )

    def wait_for(self, ready, what: str, seconds: float = 60) -> None:
        """Wait until `ready()`; raises CannotStart."""
        deadline = time.time() + seconds
        while not ready():
            if time.time() > deadline:
                raise CannotStart(f"{what}: {self.call('qstat', '-f')}")
            time.sleep(0.2)

    def stop_daemon(self, file: Path, seconds: float = 30) -> None:
        """End a daemon by the id in its file, and wait for its end."""
        if not file.exists():
            return
        pid = int(file.read_text())
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        deadline = time.time() + seconds
        while Path(f"/proc/{pid}").exists() and time.time() < deadline:
            time.sleep(0.1)
        with suppress(ProcessLookupError):  # one that will not end would keep its port
            os.kill(pid, signal.SIGKILL)

    def pause_execution(self, seconds: float) -> None:
        """Stop the execution daemon where it is, for so long: to the master its host is down."""
        pid = int(EXECUTION_PID.read_text())
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """Delete the jobs and stop both daemons."""
        self.call("qdel", "-f", "-u", "*")
        time.sleep(1)
        self.stop_daemon(EXECUTION_PID)
        self.stop_daemon(SPOOL / "qmaster/qmaster.pid")


def few_descriptors() -> None:
    """Grid Engine's daemons touch every possible file descriptor at their start: allow few."""
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
