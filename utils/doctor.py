#!/usr/bin/env python3
"""Say what is wrong with this machine for the recipes, and what to do about it; exits with 1 if something must be done.

    utils/doctor.py                                             packages, disk, ports, GPUs
    utils/doctor.py --corpora /corpora --launcher slurm          also the corpora and the cluster
    utils/doctor.py --launcher slurm --submit                    also runs a job there

Each line is `ok`, `warning` or `FAULT`; of the latter two, the cause and the remedy.
"""

import argparse
import importlib.metadata
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GIGABYTE = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Finding of a check; `remedy` is empty if all is well, and `fatal` says whether one can go on without it."""

    what: str
    cause: str = ""
    remedy: str = ""
    fatal: bool = True

    def __str__(self) -> str:
        if not self.remedy:
            return f"ok       {self.what}"
        return f"{'FAULT  ' if self.fatal else 'warning'}  {self.what}: {self.cause}\n         remedy: {self.remedy}"


def call(*words: str | Path, seconds: float = 60) -> tuple[int, str]:
    """Exit code and output of a program; 127 if it is not there, 124 if it takes too long."""
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}  # as path.sh sets it
    try:
        done = subprocess.run(
            list(map(str, words)), capture_output=True, text=True, timeout=seconds, check=False, env=env
        )
    except FileNotFoundError:
        return 127, f"{words[0]}: not there"
    except subprocess.TimeoutExpired:
        return 124, f"{words[0]}: no answer within {seconds:.0f} s"
    return done.returncode, (done.stdout + done.stderr).strip()


def last_line(text: str) -> str:
    return text.splitlines()[-1] if text else "no output"


def installed_version(name: str) -> str:
    """Version of a package, or `missing`."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def locked_packages(lock: str) -> list[tuple[str, str]]:
    """Names and versions of a lock; without those of CUDA where torch is built without it (TORCH=cpu make env)."""
    packages = re.findall(r"^([\w.-]+)==([\w.+]+)", lock, re.M)
    if not installed_version("torch").endswith("+cpu"):
        return packages
    return [(name, version) for name, version in packages if not re.match("triton$|nvidia-|cuda-", name)]


def check_python() -> Iterator[Finding]:
    """The interpreter, and the packages at the versions of the lock."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):  # noqa: UP036  (this is what the check is for)
        yield Finding(
            what=f"Python {version}", cause="3.11 or newer is needed", remedy="make PYTHON=/path/to/python3.11 env"
        )
    else:
        yield Finding(what=f"Python {version} ({sys.executable})")
    wrong = []
    for name, wanted in locked_packages((ROOT / "requirements.lock").read_text(encoding="utf-8")):
        found = installed_version(name)
        if found.split("+")[0] != wanted.split("+")[0]:
            wrong.append(f"{name} is {found}, the lock says {wanted}")
    if wrong:
        cause = "; ".join(wrong[:4]) + (f" and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        yield Finding(what="packages", cause=cause, remedy="make env, and run this with .venv/bin/python (. ./path.sh)")
    else:
        yield Finding(what="packages are those of requirements.lock")


def check_audio() -> Iterator[Finding]:
    """Check that m4a, as VoxCeleb2 has it, can be decoded: a second of it is made and read back."""
    script = (
        "import io, av, numpy\n"
        "file = io.BytesIO()\n"
        "with av.open(file, 'w', format='mp4') as out:\n"
        "    stream = out.add_stream('aac', rate=16000, layout='mono')\n"
        "    frame = av.AudioFrame.from_ndarray(numpy.zeros((1, 1024), numpy.float32), format='fltp', layout='mono')\n"
        "    frame.sample_rate = 16000\n"
        "    for _ in range(16): out.mux(stream.encode(frame))\n"
        "    out.mux(stream.encode(None))\n"
        "file.seek(0)\n"
        "with av.open(file) as source: print(sum(frame.samples for frame in source.decode(audio=0)))\n"
    )
    code, output = call(sys.executable, "-c", script)
    if code or not output.splitlines()[-1].isdigit() or int(output.splitlines()[-1]) < 16000:
        yield Finding(
            what="decoding of m4a", cause=last_line(output), remedy="make env (the package av carries FFmpeg's codecs)"
        )
    else:
        yield Finding(what="m4a is decoded (av)")
    if shutil.which("ffmpeg") is None:
        yield Finding(
            what="ffmpeg",
            cause="no such program",
            fatal=False,
            remedy="none needed here; Kaldi's own recipes would: apt-get install ffmpeg",
        )


def check_disk(folder: Path, wanted: int) -> Iterator[Finding]:
    """Free space and inodes where data and experiments go, and whether files can be renamed and locked there."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < wanted * GIGABYTE:
        yield Finding(
            what=f"disk of {folder}",
            cause=f"{free / GIGABYTE:.0f} GB free; VoxCeleb1 needs about {wanted}",
            fatal=free < GIGABYTE,
            remedy="--data DIR --exp DIR on another disk, --compress true, or fewer --snrs; --mini needs 1 GB",
        )
    else:
        yield Finding(what=f"disk of {folder}: {free / GIGABYTE:.0f} GB free")
    stat = os.statvfs(folder)
    if stat.f_files and stat.f_favail < 100_000:
        yield Finding(
            what=f"disk of {folder}",
            cause=f"{stat.f_favail} inodes free",
            remedy="remove small files, or use another disk",
        )
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            os.fsync(file.fileno())
    except OSError as error:
        yield Finding(
            what=f"writing in {folder}", cause=str(error), remedy="make it yours, or --data DIR --exp DIR elsewhere"
        )


