"""Run by torchrun: gradients of an adaptation on one global batch, saved by rank 0. ddp_adaptation_gradients.py KIND OUT"""

import sys
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel

from sv.base.config import load_toml, to_dict
from sv.data.dataset import Batch
from sv.models.enhanced import EnhancedConfig, EnhancedNetwork
from sv.system.config import parse_system
from sv.system.folder import build_frontend, build_model
from sv.train import distributed
from sv.train.steps import STEPS

world = distributed.start()
torch.manual_seed(0)
system = parse_system(load_toml(Path(__file__).parent / "tiny.toml"), "tiny.toml")
config_class, step_class = STEPS[sys.argv[1]]
model = parent = build_model(system)
if sys.argv[1] == "adapt_frontend":
    table = {"type": system.model_type, **to_dict(system.model)}
    model = EnhancedNetwork(EnhancedConfig(channels=(4, 4, 4, 8), blocks=(1, 1, 1, 1), extractor=table))
step = step_class(build_frontend(system), model, config_class(similarity=2.0, speaker=0.5), 5)
step.start_from(parent.state_dict())
step.eval()  # the U-Net's norms frozen, too: each rank would normalise by its own batch otherwise
with torch.no_grad():
    for parameter in step.parameters():
        if parameter.requires_grad:
            parameter.add_(0.02 * torch.randn_like(parameter))
parallel = DistributedDataParallel(step) if world.size > 1 else step
generator = torch.Generator().manual_seed(1)
clean, noisy = torch.randn(2, 4, 8000, generator=generator)
share = slice(world.rank * 4 // world.size, (world.rank + 1) * 4 // world.size)
speakers = torch.tensor([3, 0, 4, 1])[share]
batch = Batch(waveforms=noisy[share], references=clean[share], speaker_ids=speakers, utterances=())
parallel(batch)["loss"].backward()
if world.is_main:
    trained = {name: parameter.grad for name, parameter in step.named_parameters() if parameter.requires_grad}
    torch.save(trained, sys.argv[2])
distributed.stop()
