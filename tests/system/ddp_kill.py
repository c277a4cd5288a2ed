"""Train each system in two ranks, undisturbed and with rank 1 killed, both continued. ddp_kill.py OUT CONFIG MODEL_JSON ...

For each pair of a recipe's configuration and what makes its model small: OUT/<name>/{whole,killed}/checkpoints. Ranks are forked,
which spares a start of Python each; the kill is a kill -9 in the midst of the epoch, and of the other rank then, as torchrun's.
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from sv.base.config import load_toml
from sv.data.dataset import Batch
from sv.system.config import SystemConfig, parse_system, with_speakers
from sv.system.folder import build_frontend, build_model
from sv.train import checkpoint, distributed
from sv.train.loop import Run, Trainer, fit
from sv.train.steps import STEPS

NUM_SPEAKERS, STEPS_AN_EPOCH, KILL_AFTER = 5, 4, 2


class Noise:
    """Four batches an epoch of seeded noise, three speakers in two crops each."""

    steps_per_epoch = STEPS_AN_EPOCH

    def __init__(self, system: SystemConfig, rank: int, pause: bool) -> None:
        self.num_samples, self.rank, self.pause = system.train.crop_samples, rank, pause
        ids = torch.tensor([0, 1, 2]) + rank
        self.ids = ids.repeat(2) if system.loss_type == "pairs" else ids.repeat_interleave(2)

    def batches(self, epoch: int, first_step: int) -> Iterator[Batch]:
        for step in range(first_step, self.steps_per_epoch):
            if self.pause and step == KILL_AFTER:  # here the kill strikes
                time.sleep(600)
            generator = torch.Generator().manual_seed(1000 * epoch + 10 * step + self.rank)
            references, noise = 0.1 * torch.randn(2, 6, self.num_samples, generator=generator)
            yield Batch(
                waveforms=references + 0.3 * noise,
                references=references,
                speaker_ids=self.ids,
                utterances=tuple("abcdef"),
            )


def train(system: SystemConfig, folder: Path, pause: bool) -> None:
    """Train one rank."""
    world = distributed.start()
    run = Run(exp_dir=folder, identity={})
    state = checkpoint.load_newest(run.checkpoints)
    torch.manual_seed(0)
    model = build_model(system)
    step = STEPS[system.loss_type][1](build_frontend(system), model, system.loss, system.num_speakers)
    trainer = Trainer(step, system.train, world, 0)
    fit(trainer, Noise(system, world.rank, pause), lambda model: {"eer": 10.0}, run, state)
    distributed.stop()


def fork_ranks(system: SystemConfig, folder: Path, pause: bool = False) -> list[int]:
    """Start two ranks; their process ids."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ranks = []
    for rank in (0, 1):
        pid = os.fork()
        if pid == 0:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
                           "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}  # fmt: skip
            code = 1
            try:
                train(system, folder, pause)
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        ranks.append(pid)
    return ranks


def wait_for(ranks: list[int]) -> None:
    if codes := [code for code in (os.waitpid(pid, 0)[1] for pid in ranks) if code]:
        sys.exit(f"a rank ended with {codes}")


def small_system(config: Path, model: dict) -> SystemConfig:
    """The configuration with a small model, two epochs of a few steps, and a checkpoint after each."""
    table = load_toml(config)
    table["model"] |= model
    table["train"] |= {
        "num_epochs": 2,
        "crop_samples": 24_000,
        "checkpoint_interval": 1,
        "log_interval": 1,
        "num_workers": 0,
    }
    table["train"].pop("initial", None)
    return with_speakers(parse_system(table, str(config)), NUM_SPEAKERS, 0)


def main(out: Path, *pairs: str) -> None:
    for config, model in zip(pairs[::2], pairs[1::2], strict=True):
        system, folder = small_system(Path(config), json.loads(model)), out / Path(config).stem
        wait_for(fork_ranks(system, folder / "whole"))
        ranks = fork_ranks(system, folder / "killed", pause=True)
        last = folder / "killed/checkpoints" / f"step-{KILL_AFTER:07d}.pt"
        while not last.exists():
            if dead := [pid for pid in ranks if os.waitpid(pid, os.WNOHANG)[0]]:
                sys.exit(f"{config}: ranks {dead} ended before their kill")
            time.sleep(0.01)
        for pid in reversed(ranks):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        wait_for(fork_ranks(system, folder / "killed"))
        print(Path(config).stem, flush=True)


main(Path(sys.argv[1]), *sys.argv[2:])
