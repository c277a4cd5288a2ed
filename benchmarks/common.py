"""Shared by the benchmarks: alternatives timed in turns, the machine's own matrix product rate, training steps."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from sv.train.config import TrainConfig
from sv.train.loop import make_optimizer
from sv.train.steps.protocol import StepModule

NUM_ROUNDS = 15
MATRIX_SIZE = 2048


def median_seconds(cases: Mapping[str, Callable[[], object]], num_rounds: int = NUM_ROUNDS) -> dict[str, float]:
    """Median wall seconds of each case.

    The cases take turns, one call a round, so that what else runs on the machine slows all of them alike.
    """
    for run in cases.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(num_rounds):
        for name, run in cases.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def best_seconds(cases: Mapping[str, Callable[[], object]], num_rounds: int) -> dict[str, float]:
    """Fewest processor seconds of each case, which take turns: of its cost, not of what else the machine does."""
    best = dict.fromkeys(cases, float("inf"))
    for _ in range(num_rounds):
        for name, run in cases.items():
            started = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - started)
    return best


def training_step(module: nn.Module, loss_of: Callable[[], Tensor], *, plain: bool) -> Callable[[], Tensor]:
    """A call that updates a module once by AMSGrad with coupled weight decay.

    Plain: as PyTorch picks it for the machine, otherwise as our training does.
    """
    config = TrainConfig(lr=1e-4)
    common = {"lr": config.lr, "weight_decay": config.weight_decay, "amsgrad": True}
    ours = make_optimizer(StepModule(nn.Identity(), module), config)
    optimizer = torch.optim.Adam(module.parameters(), **common) if plain else ours

    def step() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def matrix_products() -> dict[str, Callable[[], object]]:
    """The same float32 product of two square matrices by each of torch's libraries, for `median_seconds`.

    BLAS alone would flatter us where it lacks kernels for the processor (MKL on AMD); oneDNN runs the convolutions.
    """
    left, right = torch.randn(2, MATRIX_SIZE, MATRIX_SIZE)
    height = 32
    pixels = left.t().reshape(1, MATRIX_SIZE, height, -1).contiguous(memory_format=torch.channels_last)
    kernels = right.t()[:, :, None, None].contiguous(memory_format=torch.channels_last)

    def onednn() -> Tensor:
        with torch.inference_mode():
            return torch.conv2d(pixels, kernels)

    return {"sgemm (BLAS)": lambda: left @ right, "sgemm (oneDNN)": onednn}


def product_rate(seconds: Mapping[str, float]) -> float:
    """Floating-point operations a second of the fastest of the `matrix_products`, from their timings."""
    return 2 * MATRIX_SIZE**3 / min(seconds[name] for name in ("sgemm (BLAS)", "sgemm (oneDNN)"))


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table with columns as wide as they need to be; the first to the left, the rest to the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    print(f"\n{title}")
    for row in (header, *rows):
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join([row[0].ljust(len(first)), *rest]))
