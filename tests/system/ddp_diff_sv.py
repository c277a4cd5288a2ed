"""Run by torchrun: two updates of a small Diff-SV; each rank saves its weights. ddp_diff_sv.py OUT_DIR"""

import sys
from pathlib import Path

import torch
from torch import nn

from sv.data.dataset import Batch
from sv.models.diff_sv import DiffSV, DiffSVConfig
from sv.train import distributed
from sv.train.config import TrainConfig
from sv.train.loop import Trainer
from sv.train.steps.diff_sv import DiffSVLossConfig, DiffSVStep

world = distributed.start()
torch.manual_seed(0)
config = DiffSVConfig(
    num_mel_bins=16, channels=(8, 8, 8, 8), blocks=(1, 1, 1, 1), embedding_dim=6, enhancer_layers=1, enhancer_channels=12,
    score_channels=8,
)  # fmt: skip
step = DiffSVStep(nn.Unflatten(1, (16, -1)), DiffSV(config), DiffSVLossConfig(num_steps=2), num_speakers=3)
trainer = Trainer(step.train(), TrainConfig(), world, seed=0)
generator = torch.Generator().manual_seed(world.rank)
for _ in range(2):
    waveforms, references = torch.randn(2, 3, 16 * 12, generator=generator)
    batch = Batch(
        waveforms=waveforms, references=references, speaker_ids=torch.tensor([0, 1, 2]), utterances=("a", "b", "c")
    )
    trainer.train_step(batch, 1e-2)
torch.save(dict(step.named_parameters()), Path(sys.argv[1]) / f"rank{world.rank}.pt")
distributed.stop()
