"""Train a system (stage 4); goes on where it was if the folder holds checkpoints of the same run.

    python -m sv.bin.train --config conf/exu_net.toml --train-dir data/train --valid-dir data/valid --feats exp/feats/x \\
        --noise-dir noise=data/musan_noise_train --exp-dir exp/exu_net
    torchrun --standalone --nproc-per-node 4 -m sv.bin.train ...
"""

import argparse
import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sv.base.config import ConfigError
from sv.base.files import sha256_of
from sv.base.log import get_logger
from sv.bin.common import fail_in_one_line
from sv.data.augment import NoiseLibrary
from sv.data.dataset import TrainingSet, UtteranceIndex, load_batches
from sv.data.sampler import BATCHES, GroupSampler, ShuffledSampler
from sv.embed.embedder import Embedder, utterance_embedding
from sv.embed.inputs import check_features, set_features
from sv.features.segments import frames_per_segment
from sv.kaldi import read_trials, read_utt2spk, split_keys
from sv.kaldi.enrolment import read_enrolment
from sv.scoring import compute_eer, model_embeddings, score_cosine
from sv.system.config import SystemConfig, load_system, system_to_dict, with_speakers
from sv.system.folder import BEST, build_frontend, build_model, write_system
from sv.train import checkpoint, distributed
from sv.train.loop import NonFiniteError, Run, Trainer, fit
from sv.train.steps import waveform_step


class EpochPlan:
    """The batches of any epoch from any step on, for this rank; `read` makes them of what the sampler planned."""

    def __init__(self, sampler: GroupSampler | ShuffledSampler, read: Callable[[Sequence], Iterable]) -> None:
        self.sampler, self.read = sampler, read
        self.steps_per_epoch = sampler.steps_per_epoch

    def batches(self, epoch: int, first_step: int) -> Iterable:
        """Read the epoch's batches from step `first_step` on."""
        return self.read(self.sampler.epoch(epoch)[first_step:])


def make_evaluation(
    system: SystemConfig, frontend: nn.Module, valid_dir: Path, feats: Path | None, world: distributed.World
) -> Callable:
    """A function from a model to its EER in percent on the held-out speakers; the ranks share the utterances."""
    if feats:
        check_features(feats, system)
    trials = read_trials(valid_dir / "trials")
    utt2spk = read_utt2spk(valid_dir / "utt2spk")
    models = read_enrolment(valid_dir, utt2spk)
    mine = split_keys(list(utt2spk), world.size, world.rank + 1)
    frames = frames_per_segment(frontend, system.extract)

    def evaluate(model: nn.Module) -> dict[str, float]:
        embedder = Embedder(model, frames, system.extract.batch_size)
        features = set_features(system, frontend, valid_dir, feats, mine)
        unit = system.extract.unit_segments
        embeddings = {utt: utterance_embedding(segments, unit) for utt, segments in embedder(features)}
        everyone = {utt: vector for part in distributed.gather_objects(embeddings) for utt, vector in part.items()}
        everyone |= model_embeddings(models, everyone)
        return {"eer": 100 * compute_eer(score_cosine(trials, everyone), trials.is_target)}

    return evaluate


def identity_of(system: SystemConfig, **data: Any) -> dict[str, Any]:
    """What must not change between a run and its continuation: the system, and digests of what it is trained on."""
    record = system_to_dict(system)
    # More epochs are a longer run of the same kind; how it is read, logged and averaged changes no training.
    for free in (
        "num_epochs",
        "num_workers",
        "log_interval",
        "checkpoint_interval",
        "keep_checkpoints",
        "average_epochs",
    ):
        record["train"].pop(free)
    return {"system": record, **data}


def digest_of_tables(train_dir: Path) -> str:
    """Digest of a data directory's speakers and durations."""
    digests = (sha256_of(train_dir / name) for name in ("utt2spk", "utt2dur"))
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def flatten(record: dict, prefix: str = "") -> dict:
    """Nested keys as dotted ones."""
    flat = {}
    for key, value in record.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def check_same_run(stored: dict, wanted: dict, exp_dir: Path) -> None:
    """Raise ConfigError naming what differs between the folder's run and this one."""
    before, now = flatten(stored), flatten(wanted)
    differing = [
        f"{key} was {before.get(key)!r}, is {now.get(key)!r}"
        for key in sorted(before | now)
        if before.get(key) != now.get(key)
    ]
    if differing:
        raise ConfigError(
            f"{exp_dir} holds a run with other settings: {'; '.join(differing[:4])}. Train into another --exp-dir, or remove it"
        )


def open_run(exp_dir: Path, identity: dict[str, Any]) -> tuple[Run, checkpoint.State | None]:
    """The run of a model folder, and its newest state if there is one; raises ConfigError if that is of another run."""
    run = Run(exp_dir=exp_dir, identity=identity)
    state = checkpoint.load_newest(run.checkpoints)
    if state is not None:
        check_same_run(state["identity"], identity, exp_dir)
    return run, state


