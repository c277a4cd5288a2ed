"""Run by torchrun: gradients of NoiseLoRA-SV's loss on one global batch, saved by rank 0. ddp_noise_lora_gradients.py OUT"""

import sys

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sv.data.dataset import Batch
from sv.models.noise_lora import NoiseLoRA, NoiseLoRAConfig
from sv.train import distributed
from sv.train.steps.noise_lora import NoiseLoRALossConfig, NoiseLoRAStep

world = distributed.start()
torch.manual_seed(0)
config = NoiseLoRAConfig(
    num_mel_bins=16, channels=8, squeezed_channels=4, attention_channels=4, aggregated_channels=12, embedding_dim=5,
    noise_channels=(2, 3, 4, 5), rnn_channels=2, rnn_hidden=3, noise_dim=4, hyper_hidden=6, gate_hidden=3, init_scale=0.3,
)  # fmt: skip
step = NoiseLoRAStep(nn.Unflatten(1, (16, -1)), NoiseLoRA(config), NoiseLoRALossConfig(noise=1.0), num_speakers=5)
step.eval()  # norms frozen: each rank would normalise by its own batch otherwise
parallel = DistributedDataParallel(step) if world.size > 1 else step
generator = torch.Generator().manual_seed(1)
clean, noise = torch.randn(2, 4, 16 * 30, generator=generator)
noise[3] = 0  # so that the ranks have unlike numbers of noisy crops
share = slice(world.rank * 4 // world.size, (world.rank + 1) * 4 // world.size)
speakers = torch.tensor([3, 0, 3, 1])[share]  # one speaker in both ranks
batch = Batch(waveforms=(clean + noise)[share], references=clean[share], speaker_ids=speakers, utterances=())
parallel(batch)["loss"].backward()
if world.is_main:
    trained = {name: parameter.grad for name, parameter in step.named_parameters() if parameter.requires_grad}
    torch.save(trained, sys.argv[1])
distributed.stop()
