"""Run by torchrun: gradients of one global batch of speakers, saved by rank 0. ddp_metric_gradients.py CRITERION OUT"""

import sys
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sv.data.dataset import Batch
from sv.train import distributed
from sv.train.steps.metric import MetricConfig, MetricStep


class Model(nn.Sequential):
    config = SimpleNamespace(embedding_dim=5)
    embed = nn.Sequential.forward


world = distributed.start()
torch.manual_seed(0)
model = Model(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 5))
config = MetricConfig(criterion=sys.argv[1], softmax=0.5, margin=0.5, hard_rank=0, hard_prob=1.0)
step = MetricStep(nn.Identity(), model, config, 7)
parallel = DistributedDataParallel(step) if world.size > 1 else step
waveforms = torch.randn(8, 8, generator=torch.Generator().manual_seed(1))
speakers = torch.tensor([3, 3, 0, 0, 6, 6, 1, 1])
share = slice(world.rank * 8 // world.size, (world.rank + 1) * 8 // world.size)
batch = Batch(waveforms=waveforms[share], references=waveforms[share], speaker_ids=speakers[share], utterances=())
parallel(batch)["loss"].backward()
if world.is_main:
    torch.save({name: parameter.grad for name, parameter in step.named_parameters()}, sys.argv[2])
distributed.stop()