def check_limits() -> Iterator[Finding]:
    """Open files, shared memory, and ports of this machine's own."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1024:
        yield Finding(
            what="open files", cause=f"a process may have {soft}", remedy=f"ulimit -n {min(hard, 65536)}", fatal=False
        )
    shared = shutil.disk_usage("/dev/shm") if Path("/dev/shm").is_dir() else None
    if shared is None or shared.free < GIGABYTE:
        size = "absent" if shared is None else f"{shared.free / GIGABYTE:.1f} GB free"
        yield Finding(
            what="/dev/shm",
            cause=f"{size}; loading with worker processes needs it",
            fatal=False,
            remedy="docker run --shm-size 8g, or [train] num_workers = 0",
        )
    try:
        with socket.create_server((socket.gethostname(), 0)) as server:
            socket.create_connection(server.getsockname()[:2], timeout=5).close()
        yield Finding(what=f"ports: {socket.gethostname()} reaches itself by its name")
    except OSError as error:
        yield Finding(
            what="ports",
            cause=f"{socket.gethostname()} does not reach itself by its name ({error})",
            remedy="give the name an address in /etc/hosts; training in several processes needs it",
        )


def check_gpus() -> Iterator[Finding]:
    """GPUs, whether torch uses them, and whether processes on all of them can talk to each other."""
    code, listing = call("nvidia-smi", "--list-gpus")
    count = len([line for line in listing.splitlines() if line.startswith("GPU")]) if code == 0 else 0
    if count == 0:
        yield Finding(what="GPUs: none; training runs on CPUs")
        return
    code, output = call(sys.executable, "-c", "import torch; print(torch.version.cuda, torch.cuda.device_count())")
    if code or last_line(output).split()[-1] != str(count):
        yield Finding(
            what="GPUs",
            cause=f"nvidia-smi lists {count}, torch says {last_line(output)!r} (its CUDA, its GPUs)",
            remedy="update the driver to one for torch's CUDA, or check CUDA_VISIBLE_DEVICES",
        )
        return
    yield Finding(what=f"GPUs: {count}, torch uses them")
    if count > 1:
        yield from ping(count, "nccl")


def ping(count: int, backend: str) -> Iterator[Finding]:
    """Add a number over processes, one per GPU."""
    script = (
        "import os, torch, torch.distributed as dist\n"
        f"backend = {backend!r}\n"
        "device = torch.device('cuda', int(os.environ['LOCAL_RANK'])) if backend == 'nccl' else torch.device('cpu')\n"
        "dist.init_process_group(backend)\n"
        "value = torch.ones(1, device=device)\n"
        "dist.all_reduce(value)\n"
        "assert int(value) == dist.get_world_size(), value\n"
        "dist.destroy_process_group()\n"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(script)
        file.flush()
        torchrun = (
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            str(count),
            file.name,
        )
        code, output = call(*torchrun, seconds=180)
    if code:
        errors = re.findall(r"\w+Error: .+", output)
        yield Finding(
            what=f"{backend} between {count} processes",
            cause=errors[0] if errors else last_line(output),
            remedy="NCCL_DEBUG=INFO says more; NCCL_P2P_DISABLE=1 or NCCL_IB_DISABLE=1 often helps; --num-gpus 1 goes without",
        )
    else:
        yield Finding(what=f"{backend} between {count} processes")


def check_scheduler(launcher: str) -> Iterator[Finding]:
    """Check that the scheduler's programs are there and answer."""
    programs = {"slurm": (("sbatch",), ("squeue", "-h"), ("sinfo", "-h")), "sge": (("qsub",), ("qstat",), ("qhost",))}
    for program, *options in programs[launcher]:
        if shutil.which(program) is None:
            yield Finding(
                what=launcher,
                cause=f"{program} is not on the PATH",
                remedy="run this on a machine that submits, or load the scheduler's module",
            )
            return
        if options or program in ("qstat", "qhost"):
            code, output = call(program, *options, seconds=30)
            if code:
                yield Finding(
                    what=launcher,
                    cause=f"{program}: {last_line(output)}",
                    remedy="ask the cluster's administrators; is it up?",
                )
                return
    if launcher == "slurm":
        _, output = call("sinfo", "-h", "-o", "%D %t")
        states = dict(line.split()[::-1] for line in output.splitlines())
        if not {"idle", "mix", "alloc"} & {state.rstrip("*~#%$@+") for state in states}:
            yield Finding(
                what="slurm",
                cause=f"no node can run a job: {output}",
                remedy="sinfo -R says why; scontrol update ... state=resume",
            )
            return
    yield Finding(what=f"{launcher} answers")


