"""Training of embedding enhancements: networks by gradients, linear maps in closed form."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from sv.base.config import ConfigError
from sv.base.files import sha256_of
from sv.base.layout import ModelFolder
from sv.base.log import get_logger
from sv.data.sampler import EpochPlan, ShuffledSampler
from sv.enhancement.apply import load_enhancement
from sv.enhancement.archive import EmbeddingArchive
from sv.enhancement.batches import EnhancementSet
from sv.enhancement.linear import fit_linear, read_inputs
from sv.enhancement.lists import read_list
from sv.enhancement.validation import make_evaluation, make_validation_loss
from sv.kaldi import Trials
from sv.system.config import SystemConfig, with_speakers
from sv.system.folder import build_frontend, build_model, read_system, write_system
from sv.system.run import TrainingData, train_system
from sv.train import best, checkpoint
from sv.train.distributed import World


@dataclass(frozen=True, kw_only=True)
class EnhancementData:
    """Embeddings and lists that an enhancement is trained and validated on.

    Attributes
    ----------
    lists : str
        What the names of the training speakers' lists start with, before `_normal_list.txt` and the like.
    archives : sequence of EmbeddingArchive
        The same utterances under several conditions, the clean ones first.
    valid : EmbeddingArchive
        Of held-out speakers.
    trials : Trials
        Of held-out speakers.
    valid_lists : str, optional
        As `lists`, of the held-out speakers, for their loss.
    extractor : Path, optional
        Model folder of what made the embeddings; it lends its speaker classifier to a softmax term.
    """

    lists: str
    archives: Sequence[EmbeddingArchive]
    valid: EmbeddingArchive
    trials: Trials
    valid_lists: str | None = None
    extractor: Path | None = None


def train_enhancement(config: Path, data: EnhancementData, exp_dir: Path, seed: int, world: World) -> None:
    """Train the enhancement that a TOML file describes into a model folder.

    Raises
    ------
    ConfigError
        If the file does not describe an enhancement of these embeddings, or the folder holds another run.
    DataDirError
        If a list is malformed, or names an utterance without an embedding.
    """
    clean, valid = data.archives[0], data.valid
    system = load_enhancement(config, clean.dim)
    wanted = 1 + system.loss.noisy_copies
    if len(data.archives) != wanted:
        raise ConfigError(
            f"{config}: loss.noisy_copies is {wanted - 1}, which takes {wanted} --embeddings, the clean ones first; "
            f"got {len(data.archives)}"
        )
    if data.extractor:
        system = replace(system, extract=read_system(data.extractor).extract)
    if valid.dim != clean.dim:
        raise ConfigError(f"{valid.scp}: its embeddings have dimension {valid.dim}, those of {clean.scp} {clean.dim}")
    if system.loss_type == "linear":
        fit_in_closed_form(replace(system, seed=seed), data, exp_dir, world)
    else:
        fit_by_gradients(replace(system, seed=seed), data, exp_dir, world)


def list_of(system: SystemConfig, prefix: str) -> Path:
    """The list that the system's loss needs."""
    return Path(f"{prefix}_{system.loss.list_kind}_list.txt")


