"""Run by torchrun: gradients and centres after one global batch, saved by rank 0. ddp_rawnet_gradients.py SYSTEM OUT"""

import sys

import torch
from torch.nn.parallel import DistributedDataParallel

from sv.data.dataset import Batch
from sv.features.waveform import Waveform, WaveformConfig
from sv.models import MODELS
from sv.train import distributed
from sv.train.steps import STEPS

SETTINGS = {
    "rawnet2": ("norm_softmax", {}, {"ln_affine": "none", "channels": (4, 8), "gru_dim": 8, "embedding_dim": 6}),
    "rawnet1_cnn": ("rawnet1", {"centre": 0.1}, {"channels": (4, 8), "embedding_dim": 6}),
}

world = distributed.start()
name = sys.argv[1]
loss, weights, sizes = SETTINGS[name]
torch.manual_seed(0)
model = MODELS[name][1](MODELS[name][0](**sizes))
step = STEPS[loss][1](Waveform(WaveformConfig()), model, STEPS[loss][0](**weights), 5)
model.eval()  # batch norm frozen: each rank would normalise by its own batch otherwise
parallel = DistributedDataParallel(step) if world.size > 1 else step
waveforms = 0.1 * torch.randn(8, 2000, generator=torch.Generator().manual_seed(1))
speakers = torch.tensor([3, 0, 4, 1, 3, 3, 0, 2])
share = slice(world.rank * 8 // world.size, (world.rank + 1) * 8 // world.size)
batch = Batch(waveforms=waveforms[share], references=waveforms[share], speaker_ids=speakers[share], utterances=())
parallel(batch, 0.0)["loss"].backward()
if world.is_main:
    gradients = {name: parameter.grad for name, parameter in step.named_parameters()}
    centres = {name: value for name, value in step.state_dict().items() if name.endswith("centres")}
    torch.save(gradients | centres, sys.argv[2])
distributed.stop()
