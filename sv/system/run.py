"""Training runs: the identity of a run, its continuation, and the one sequence by which every network is trained."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sv.base.config import ConfigError, flatten
from sv.base.files import sha256_of
from sv.base.layout import ModelFolder
from sv.base.log import get_logger
from sv.data.sampler import BATCHES, GroupSampler, ShuffledSampler
from sv.system.config import SystemConfig, system_to_dict
from sv.system.folder import build_frontend, build_model, write_system
from sv.train import best, checkpoint, distributed
from sv.train.initial import check_fit, fit_of, take_weights
from sv.train.loop import Plan, Run, Trainer, fit
from sv.train.steps import STEPS

Evaluate = Callable[[nn.Module], dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Training and held-out data of a run, as the loop reads them.

    Attributes
    ----------
    plan : Plan
        Batches of every epoch.
    make_evaluation : callable
        From the system's front end to a function from a model to its scores on held-out speakers, `eer` among them.
    identity : mapping
        Digests of what is trained on; they must not change between a run and its continuation.
    summary : str
        Numbers of speakers, utterances and steps, for the log.
    prepare : callable, optional
        Changes a fresh step before it is trained; a checkpoint's state replaces what it did.
    """

    plan: Plan
    make_evaluation: Callable[[nn.Module], Evaluate]
    identity: Mapping[str, Any]
    summary: str
    prepare: Callable[[nn.Module], None] | None = None


def train_system(system: SystemConfig, data: TrainingData, exp_dir: Path, world: distributed.World) -> None:
    """Train a system into a model folder, from the newest checkpoint of the same run on if there is one.

    Every random draw is keyed by `system.seed`: first the weights, then each step anew.

    Raises
    ------
    ConfigError
        If the folder holds another run, or [train] initial names a system without weights, or with few that fit, or the loss
        needs weights to start from and there are none.
    NonFiniteError
        If a loss or gradient is not finite.
    """
    check_start(system)
    run, state = open_run(exp_dir, identity_of(system, data.identity), world, bool(system.train.average_epochs))
    checkpoint.seed_rng(system.seed)
    initial = None
    if system.train.initial and system.parent is None and state is None:  # --initial stands in its place
        initial = ModelFolder(exp_dir.parent / system.train.initial)
    trainer, frontend = make_trainer(system, data, world, initial)
    if world.is_main:
        write_system(exp_dir, system)
    distributed.barrier()
    fit(trainer, data.plan, data.make_evaluation(frontend), run, state)


def make_trainer(
    system: SystemConfig, data: TrainingData, world: distributed.World, initial: ModelFolder | None = None
) -> tuple[Trainer, nn.Module]:
    """Build what is trained, with the weights of `initial` if there is one, and the front end of its evaluation."""
    frontend, model = build_frontend(system), build_model(system)
    if initial:
        load_initial(model, initial)
    step = STEPS[system.loss_type][1](frontend, model, system.loss, system.num_speakers)
    step.masks = system.train.masks
    if data.prepare:
        data.prepare(step)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    get_logger("train").info("%s: %d parameters, %s", system.name, num_parameters, data.summary)
    return Trainer(step, system.train, world, system.seed), frontend


def check_start(system: SystemConfig) -> None:
    """Raise ConfigError if a system's loss needs weights to start from, and none are named."""
    if STEPS[system.loss_type][1].needs_start and not (system.train.initial or system.parent):
        raise ConfigError(
            f'{system.name}: loss.type = "{system.loss_type}" starts from a trained network, its teacher; name it by '
            "[train] initial, a system beside this one, or by --initial, any model"
        )


def build_sampler(
    system: SystemConfig, speaker_ids: Sequence[int], world: distributed.World
) -> GroupSampler | ShuffledSampler:
    """Build the sampler of a rank's batches; `speaker_ids` holds the speaker of each row of the training set."""
    return BATCHES[system.batches_type][1](speaker_ids, system.batches, system.seed, world.size, world.rank)


def identity_of(system: SystemConfig, data: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that must not change between a run and its continuation: the system, and digests of its training data.

    Options of [train] whose field has the metadata `free` are left out; so are options whose field has the metadata `later`, at
    their default: runs from before there was such an option go on.
    """
    record = system_to_dict(system)
    for section in (part.name for part in fields(system) if is_dataclass(getattr(system, part.name))):
        own = getattr(system, section)
        for option in fields(own):
            if option.metadata.get("later") and getattr(own, option.name) == option.default:
                del record[section][option.name]
    for option in fields(system.train):
        if option.metadata.get("free"):
            del record["train"][option.name]
    return {"system": record, **data}


def digest_of_tables(train_dir: Path) -> str:
    """Digest of a data directory's speakers and durations."""
    digests = (sha256_of(train_dir / name) for name in ("utt2spk", "utt2dur"))
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def check_same_run(stored: Mapping[str, Any], wanted: Mapping[str, Any], exp_dir: Path) -> None:
    """Raise ConfigError naming the settings in which the folder's run and this one differ."""
    before, now = flatten(stored), flatten(wanted)
    before = {key: now[key] for key in best.RECORDED_LATER if key in now} | before
    differing = [
        f"{key} was {before.get(key)!r}, is {now.get(key)!r}"
        for key in sorted(before | now)
        if before.get(key) != now.get(key)
    ]
    if differing:
        raise ConfigError(
            f"{exp_dir} holds a run with other settings: {'; '.join(differing[:4])}. Train into another --exp-dir, or remove it"
        )


def open_run(
    exp_dir: Path, identity: dict[str, Any], world: distributed.World, averages: bool = False
) -> tuple[Run, checkpoint.State | None]:
    """Open the run of a model folder, with the state to go on from if there is one.

    Raises
    ------
    ConfigError
        If the folder holds another run, or a best.pt that this one did not make.
    """
    run = Run(exp_dir=exp_dir, identity=identity)
    state = checkpoint.load_newest(run.checkpoints)
    if state is not None:
        check_same_run(state["identity"], identity, exp_dir)
    best.check_ours(run.folder.best, identity, state, averages)
    gone = best.is_gone(run.folder.best, state) and not averages
    distributed.barrier()
    if gone and world.is_main:
        step = best.resume_point(run.checkpoints, run.folder.best, state, identity)
        checkpoint.remove_newer(run.checkpoints, step)
    distributed.barrier()
    return run, checkpoint.load_newest(run.checkpoints) if gone else state


def load_initial(model: nn.Module, source: ModelFolder) -> None:
    """Give a fresh model those weights of another system that have its names and shapes.

    Raises
    ------
    ConfigError
        If that system has no weights, or fewer than half of the model's fit.
    """
    path = source.best
    if not path.is_file():
        raise ConfigError(f"{path}: not there; train {source.name} first, [train] initial names it")
    given = checkpoint.load_weights(path)["model"]
    start_from(model, given, f"{path}, [train] initial")


def start_from(model: nn.Module, given: Mapping[str, Tensor], where: str) -> None:
    """Give a model those of the given weights that have its names and shapes, and say which; ConfigError if few do."""
    fit = fit_of(model.state_dict(), given)
    check_fit(fit, where)
    take_weights(model, given, fit)
    for line in fit.lines(where):
        get_logger("train").info("%s", line)
