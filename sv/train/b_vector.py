"""Training of RawNet1's b-vector back end on embeddings."""

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.base.log import get_logger
from sv.base.seeding import derive_seed, generator
from sv.train.b_vector_config import SLOPE, BVectorConfig

INITIAL_RANGE = 0.05  # of Keras' uniform initialisation
MIN_STD = 1e-8


class BVectorNetwork(nn.Module):
    """Two embeddings to the logits of nontarget and target."""

    def __init__(self, dim: int, config: BVectorConfig) -> None:
        super().__init__()
        widths = [3 * dim, *[config.hidden_dim] * config.num_layers, 2]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        for layer in self.layers:
            nn.init.uniform_(layer.weight, -INITIAL_RANGE, INITIAL_RANGE)
            nn.init.zeros_(layer.bias)
        self.config = config

    def forward(self, enrolment: Tensor, test: Tensor) -> Tensor:
        """Logits (batch, 2) of pairs of (batch, dim) embeddings."""
        left, right = (F.dropout(side, self.config.input_dropout, self.training) for side in (enrolment, test))
        hidden = torch.cat([left + right, left - right, left * right], dim=1)
        for layer in self.layers[:-1]:
            hidden = F.leaky_relu(F.dropout(layer(hidden), self.config.dropout, self.training), SLOPE)
        return self.layers[-1](hidden)


class PairDraws:
    """Random pairs of rows: those of one speaker, from different speakers each, then those of two.

    Raises
    ------
    ValueError
        If there are fewer than two speakers with two utterances.
    """

    def __init__(self, speaker_ids: np.ndarray, pairs_per_batch: int, seed: int) -> None:
        order = np.argsort(speaker_ids, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(speaker_ids[order])) + 1)
        self.groups = [rows for rows in groups if len(rows) > 1]
        if len(self.groups) < 2:
            raise ValueError(f"pairs need two speakers with two utterances each, there are {len(self.groups)}")
        self.count, self.seed = min(pairs_per_batch // 2, len(self.groups)), seed

    def __call__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows (pairs, 2) of step `step`, and which of the pairs are targets."""
        rng = generator(self.seed, "b-vector", step)
        same = [
            rng.choice(self.groups[speaker], 2, replace=False)
            for speaker in rng.choice(len(self.groups), self.count, replace=False)
        ]
        different = [
            [rng.choice(self.groups[speaker]) for speaker in rng.choice(len(self.groups), 2, replace=False)]
            for _ in range(self.count)
        ]
        return np.array([*same, *different]), np.repeat([1, 0], self.count)


def train_b_vector(
    embeddings: np.ndarray,
    speaker_ids: np.ndarray,
    config: BVectorConfig,
    seed: int,
    evaluate: Callable[[Mapping[str, np.ndarray]], float],
) -> dict[str, np.ndarray]:
    """Train a network; return the arrays of its epoch of the lowest EER.

    Parameters
    ----------
    embeddings : (num_utts, dim) numpy.ndarray
    speaker_ids : (num_utts,) int numpy.ndarray
    config : BVectorConfig
    seed : int
    evaluate : callable
        From a network's arrays to its EER on held-out speakers.

    Returns
    -------
    dict of str to numpy.ndarray
        `mean`, `std`, and `w0`, `b0`, ... of the layers.
    """
    mean, std = embeddings.mean(axis=0), np.maximum(embeddings.std(axis=0), MIN_STD)
    rows = torch.from_numpy(((embeddings - mean) / std).astype(np.float32))
    draws = PairDraws(speaker_ids, config.pairs_per_batch, seed)
    torch.manual_seed(seed)
    network = BVectorNetwork(rows.shape[1], config)
    groups = [
        {"params": [layer.weight for layer in network.layers]},
        {"params": [layer.bias for layer in network.layers], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.Adam(groups, lr=config.lr, weight_decay=config.weight_decay, amsgrad=True)
    best, lowest = {}, float("inf")
    for epoch in range(config.num_epochs):
        network.train()
        for step in range(epoch * config.steps_per_epoch, (epoch + 1) * config.steps_per_epoch):
            for group in optimizer.param_groups:
                group["lr"] = config.lr / (1 + config.lr_decay * step)
            torch.manual_seed(derive_seed(seed, "b-vector dropout", step))
            pairs, is_target = draws(step)
            loss = F.cross_entropy(network(rows[pairs[:, 0]], rows[pairs[:, 1]]), torch.from_numpy(is_target))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        arrays = {"mean": mean, "std": std} | _arrays(network)
        eer = evaluate(arrays)
        get_logger("b-vector").info("epoch %d: loss %.4f, EER %.2f %%", epoch, loss.item(), 100 * eer)
        if eer < lowest:
            best, lowest = arrays, eer
    return best


def _arrays(network: BVectorNetwork) -> dict[str, np.ndarray]:
    named = {}
    for number, layer in enumerate(network.layers):
        named[f"w{number}"] = layer.weight.detach().numpy().copy()
        named[f"b{number}"] = layer.bias.detach().numpy().copy()
    return named