def on_all_ranks(train: Callable[[argparse.Namespace, distributed.World], None], args: argparse.Namespace) -> None:
    """Run `train` as one of the processes that share a training, or alone."""
    world = distributed.start()
    try:
        train(args, world)
    except NonFiniteError as error:
        raise SystemExit(f"error: {error}") from error
    finally:
        distributed.stop()


def data_options(parser: argparse.ArgumentParser) -> None:
    """Add what training reads."""
    parser.add_argument("--config", type=Path, required=True, help="TOML file of the system")
    parser.add_argument("--train-dir", type=Path, required=True, help="data directory to train on")
    parser.add_argument("--noise-dir", action="append", default=[], metavar="CATEGORY=DIR", help="noise to mix in")
    parser.add_argument("--rirs", type=Path, help="data directory of room responses; may be absent if none are used")
    parser.add_argument("--channels", type=Path, help="data directory of microphone responses")
    parser.add_argument("--seed", type=int, default=0)


def noise_library(args: argparse.Namespace) -> NoiseLibrary:
    """What the options give to disturb speech with."""
    rirs = args.rirs if args.rirs and args.rirs.is_dir() else None
    return NoiseLibrary(dict(item.split("=", 1) for item in args.noise_dir), rirs, args.channels)


def make_training_set(args: argparse.Namespace, system: SystemConfig) -> TrainingSet:
    """The training set of the options."""
    noise = noise_library(args)
    return TrainingSet(UtteranceIndex(args.train_dir), system.train.crop_samples, system.augment, noise, args.seed)


def make_sampler(
    system: SystemConfig, dataset: TrainingSet, seed: int, world: distributed.World
) -> GroupSampler | ShuffledSampler:
    """The configured batches of a training set."""
    return BATCHES[system.batches_type][1](dataset.speaker_ids, system.batches, seed, world.size, world.rank)


def load_initial(model: nn.Module, model_dir: Path) -> None:
    """Give a fresh model the weights of another system that have its names and shapes.

    Raises
    ------
    ConfigError
        If that system has no weights, or none that fits.
    """
    path = model_dir / BEST
    if not path.is_file():
        raise ConfigError(f"{path}: not there; train {model_dir.name} first, [train] initial names it")
    given, own = torch.load(path, map_location="cpu", weights_only=True)["model"], model.state_dict()
    fitting = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise ConfigError(f"{path}: none of its weights fits this model; [train] initial names it")
    model.load_state_dict(own | fitting)
    get_logger("train").info("%d of %d weights from %s", len(fitting), len(own), path)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    data_options(parser)
    parser.add_argument(
        "--valid-dir", type=Path, required=True, help="data directory of held-out speakers, with trials"
    )
    parser.add_argument("--feats", type=Path, help="folder of the held-out set's features; computed if not given")
    parser.add_argument("--exp-dir", type=Path, required=True, help="model folder to write")
    return parser.parse_args(argv)


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    on_all_ranks(train, parse(argv))


def train(args: argparse.Namespace, world: distributed.World) -> None:
    """Put the parts together and run the loop."""
    system = load_system(args.config)
    step_class = waveform_step(system.loss_type, str(args.config))
    dataset = make_training_set(args, system)
    if shared := set(dataset.index.speakers) & set(read_utt2spk(args.valid_dir / "utt2spk").values()):
        raise ValueError(f"{len(shared)} speakers of {args.valid_dir} are in training, e.g. {min(shared)}")
    system = with_speakers(system, dataset.num_speakers, args.seed)
    run, state = open_run(args.exp_dir, identity_of(system, **{"training data": digest_of_tables(args.train_dir)}))
    sampler = make_sampler(system, dataset, args.seed, world)
    torch.manual_seed(args.seed)
    frontend, model = build_frontend(system), build_model(system)
    if system.train.initial and state is None:
        load_initial(model, args.exp_dir.parent / system.train.initial)
    step = step_class(frontend, model, system.loss, system.num_speakers)
    trainer = Trainer(step, system.train, world, args.seed)
    get_logger("train").info(
        "%s: %d parameters, %d speakers (%d with too few utterances are left out), %d utterances, %d steps an epoch, "
        "%d utterances or groups left over",
        system.name, sum(p.numel() for p in model.parameters()), system.num_speakers, sampler.num_left_out, len(dataset),
        sampler.steps_per_epoch, sampler.num_left_over,
    )  # fmt: skip
    if world.is_main:
        write_system(args.exp_dir, system)
    distributed.barrier()
    fit(
        trainer,
        EpochPlan(sampler, partial(load_batches, dataset, num_workers=system.train.num_workers)),
        make_evaluation(system, frontend, args.valid_dir, args.feats, world),
        run,
        state,
    )


if __name__ == "__main__":
    main()
