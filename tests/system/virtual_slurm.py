"""A private Slurm on this machine: a controller and four virtual nodes, without root, systemd or cgroups."""

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
NODES = ("n1", "n2", "n3", "n4")
CONF = """ClusterName=testbed
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={root}/run/munge.socket,cred_expire=10
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/run/slurmctld.pid
SlurmdPidFile={root}/run/slurmd.%n.pid
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdLogFile={root}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=50000,bf_interval=2,batch_sched_delay=0
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
GresTypes=gpu
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=5
KillWait=2
MinJobAge={min_job_age}
MaxArraySize={max_array_size}
SlurmdParameters=config_overrides
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{p1}-{p2}] CPUs=4 RealMemory=64000 Gres=gpu:2 State=UNKNOWN
NodeName=n[3-4] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{p3}-{p4}] CPUs=4 RealMemory=64000 State=UNKNOWN
PartitionName=cpu Nodes=n[1-4] Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=n[1-2] MaxTime=1-00:00:00 State=UP
"""
# Two devices that every machine has stand for two GPUs.
GRES = "AutoDetect=off\nNodeName=n[1-2] Name=gpu File=/dev/null\nNodeName=n[1-2] Name=gpu File=/dev/zero\n"


class CannotStart(RuntimeError):
    """Slurm does not run here; the message says why."""


class VirtualSlurm:
    """Slurm's daemons under a folder, whose path must be short: sockets lie there.

    Parameters
    ----------
    root : Path
    min_job_age : int
        Seconds that Slurm remembers an ended job.
    max_array_size : int
    """

    def __init__(self, root: Path, min_job_age: int = 300, max_array_size: int = 1001) -> None:
        self.root = root
        missing = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
        if missing:
            raise CannotStart(f"not installed: {', '.join(missing)} (Debian: apt-get install slurm-wlm munge)")
        for name in ("etc", "state", "log", "run", *(f"spool/{node}" for node in NODES)):
            (root / name).mkdir(parents=True, exist_ok=True)
        port = free_ports(5)
        text = CONF.format(
            root=root, host=socket.gethostname().partition(".")[0], user=getpass.getuser(), port=port,
            p1=port + 1, p2=port + 2, p3=port + 3, p4=port + 4, min_job_age=min_job_age, max_array_size=max_array_size,
        )  # fmt: skip
        (root / "etc/slurm.conf").write_text(text)
        (root / "etc/gres.conf").write_text(GRES)
        (root / "etc/munge.key").write_bytes(os.urandom(1024))
        (root / "etc/munge.key").chmod(0o600)
        self.env = clean_environment() | {"SLURM_CONF": str(root / "etc/slurm.conf")}
        self.env["PATH"] += ":/usr/sbin"

    def call(self, *words: str, check: bool = True) -> str:
        """Run one of Slurm's programs; its output."""
        done = subprocess.run(words, capture_output=True, text=True, env=self.env)
        if check and done.returncode:
            raise CannotStart(f"{words[0]}: {done.stderr.strip() or done.returncode}")
        return done.stdout

    def start(self) -> None:
        """Start everything and wait until all nodes are idle; raises CannotStart."""
        run = self.root / "run"
        self.call(
            "munged", "--force", f"--key-file={self.root}/etc/munge.key", f"--socket={run}/munge.socket",
            f"--pid-file={run}/munged.pid", f"--log-file={self.root}/log/munged.log",
            f"--seed-file={run}/munge.seed", "--num-threads=2",
        )  # fmt: skip
        self.start_controller("-c")
        for node in NODES:
            self.start_node(node)
        self.wait_for_nodes()

    def start_controller(self, *options: str) -> None:
        """Start the controller."""
        self.call("slurmctld", *options)

    def start_node(self, node: str) -> None:
        """Start a node's daemon."""
        self.call("slurmd", "-N", node)

    def wait_for_nodes(self, seconds: float = 60) -> None:
        """Wait until every node is idle; raises CannotStart."""
        deadline = time.time() + seconds
        while len(self.call("sinfo", "-h", "-N", "-p", "cpu", "-t", "idle", check=False).splitlines()) < len(NODES):
            if time.time() > deadline:
                raise CannotStart(self.call("sinfo", "-N", "-l", check=False))
            time.sleep(0.1)

    def pid(self, name: str) -> int | None:
        """Process id of a daemon, from its file."""
        file = self.root / "run" / f"{name}.pid"
        return int(file.read_text()) if file.exists() and file.read_text().strip() else None

    def signal(self, name: str, signum: int) -> None:
        """Send a daemon a signal."""
        if pid := self.pid(name):
            with suppress(ProcessLookupError):
                os.kill(pid, signum)

    def stop(self) -> None:
        """End the jobs, then the daemons, by the ids in their files."""
        self.call("scancel", "-u", getpass.getuser(), check=False)
        deadline = time.time() + 10
        while self.call("squeue", "-h", check=False) and time.time() < deadline:
            time.sleep(0.2)
        for name in (*(f"slurmd.{node}" for node in NODES), "slurmctld", "munged"):
            self.signal(name, signal.SIGTERM)
            time.sleep(0.05)
        deadline = time.time() + 10
        names = [f"slurmd.{node}" for node in NODES] + ["slurmctld", "munged"]
        while any(self.pid(name) for name in names) and time.time() < deadline:
            time.sleep(0.1)

    def kill_node(self, node: str) -> None:
        """Cut a node's power: its daemon, its step daemons and every process of its jobs die at once."""
        doomed = [self.pid(f"slurmd.{node}")]
        jobs = {
            match[1]
            for path in (self.root / "spool" / node).iterdir()
            if (match := re.match(rf"{node}_(\d+)\.", path.name))
        }
        mine = {f"SLURMD_NODENAME={node}", f"SLURM_CONF={self.env['SLURM_CONF']}"}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_text().replace("\0", " ")
                environment = set((process / "environ").read_bytes().decode(errors="replace").split("\0"))
            except OSError:
                continue
            step = re.match(r"slurmstepd: \[(\d+)\.", words)
            if (step and step[1] in jobs) or mine <= environment:
                doomed.append(int(process.name))
        for pid in doomed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        (self.root / "run" / f"slurmd.{node}.pid").unlink()

    def nodes_of_jobs(self) -> list[str]:
        """Nodes on which something runs."""
        return self.call("squeue", "-h", "-t", "running", "-o", "%N").split()


def free_ports(count: int) -> int:
    """First of `count` ports in a row that nobody listens on."""
    for port in range(27000 + os.getpid() % 300 * 10, 60000, 10):
        try:
            for at in range(count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port + at))
        except OSError:
            continue
        return port
    raise CannotStart("no free ports")


def clean_environment() -> dict[str, str]:
    """Our environment without the variables of a Slurm job that the tests may run in."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
