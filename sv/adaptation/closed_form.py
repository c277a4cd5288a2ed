"""Adaptation in closed form: an affine map behind the extractor, of its embeddings of augmented crops."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sv.base.config import ConfigError
from sv.base.layout import ModelFolder
from sv.base.log import get_logger
from sv.data.dataset import Batch
from sv.embed.computing import TorchNetwork
from sv.scoring.wccn import train_wccn
from sv.system.config import SystemConfig
from sv.system.folder import build_frontend, build_model, write_system
from sv.system.run import TrainingData
from sv.train import best, checkpoint
from sv.train.distributed import World, gather_objects


def fit_adaptation(
    system: SystemConfig, data: TrainingData, weights: dict[str, Tensor], exp_dir: Path, world: World
) -> None:
    """Fit the map that [loss] type = "adapt_wccn" describes, of the first epoch's crops, and write a model folder.

    The mean is that of all crops, each embedding with length 1, as its cosine has it. A model that was adapted so before gets
    another map in place of that one. The ranks share the crops.

    Parameters
    ----------
    system : SystemConfig
    data : TrainingData
    weights : dict of str to torch.Tensor
        Of the model that is adapted.
    exp_dir : Path
    world : World

    Raises
    ------
    ConfigError
        If the folder holds weights from elsewhere, or the training set has too few utterances of too few speakers.
    """
    folder = ModelFolder(exp_dir)
    best.check_trained(folder.best)
    frontend, model = build_frontend(system).to(world.device), build_model(system).to(world.device).eval()
    model.start_from(weights)
    embeddings, speakers = embed_crops(frontend, model.extractor, data.plan.batches(0, 0), world)
    try:
        transform = train_wccn(embeddings, speakers, system.loss.shrinkage)
    except ValueError as error:
        raise ConfigError(f"{system.name}: {error}") from error
    with torch.no_grad():
        model.mean.copy_(torch.from_numpy(embeddings.mean(axis=0, dtype=np.float64)))
        model.transform.copy_(torch.from_numpy(transform))
    scores = data.make_evaluation(frontend)(model)
    if not world.is_main:
        return
    said = ", ".join(f"{name.removeprefix('eer_')} {eer:.2f}" for name, eer in scores.items() if name != "eer")
    get_logger("train").info("%s: of %d crops, held-out EER %% %s", system.name, len(speakers), said)
    write_system(exp_dir, system)
    checkpoint.save(folder.best, {"model": model.state_dict(), "step": 0, "valid_eer": scores["eer"]})


@torch.no_grad()
def embed_crops(
    frontend: nn.Module, extractor: nn.Module, batches: Iterable[Batch], world: World
) -> tuple[np.ndarray, np.ndarray]:
    """Embed the crops of all ranks' batches: (n, dim) vectors of length 1, and (n,) speakers."""
    network, rows, speakers = TorchNetwork(extractor), [], []
    for batch in batches:
        found = network.embed(frontend(batch.to(world.device).waveforms))
        rows.append(nn.functional.normalize(found).cpu().numpy())
        speakers.append(batch.speaker_ids.numpy())
    mine = np.concatenate(rows), np.concatenate(speakers)
    everyone = gather_objects(mine)
    return np.concatenate([part[0] for part in everyone]), np.concatenate([part[1] for part in everyone])
