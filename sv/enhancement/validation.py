"""Scores of an enhancement on held-out speakers, for training: EER by cosine, and the training loss."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sv.base.log import get_logger
from sv.data.sampler import Item
from sv.enhancement.apply import enhance
from sv.enhancement.archive import EmbeddingArchive
from sv.enhancement.batches import EnhancementSet
from sv.enhancement.targets import UTTERANCE
from sv.kaldi import DataDirError, Trials
from sv.scoring import compute_eer, score_cosine
from sv.system.config import SystemConfig
from sv.train.steps.enhancement import EnhancementStep


def eer_percent(trials: Trials, archive: EmbeddingArchive, vectors: np.ndarray) -> float:
    """EER in percent of the trials' cosine scores, of vectors (n, dim) in the archive's order."""
    return 100 * compute_eer(score_cosine(trials, dict(zip(archive.keys, vectors))), trials.is_target)


def make_evaluation(
    frontend: nn.Module,
    archive: EmbeddingArchive,
    trials: Trials,
    loss: Callable[[nn.Module], float] | None = None,
) -> Callable[[nn.Module], dict[str, float]]:
    """Make a function from a model to its EER in percent on held-out speakers, and its loss there if that is given."""
    embeddings = archive.rows(range(len(archive)))
    get_logger("train").info("valid EER without enhancement: %.2f %%", eer_percent(trials, archive, embeddings))

    def evaluate(model: nn.Module) -> dict[str, float]:
        eer = eer_percent(trials, archive, enhance(frontend, model, embeddings))
        return {"eer": eer} | ({"loss": loss(model)} if loss else {})

    return evaluate


def make_validation_loss(
    system: SystemConfig, frontend: nn.Module, path: Path, archive: EmbeddingArchive
) -> Callable[[nn.Module], float] | None:
    """Make a function from a model to its mean loss over the items of a list of held-out speakers.

    Its softmax term is left out: it knows the training speakers alone. None without other terms, where the held-out
    speakers make no item of the list, or where an utterance is its own target, as there is no noisy copy of it; the log says
    why.
    """
    loss, log = system.loss, get_logger("train")
    if loss.target == UTTERANCE:
        log.info("no loss on held-out speakers: their utterances are their own targets")
        return None
    terms = tuple((name, weight) for name, weight in loss.terms if name != "softmax")
    if not terms:
        log.info("no loss on held-out speakers: the classifier does not know them")
        return None
    try:
        dataset = EnhancementSet(
            path, loss.list_kind, [archive], target=loss.target, leave_one_out=loss.leave_one_out, seed=system.seed
        )
    except DataDirError as error:
        log.info("no loss on held-out speakers: %s", error)
        return None
    items, size = [Item(i, epoch=0, augment=False) for i in range(len(dataset))], system.batches.batch_size
    blocks = [items[first : first + size] for first in range(0, len(items), size)]

    @torch.inference_mode()
    def evaluate(model: nn.Module) -> float:
        step = EnhancementStep(frontend, model, replace(loss, terms=terms), num_speakers=0).eval()
        device, total = next(model.parameters()).device, 0.0
        for block in blocks:
            total += len(block) * float(step(dataset.batch(block).to(device))["loss"])
        return total / len(items)

    return evaluate
