"""One process or many: everything here works in both, without a process group in the former."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

RANK_TIMEOUT = timedelta(minutes=15)  # a rank that says nothing for so long is dead; then torchrun starts all anew


@dataclass(frozen=True, kw_only=True)
class World:
    """This process' place among the ranks."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009  (immutable)

    @property
    def is_main(self) -> bool:
        """True for the rank that writes files."""
        return self.rank == 0


def start() -> World:
    """Join the process group that torchrun's environment describes: nccl if there are GPUs, else gloo.

    Until `stop`, numbers too small to be normal become 0: gradients that vanish over hundreds of frames are full of them, and
    make a CPU's steps several times slower.
    """
    torch.set_flush_denormal(True)
    rank, size, local_rank = (
        int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    has_gpu = torch.cuda.is_available()
    device = torch.device("cuda", local_rank) if has_gpu else torch.device("cpu")
    if has_gpu:
        torch.cuda.set_device(device)
    elif size > 1:
        share = max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", size)))
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", share)))
    if size > 1:
        dist.init_process_group("nccl" if has_gpu else "gloo", timeout=RANK_TIMEOUT)
    return World(rank=rank, size=size, device=device)


def stop() -> None:
    """Leave the process group, if there is one; the least numbers are numbers again."""
    torch.set_flush_denormal(False)
    if dist.is_initialized():
        dist.destroy_process_group()


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.num_rows = len(rows)
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # Every rank computes the loss of all rows; the sum over ranks is what DDP's later mean turns into one loss.
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        first = dist.get_rank() * ctx.num_rows
        return gradient[first : first + ctx.num_rows]


def gather_rows(rows: Tensor) -> Tensor:
    """Rows of all ranks in rank order, (ranks * n, dim); gradients flow back to the rank that a row came from."""
    return _GatherRows.apply(rows) if dist.is_initialized() else rows


def any_rank(flag: bool, device: torch.device) -> bool:
    """True on every rank if the flag is set on at least one."""
    if not dist.is_initialized():
        return flag
    value = torch.tensor(float(flag), device=device)
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return bool(value)


def mean_over_ranks(values: dict[str, float], device: torch.device) -> dict[str, float]:
    """Mean of each value over the ranks."""
    if not dist.is_initialized():
        return values
    total = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return dict(zip(values, (total / dist.get_world_size()).tolist()))


def gather_objects(value: Any) -> list[Any]:
    """The value of every rank, in rank order."""
    if not dist.is_initialized():
        return [value]
    values = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def barrier() -> None:
    """Wait for every rank."""
    if dist.is_initialized():
        dist.barrier()