def check_submission(launcher: str) -> Iterator[Finding]:
    """Run a job: the folder must be shared, and the interpreter there too."""
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=Path.cwd()) as folder:
        log = Path(folder, "log", "job.log")
        command = [
            sys.executable,
            ROOT / f"utils/{launcher}.py",
            log,
            sys.executable,
            "-c",
            "import sv; print(sv.__file__)",
        ]
        code, output = call(*command, seconds=300)
        if code:
            yield Finding(
                what=f"a job through {launcher}.py",
                cause=" | ".join(output.splitlines()[-4:]),
                remedy=f"partitions and accounts: conf/{launcher}.conf; this folder and .venv must be shared with the nodes",
            )
        else:
            yield Finding(
                what=f"a job through {launcher}.py ran on {re.findall('# Running on (.*)', log.read_text())[0]}"
            )


def check_corpora(corpora: str) -> Iterator[Finding]:
    """The corpora below a folder, and how they are laid out."""
    code, output = call(sys.executable, ROOT / "local/check_corpora.py", "--layouts", "--corpora", corpora)
    for line in output.splitlines() if code == 0 else []:
        name, folder, variant, patterns = line.split("\t")
        if not variant or "packed" in variant:
            cause = f"{folder} is {variant or f'laid out in no way we know: {patterns}'}"
            yield Finding(what=f"corpus {name}", cause=cause, remedy="unpack it as egs/voxceleb1/README.md shows")
        else:
            yield Finding(what=f"corpus {name}: {folder} ({variant})")
    if code:
        yield Finding(
            what="corpora", cause=" ".join(output.split())[:400], remedy="see above; ./run.sh --mini needs none of them"
        )


def findings(args: argparse.Namespace) -> Iterator[Finding]:
    """Every check, one after the other; one that breaks is itself a finding."""
    checks: list[Callable[[], Iterator[Finding]]] = [check_python, check_audio]
    checks += [lambda: check_disk(args.folder, args.gigabytes), check_limits, check_gpus]
    if args.launcher != "local":
        checks.append(lambda: check_scheduler(args.launcher))
    if args.submit:
        checks.append(lambda: check_submission(args.launcher))
    if args.corpora:
        checks.append(lambda: check_corpora(args.corpora))
    for check in checks:
        yield from check()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpora", default="", help="folder that holds the corpora")
    parser.add_argument("--launcher", choices=("local", "slurm", "sge"), default="local")
    parser.add_argument("--submit", action="store_true", help="run a job through the launcher")
    parser.add_argument("--folder", type=Path, default=Path(), help="where data and experiments go (.)")
    parser.add_argument("--gigabytes", type=int, default=40, help="disk that the experiment needs (40)")
    args = parser.parse_args()
    if args.submit and args.launcher == "local":
        parser.error("--submit needs --launcher slurm or sge")
    faults = 0
    for finding in findings(args):
        print(finding, flush=True)
        faults += bool(finding.remedy) and finding.fatal
    sys.exit(f"{faults} fault(s)" if faults else 0)


if __name__ == "__main__":
    main()
