"""Run by torchrun: gradients of one global batch, saved by rank 0. ddp_gradients.py OUT"""

import sys
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel

from sv.base.config import load_toml
from sv.data.dataset import Batch
from sv.system.config import parse_system
from sv.system.folder import build_frontend, build_model
from sv.train import distributed
from sv.train.steps.pairs import PairStep

world = distributed.start()
torch.manual_seed(0)
system = parse_system(load_toml(Path(__file__).parent / "tiny.toml"), "tiny.toml")
step = PairStep(build_frontend(system), build_model(system), system.loss, 5)
step.eval()  # batch norm frozen: each rank would normalise by its own batch otherwise
parallel = DistributedDataParallel(step) if world.size > 1 else step
generator = torch.Generator().manual_seed(1)
clean, disturbed = torch.randn(2, 4, 8000, generator=generator)  # four pairs
speakers = torch.tensor([3, 0, 4, 1])
share = slice(world.rank * 4 // world.size, (world.rank + 1) * 4 // world.size)
waveforms = torch.cat([clean[share], disturbed[share]])
batch = Batch(waveforms=waveforms, references=waveforms.flip(1), speaker_ids=speakers[share].repeat(2), utterances=())
losses = parallel(batch)
losses["loss"].backward()
if world.is_main:
    torch.save({name: parameter.grad for name, parameter in step.named_parameters()}, sys.argv[1])
distributed.stop()
