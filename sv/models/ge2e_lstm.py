"""The LSTM of generalised end-to-end training (Wan et al. 2018, arXiv:1710.10467), in all its published shapes.

=========================  ======  ==========  ===========  ========  ==========
published by               hidden  projection  head         head_dim  cell
=========================  ======  ==========  ===========  ========  ==========
Janghyun1230 (TensorFlow)  128     64          none         -         tensorflow
HarryVolek                 768     0           linear       256       torch
Resemblyzer                256     0           linear_relu  256       torch
the paper's large network  768     256         none         -         tensorflow
=========================  ======  ==========  ===========  ========  ==========
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.models.network import Network


@dataclass(frozen=True, kw_only=True)
class GE2ELSTMConfig:
    """Layers of the network.

    Attributes
    ----------
    num_mel_bins, hidden, num_layers : int
    projection : int
        Width of the learned projection of every layer's output, which is also its recurrent state; 0 for none.
    head : "none", "linear" or "linear_relu"
        Layer after the last frame of the top layer.
    head_dim : int
        Its width.
    cell : "tensorflow" or "torch"
        "tensorflow": one bias per gate, 1 added to the forget gate's, Glorot-uniform weights. "torch": two biases per gate,
        all of them 0 at first, Glorot-normal weights.
    """

    num_mel_bins: int = 40
    hidden: int = 128
    projection: int = 64
    num_layers: int = 3
    head: Literal["none", "linear", "linear_relu"] = "none"
    head_dim: int = 256
    cell: Literal["tensorflow", "torch"] = "tensorflow"

    def __post_init__(self) -> None:
        for name in ("num_mel_bins", "hidden", "num_layers", "head_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 <= self.projection < self.hidden:
            raise ValueError(
                f"projection must be smaller than hidden ({self.hidden}), 0 for none; got {self.projection}"
            )

    @property
    def output_dim(self) -> int:
        """Width of the top layer's output."""
        return self.projection or self.hidden

    @property
    def embedding_dim(self) -> int:
        """Width of the embedding."""
        return self.output_dim if self.head == "none" else self.head_dim


class GE2ELSTM(Network):
    """Stacked LSTM whose last frame is the embedding.

    Notes
    -----
    PyTorch adds two biases in every gate. TensorFlow's cell has one and adds 1 to the forget gate's when it runs; here
    that 1 is part of `bias_ih`, and `bias_hh` is 0 and not trained.
    """

    def __init__(self, config: GE2ELSTMConfig) -> None:
        super().__init__()
        self.config = config
        self.lstm = nn.LSTM(
            config.num_mel_bins, config.hidden, config.num_layers, proj_size=config.projection, batch_first=True
        )
        self.linear = None if config.head == "none" else nn.Linear(config.output_dim, config.head_dim)
        if config.cell == "tensorflow":
            initialise_tensorflow(self.lstm)
        else:
            initialise_torch(self.lstm)

    def embed(self, features: Tensor, num_frames: Tensor | None = None) -> Tensor:
        """Embed sequences; not length-normalised.

        Parameters
        ----------
        features : (batch, mels, frames) torch.Tensor
        num_frames : (batch,) int torch.Tensor, optional
            Valid frames of each sequence; all of them by default. What follows them has no influence.

        Returns
        -------
        (batch, embedding_dim) torch.Tensor
        """
        output, _ = self.lstm(features.transpose(1, 2))  # (batch, frames, output_dim)
        if num_frames is None:
            last = output[:, -1]
        else:
            last = output[torch.arange(len(output), device=output.device), num_frames - 1]
        if self.linear is None:
            return last
        embedding = self.linear(last)
        return F.relu(embedding) if self.config.head == "linear_relu" else embedding

    def projections(self) -> list[nn.Parameter]:
        """Weights of the layers' projections; none without."""
        return [weight for name, weight in self.lstm.named_parameters() if name.startswith("weight_hr")]


@torch.no_grad()
def initialise_tensorflow(lstm: nn.LSTM) -> None:
    """Glorot-uniform on the joint shapes of TensorFlow's kernels, forget bias 1, second bias 0 and fixed."""
    for name, parameter in lstm.named_parameters():
        if name.startswith("bias_hh"):
            parameter.zero_().requires_grad_(False)
        elif name.startswith("bias_ih"):
            parameter.zero_()[lstm.hidden_size : 2 * lstm.hidden_size] = (
                1  # PyTorch's order: input, forget, candidate, output
            )
        elif name.startswith("weight_hr"):
            nn.init.xavier_uniform_(parameter)
        else:
            layer = name.rsplit("_l", 1)[1]
            fan_in = sum(getattr(lstm, f"{kind}_l{layer}").shape[1] for kind in ("weight_ih", "weight_hh"))
            limit = math.sqrt(6 / (fan_in + 4 * lstm.hidden_size))
            parameter.uniform_(-limit, limit)


@torch.no_grad()
def initialise_torch(lstm: nn.LSTM) -> None:
    """Glorot-normal weights, biases 0."""
    for name, parameter in lstm.named_parameters():
        if name.startswith("bias"):
            parameter.zero_()
        else:
            nn.init.xavier_normal_(parameter)
