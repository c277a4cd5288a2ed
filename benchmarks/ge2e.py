#!/usr/bin/env python3
"""A GE2E training step: ours against the loop forms that the published codes train with.

    python benchmarks/ge2e.py [--num-rounds 5]

Step: forward and backward pass of the network on 64 speakers x 10 utterances of 80 frames and of the loss. Networks: the
(128, 64) x 3 one, whose TensorFlow code runs a cell frame by frame; Resemblyzer's, whose training is unpublished, and
HarryVolek's, both on PyTorch's LSTM as ours (a minute per step: once each). Loops: one similarity block per pair of speakers,
each with its own centroids, as the TensorFlow code slices them; one cosine an utterance and centroid, as HarryVolek's port
had it at first; one comparison an utterance, or an utterance position, as later ports compute them. All with denormals
flushed; last, the same step of the whole with and without. Seconds are the best of the rounds: of a step's cost, not of
what else the machine does.
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from common import best_seconds, print_table
from torch import Tensor

from sv.losses.ge2e import GE2E, GE2EConfig
from sv.models.ge2e_lstm import GE2ELSTM, GE2ELSTMConfig

NUM_SPEAKERS, NUM_UTTERANCES, NUM_FRAMES = 64, 10, 80
AIM = 5.0
EPSILON = 1e-6
PROJECTED = GE2ELSTMConfig()
UNPROJECTED = {
    "Resemblyzer": GE2ELSTMConfig(hidden=256, projection=0, head="linear_relu", cell="torch"),
    "HarryVolek": GE2ELSTMConfig(hidden=768, projection=0, head="linear", cell="torch"),
}


def unit(vectors: Tensor) -> Tensor:
    return vectors / (vectors.square().sum(dim=-1, keepdim=True) + EPSILON).sqrt()


def block_loop(embeddings: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """A block of the similarity matrix for each pair of speakers, then a slice of it for each speaker's loss."""
    embeddings = unit(embeddings)
    num_speakers, num_utterances, _ = embeddings.shape
    centroids = unit(embeddings.mean(dim=1))
    others = unit((embeddings.sum(dim=1, keepdim=True) - embeddings) / (num_utterances - 1))
    rows = []
    for j in range(num_speakers):
        columns = []
        for k in range(num_speakers):
            model = others[j] if j == k else centroids[k]
            columns.append((embeddings[j] * model).sum(dim=1, keepdim=True))
        rows.append(torch.cat(columns, dim=1))
    similarities = scale.abs() * torch.cat(rows) + bias
    own = torch.cat([similarities[j * num_utterances : (j + 1) * num_utterances, j] for j in range(num_speakers)])
    return (similarities.exp().sum(dim=1) + EPSILON).log().sum() - own.sum()


