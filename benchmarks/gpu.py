#!/usr/bin/env python3
"""The parts of benchmarks/gpu.sh, whose results become one JSON object; a part that fails becomes its error.

python benchmarks/gpu.py OUT.json
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sv.base.files import write_text
from sv.embed.computing import TorchNetwork
from sv.models import MODELS
from sv.models.precision import choose_precision
from sv.scoring import compute_eer
from sv.train.config import TrainConfig
from sv.train.distributed import World
from sv.train.loop import Trainer
from sv.train.steps.classification import ClassificationConfig, ClassificationStep

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
ON_GPU = DEVICE.type == "cuda"
PRECISIONS = ("float32", "bf16", *(("fp16",) if ON_GPU else ()))
NUM_MELS = 64
NOISE = 0.5  # deviation of a synthetic frame from its speaker's own, whose deviation is about 1.4
SMALL = {"channels": (4, 4, 8, 8), "blocks": (1, 1, 1, 1)}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Amount of work; on a CPU enough to see that each part works."""

    options: dict[str, Any]  # of the networks
    batch_size: int
    num_frames: int
    num_steps: int
    table_steps: int
    num_speakers: int


SIZES = (
    Sizes(options={}, batch_size=128, num_frames=256, num_steps=30, table_steps=400, num_speakers=200)
    if ON_GPU
    else Sizes(options=SMALL, batch_size=8, num_frames=64, num_steps=2, table_steps=60, num_speakers=20)
)


@dataclass(frozen=True)
class Batch:
    """Features of synthetic speakers, as `sv.train.steps.protocol.WaveformBatch`."""

    waveforms: Tensor  # the front end of these steps is the identity
    speaker_ids: Tensor
    utterances: tuple[str, ...]

    def to(self, device: torch.device) -> "Batch":
        """Move the tensors to a device."""
        return Batch(self.waveforms.to(device), self.speaker_ids.to(device), self.utterances)


def features_of(speaker_ids: Tensor, num_frames: int, seed: int) -> Tensor:
    """Synthetic features, (batch, mels, frames): a speaker's spectrum moves with a rhythm of its own, in noise."""
    speakers = torch.Generator().manual_seed(1)
    count = SIZES.num_speakers + 50
    spectra = torch.randn(count, NUM_MELS, generator=speakers)[speaker_ids]
    rhythms = 0.05 + 0.5 * torch.rand(count, generator=speakers)[speaker_ids]
    gains = torch.sin(rhythms[:, None] * torch.arange(num_frames))
    noise = torch.randn(len(speaker_ids), NUM_MELS, num_frames, generator=torch.Generator().manual_seed(seed))
    return 2 * spectra[:, :, None] * gains[:, None] + NOISE * noise