def fit_by_gradients(system: SystemConfig, data: EnhancementData, exp_dir: Path, world: World) -> None:
    """Train a network."""
    loss, path = system.loss, list_of(system, data.lists)
    dataset = EnhancementSet(
        path, loss.list_kind, data.archives,
        target=loss.target, leave_one_out=loss.leave_one_out, num_crops=loss.crops, seed=system.seed,
    )  # fmt: skip
    system = with_speakers(system, len(dataset.speakers), system.seed)
    size = min(system.batches.batch_size, len(dataset) // world.size * world.size)  # a small corpus is one batch
    batches = replace(system.batches, batch_size=size)
    sampler = ShuffledSampler(dataset.speaker_ids, batches, system.seed, world.size, world.rank)

    def evaluation(frontend: nn.Module):
        lists = data.valid_lists
        loss = make_validation_loss(system, frontend, list_of(system, lists), data.valid) if lists else None
        return make_evaluation(frontend, data.valid, data.trials, loss)

    example = f", e.g. {dataset.left_out[0]}" if dataset.left_out else ""
    training = TrainingData(
        plan=EpochPlan(sampler, dataset.batches),
        make_evaluation=evaluation,
        identity={
            "list": sha256_of(path),
            "embeddings": [sha256_of(archive.scp) for archive in data.archives],
            "training embeddings": [sha256_of(ark) for archive in data.archives for ark in archive.arks],
        },
        summary=(
            f"{len(dataset)} items of {len(dataset.speakers)} speakers ({len(dataset.left_out)} speakers are left out"
            f"{example}), {sampler.steps_per_epoch} steps an epoch, {sampler.num_left_over} items left over"
        ),
        prepare=partial(lend_classifier, extractor=data.extractor, system=system),
    )
    train_system(system, training, exp_dir, world)


def fit_in_closed_form(system: SystemConfig, data: EnhancementData, exp_dir: Path, world: World) -> None:
    """Compute a linear map, and write the model folder that training would."""
    inputs, speakers = read_inputs(system, data.archives, read_list(list_of(system, data.lists), "normal"))
    mean, transform = fit_linear(system.loss, inputs, speakers)
    system = with_speakers(system, len(set(speakers)), system.seed)
    system = replace(system, model=replace(system.model, output_dim=len(transform)))
    frontend, model = build_frontend(system), build_model(system).eval()
    model.load_state_dict({"mean": torch.from_numpy(mean), "transform": torch.from_numpy(transform)})
    if not world.is_main:
        return
    best.check_trained(ModelFolder(exp_dir).best)
    eer = make_evaluation(frontend, data.valid, data.trials)(model)["eer"]
    get_logger("train").info("%s: of %d embeddings, valid EER %.2f %%", system.name, len(speakers), eer)
    write_system(exp_dir, system)
    checkpoint.save(ModelFolder(exp_dir).best, {"model": model.state_dict(), "step": 0, "valid_eer": eer})


def lend_classifier(step: nn.Module, extractor: Path | None, system: SystemConfig) -> None:
    """Start a softmax term from the extractor's classifier, if it has one; else the log says that it starts from chance."""
    if "softmax" not in getattr(step, "criteria", ()):
        return
    found = extractor_classifier(extractor, system.num_speakers, system.model.embedding_dim) if extractor else None
    if found is None:
        get_logger("train").info("softmax: no classifier of the extractor; starting from a random one")
    else:
        step.criteria["softmax"].load_state_dict(found)


def extractor_classifier(model_dir: str | Path, num_speakers: int, dim: int) -> dict[str, Tensor] | None:
    """Read weight and bias of the linear speaker classifier that an extractor was trained with; None if it had none.

    It lies in checkpoints/last.pt, of our training, or best.pt, of `sv convert`.

    Raises
    ------
    ConfigError
        If the classifier is for other speakers or another dimension: classes are the training set's speakers in byte order.
    """
    folder = ModelFolder(Path(model_dir))
    last, states = folder.checkpoints / "last.pt", []
    if last.is_file():
        states.append(checkpoint.load(last)["system"])
    if folder.best.is_file():
        states.append(checkpoint.load_weights(folder.best).get("criterion", {}))
    for state in states:
        for name, weight in state.items():
            prefix = name.removesuffix("weight")
            if prefix.endswith(("classifier.", "softmax.fc.")) and prefix != name and f"{prefix}bias" in state:
                if weight.shape[1] != dim or len(weight) % num_speakers:
                    raise ConfigError(
                        f"{model_dir}: its classifier {name} is {tuple(weight.shape)}, wanted {(num_speakers, dim)}: "
                        "the list must name the speakers that the extractor was trained on"
                    )
                # Copies of the speakers at other speeds come after all of them.
                bias = state[f"{prefix}bias"]
                return {"classifier.weight": weight[:num_speakers], "classifier.bias": bias[:num_speakers]}
    return None