def utterance_loop(embeddings: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """One comparison with all centroids for each speaker and utterance, its own centroid made anew."""
    embeddings = unit(embeddings)
    num_speakers, num_utterances, _ = embeddings.shape
    centroids = embeddings.mean(dim=1)
    total = embeddings.new_zeros(())
    for j in range(num_speakers):
        for i in range(num_utterances):
            others = torch.cat([embeddings[j, :i], embeddings[j, i + 1 :]]).mean(dim=0)
            models = torch.cat([centroids[:j], others[None], centroids[j + 1 :]])
            cosines = F.cosine_similarity(embeddings[j, i][None], models) + EPSILON
            similarities = scale * cosines + bias
            total = total - similarities[j] + (similarities.exp().sum() + EPSILON).log()
    return total


def cosine_loop(embeddings: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """One cosine for each utterance and centroid, its own centroid made anew."""
    embeddings = unit(embeddings)
    centroids = embeddings.mean(dim=1)
    total = embeddings.new_zeros(())
    for j, utterances in enumerate(embeddings):
        for utterance in utterances:
            others = (utterances.sum(dim=0) - utterance) / (len(utterances) - 1)
            models = [others if j == k else centroid for k, centroid in enumerate(centroids)]
            cosines = torch.stack([F.cosine_similarity(utterance, model, dim=0) for model in models]) + EPSILON
            similarities = scale * cosines + bias
            total = total - similarities[j] + (similarities.exp().sum() + EPSILON).log()
    return total


def position_loop(embeddings: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """One comparison of all speakers for each utterance position."""
    embeddings = unit(embeddings)
    num_speakers, num_utterances, _ = embeddings.shape
    centroids, labels = embeddings.mean(dim=1), torch.arange(num_speakers)
    total = embeddings.new_zeros(())
    for i in range(num_utterances):
        kept = [m for m in range(num_utterances) if m != i]
        others = F.cosine_similarity(embeddings[:, i], embeddings[:, kept].mean(dim=1))
        cosines = F.cosine_similarity(embeddings[:, i, :, None], centroids.t()[None], dim=1)
        cosines = cosines.masked_scatter(torch.eye(num_speakers, dtype=torch.bool), others)
        total = total + F.cross_entropy(scale * cosines + bias, labels, reduction="sum")
    return total


def vectorised(embeddings: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Ours, with the parameters of the others."""
    criterion = GE2E(GE2EConfig())
    criterion.scale, criterion.bias = torch.nn.Parameter(scale), torch.nn.Parameter(bias)
    return criterion(embeddings)


FORMS = {
    "ours": vectorised,
    "loop over pairs of speakers": block_loop,
    "loop over utterances and centroids": cosine_loop,
    "loop over utterances": utterance_loop,
    "loop over positions": position_loop,
}


class CellLoop(torch.nn.Module):
    """The same network as a cell that is run frame by frame: input and state concatenated, one product a frame and layer."""

    def __init__(self, model: GE2ELSTM) -> None:
        super().__init__()
        lstm = model.lstm
        self.layers = torch.nn.ParameterList()
        for layer in range(lstm.num_layers):
            into, over, bias, down = (
                getattr(lstm, f"{name}_l{layer}").detach()
                for name in ("weight_ih", "weight_hh", "bias_ih", "weight_hr")
            )
            self.layers += [torch.cat([into, over], dim=1).t().contiguous(), bias.clone(), down.t().contiguous()]

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames): (batch, projection)."""
        frames = features.permute(2, 0, 1).unbind()
        for kernel, bias, down in zip(*(self.layers[part::3] for part in range(3)), strict=True):
            state, output = (
                frames[0].new_zeros(len(frames[0]), len(down)),
                frames[0].new_zeros(len(frames[0]), down.shape[1]),
            )
            outputs = []
            for frame in frames:
                gates = torch.cat([frame, output], dim=1) @ kernel + bias
                into, keep, candidate, out = gates.chunk(4, dim=1)
                state = keep.sigmoid() * state + into.sigmoid() * candidate.tanh()
                output = (out.sigmoid() * state.tanh()) @ down
                outputs.append(output)
            frames = outputs
        return frames[-1]


def loss_step(form: Callable[..., Tensor]) -> Callable[[], Tensor]:
    """A call that computes the loss of fixed embeddings and its gradient."""
    torch.manual_seed(0)
    embeddings = torch.randn(NUM_SPEAKERS, NUM_UTTERANCES, 64, requires_grad=True)
    scale, bias = torch.tensor(10.0), torch.tensor(-5.0)

    def step() -> Tensor:
        embeddings.grad = None
        loss = form(embeddings, scale, bias)
        loss.backward()
        return loss.detach()

    return step


def whole_step(
    form: Callable[..., Tensor], config: GE2ELSTMConfig = PROJECTED, *, cells: bool = False, flush: bool = True
) -> Callable[[], Tensor]:
    """A call that runs network and loss forward and back on one batch of features."""
    torch.manual_seed(0)
    model = GE2ELSTM(config)
    if cells:
        model = CellLoop(model)
    features = torch.randn(NUM_SPEAKERS * NUM_UTTERANCES, 40, NUM_FRAMES)
    scale, bias = torch.tensor(10.0), torch.tensor(-5.0)

    def step() -> Tensor:
        torch.set_flush_denormal(flush)
        model.zero_grad(set_to_none=True)
        loss = form(model.embed(features).unflatten(0, (NUM_SPEAKERS, NUM_UTTERANCES)), scale, bias)
        loss.backward()
        return loss.detach()

    return step


def report(title: str, cases: dict[str, Callable[[], Tensor]], num_rounds: int) -> None:
    """Time the cases in turns and print how many times faster the first is."""
    values = {name: run().item() for name, run in cases.items()}
    ours = next(iter(values.values()))
    assert all(abs(value - ours) < 1e-3 * abs(ours) for value in values.values()), values
    seconds = best_seconds(cases, num_rounds)
    first = next(iter(seconds.values()))
    rows = [[name, f"{1000 * value:.1f}", f"{value / first:.2f}"] for name, value in seconds.items()]
    print_table(title, ["form", "ms", "ours is faster by"], rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--num-rounds", type=int, default=5, help="of each table (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    size = f"{NUM_SPEAKERS} speakers x {NUM_UTTERANCES} utterances"
    report(
        f"Loss and its gradient, {size}; aim: {AIM} times", {n: loss_step(f) for n, f in FORMS.items()}, args.num_rounds
    )
    report(
        f"(128, 64) x 3 network and loss, {size} of {NUM_FRAMES} frames",
        {n: whole_step(f) for n, f in FORMS.items()}
        | {"loop over pairs of speakers, and over frames": whole_step(block_loop, cells=True)},
        args.num_rounds,
    )
    for name, config in UNPROJECTED.items():
        forms = {"ours": vectorised, "loop over utterances and centroids": cosine_loop}
        report(f"{name}'s network and loss", {n: whole_step(f, config) for n, f in forms.items()}, num_rounds=1)
    denormals = {"denormals flushed": whole_step(vectorised), "not flushed": whole_step(vectorised, flush=False)}
    report("Our step, (128, 64) x 3", denormals, args.num_rounds)


if __name__ == "__main__":
    main()