def batch_of(seed: int) -> Batch:
    """A training batch."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(SIZES.num_speakers, (SIZES.batch_size,), generator=generator)
    return Batch(features_of(ids, SIZES.num_frames, seed), ids, tuple(f"utt{seed}-{row}" for row in range(len(ids))))


def step_of(name: str) -> ClassificationStep:
    """A new network with a classifier of the synthetic speakers."""
    torch.manual_seed(0)
    config, model = MODELS[name]
    network = model(config(num_mel_bins=NUM_MELS, **SIZES.options))
    return ClassificationStep(
        nn.Identity(), network, ClassificationConfig(criterion="aam", margin=0.1), SIZES.num_speakers
    )


def seconds_of(run: Callable[[], object], count: int) -> float:
    """Wall seconds of a call, the mean of several after two that do not count."""
    for _ in range(2):
        run()
    if ON_GPU:
        torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(count):
        run()
    if ON_GPU:
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / count


def machine() -> dict[str, Any]:
    """Describe the device and the software."""
    found: dict[str, Any] = {"device": str(DEVICE), "torch": torch.__version__, "threads": torch.get_num_threads()}
    found["auto"] = choose_precision("auto", DEVICE)[1]
    if ON_GPU:
        properties = torch.cuda.get_device_properties(DEVICE)
        found |= {"name": properties.name, "gib": round(properties.total_memory / 2**30, 1), "cuda": torch.version.cuda}
    return found


def training() -> dict[str, Any]:
    """Steps of the training loop in every precision: utterances a second, peak memory, losses of the first steps."""
    found: dict[str, Any] = {}
    for name in ("exu_net", "se_resnet"):
        for precision in PRECISIONS:
            if ON_GPU:
                torch.cuda.reset_peak_memory_stats()
            trainer = Trainer(step_of(name), TrainConfig(precision=precision, lr=1e-3), World(device=DEVICE))
            losses = [float(trainer.train_step(batch_of(seed), 1e-3)[0]["loss"]) for seed in range(3)]
            batch = batch_of(0).to(DEVICE)
            seconds = seconds_of(lambda t=trainer, b=batch: t.train_step(b, 1e-3), SIZES.num_steps)
            found[f"{name} {precision}"] = {"utterances_per_second": SIZES.batch_size / seconds, "losses": losses}
            if ON_GPU:
                found[f"{name} {precision}"]["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
    return found


def compiling() -> dict[str, Any]:
    """Forward and backward pass of a network by torch.compile, against without."""
    if not ON_GPU:
        return {"skipped": "torch.compile takes minutes on a CPU"}
    network = step_of("exu_net").model.to(DEVICE).train()
    features = batch_of(0).waveforms.to(DEVICE)

    def pass_of(embed: Callable[[Tensor], Tensor]) -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16):
            embeddings = embed(features)
        embeddings.float().square().mean().backward()

    plain = seconds_of(lambda: pass_of(network.embed), SIZES.num_steps)
    compiled = torch.compile(network.embed)
    started = time.perf_counter()
    pass_of(compiled)
    first = time.perf_counter() - started
    return {"times_faster": plain / seconds_of(lambda: pass_of(compiled), SIZES.num_steps), "first_seconds": first}


def one_rank() -> dict[str, Any]:
    """A process group of one rank, NCCL or gloo: a sum, and a step of DDP in it."""
    backend = "nccl" if ON_GPU else "gloo"
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group(backend, init_method=f"file://{folder}/group", rank=0, world_size=1)
        try:
            values = torch.ones(1 << 20, device=DEVICE)
            seconds = seconds_of(lambda: dist.all_reduce(values), SIZES.num_steps)
            step = step_of("se_resnet").to(DEVICE)
            step = nn.SyncBatchNorm.convert_sync_batchnorm(step) if ON_GPU else step
            parallel = DistributedDataParallel(step, device_ids=[DEVICE.index or 0] if ON_GPU else None)
            loss = parallel(batch_of(0).to(DEVICE), 0.0)["loss"]
            loss.backward()
            return {"backend": backend, "all_reduce_ms_of_4_mb": 1e3 * seconds, "loss": float(loss.detach())}
        finally:
            dist.destroy_process_group()


@torch.inference_mode()
def extraction() -> dict[str, Any]:
    """Segments a second in both precisions, and the smallest cosine to float32 on the CPU."""
    found: dict[str, Any] = {}
    for name in ("exu_net", "se_resnet"):
        model = step_of(name).model.eval()
        features = batch_of(0).waveforms
        expected = TorchNetwork(model).embed(features[:8])
        for precision in ("float32", "bf16"):
            network = TorchNetwork(model.to(DEVICE), precision)
            moved = features.to(DEVICE)
            seconds = seconds_of(lambda n=network, m=moved: n.embed(m), SIZES.num_steps)
            cosines = torch.cosine_similarity(network.embed(moved)[:8].float().cpu(), expected)
            found[f"{name} {precision}"] = {
                "segments_per_second": SIZES.batch_size / seconds,
                "least_cosine_to_cpu": float(cosines.min()),
            }
    return found


def table() -> dict[str, Any]:
    """Train a small network in every precision, and embed 50 other speakers in float32 and bf16: EERs in percent."""
    found: dict[str, Any] = {}
    ids = (SIZES.num_speakers + torch.arange(50)).repeat(4)
    features = features_of(ids, SIZES.num_frames, 10_000)
    first, second = np.triu_indices(len(ids), 1)
    is_target = (ids[first] == ids[second]).numpy()
    for precision in PRECISIONS:
        trainer = Trainer(step_of("se_resnet"), TrainConfig(precision=precision, lr=2e-3), World(device=DEVICE))
        trainer.module.train()
        for seed in range(SIZES.table_steps):
            trainer.train_step(batch_of(seed), 2e-3)
        for embedding_precision in ("float32", "bf16"):
            network = TorchNetwork(trainer.module.model, embedding_precision)
            with torch.inference_mode():
                vectors = network.embed(features.to(DEVICE)).float().cpu()
            scores = torch.cosine_similarity(vectors[first], vectors[second]).double().numpy()
            eer = 100 * compute_eer(scores, is_target)
            found[f"trained in {precision}, embedded in {embedding_precision}"] = round(eer, 2)
    return found


PARTS = {
    "machine": machine,
    "training": training,
    "compile": compiling,
    "one_rank": one_rank,
    "extraction": extraction,
    "eer_of_synthetic_speakers": table,
}


def main() -> None:
    """Run the parts, print what they found, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("out", type=Path, help="JSON file to write, after every part")
    out, found, failed = parser.parse_args().out, {}, False
    for name, run in PARTS.items():
        started = time.perf_counter()
        try:
            found[name] = run()
        except Exception as error:  # of whatever GPU, driver and compiler there are: the other parts still count
            failed = True
            found[name] = {"error": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"}
        found[name]["seconds"] = round(time.perf_counter() - started, 1)
        write_text(out, json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
