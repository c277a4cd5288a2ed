"""Train embeddings to become better ones (stage 4); goes on where it was if the folder holds checkpoints of the same run.

    python -m sv.bin.train_enhancement --config conf/embedding_mlp_cosine.toml --lists exp/lists/train \\
        --embeddings exp/exu_net/embeddings/voxceleb1_train/segments.scp --valid-trials data/voxceleb1_valid/trials \\
        --valid-embeddings exp/exu_net/embeddings/voxceleb1_valid/segments.scp --exp-dir exp/embedding_mlp_cosine

Several --embeddings are the same utterances under several conditions: targets are made of the first, inputs of all if the
configuration says [batches] augment = true.
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sv.bin.common import existing_scp, fail_in_one_line
from sv.bin.train import check_same_run
from sv.config import ConfigError
from sv.data.embeddings import EmbeddingArchive
from sv.data.enhancement_lists import read_test_list
from sv.data.enhancement_set import EmbeddingBatch, EnhancementSet
from sv.data.sampler import ShuffledSampler
from sv.enhancement import enhance, extractor_classifier, load_enhancement
from sv.files import sha256_of
from sv.kaldi import Trials, read_trials
from sv.log import get_logger
from sv.scoring import compute_eer, score_cosine
from sv.system import (
    SystemConfig,
    build_frontend,
    build_model,
    read_system,
    system_to_dict,
    with_speakers,
    write_system,
)
from sv.train import checkpoint, distributed
from sv.train.enhancement_step import EnhancementStep
from sv.train.loop import NonFiniteError, Run, Trainer, fit


class Plan:
    """The batches of any epoch from any step on, for this rank."""

    def __init__(self, dataset: EnhancementSet, sampler: ShuffledSampler) -> None:
        self.dataset, self.sampler = dataset, sampler
        self.steps_per_epoch = sampler.steps_per_epoch

    def batches(self, epoch: int, first_step: int) -> Iterable[EmbeddingBatch]:
        """Read the epoch's batches from step `first_step` on."""
        return self.dataset.batches(self.sampler.epoch(epoch)[first_step:])


def eer_percent(trials: Trials, archive: EmbeddingArchive, vectors: np.ndarray) -> float:
    """EER of the trials by cosine, the true one, of vectors in the archive's order."""
    return 100 * compute_eer(score_cosine(trials, dict(zip(archive.keys, vectors))), trials.is_target)


def make_evaluation(frontend: nn.Module, archive: EmbeddingArchive, trials: Trials) -> Callable:
    """A function from a model to its EER in percent on held-out speakers."""
    embeddings = archive.rows(range(len(archive)))
    get_logger("train").info("valid EER without enhancement: %.2f %%", eer_percent(trials, archive, embeddings))
    return lambda model: {"eer": eer_percent(trials, archive, enhance(frontend, model, embeddings))}


def list_of(system: SystemConfig, args: argparse.Namespace) -> Path:
    """The list that the system's loss needs."""
    return Path(f"{args.lists}_{system.loss.list_kind}_list.txt")


def identity_of(system: SystemConfig, args: argparse.Namespace) -> dict:
    """What must not change between a run and its continuation."""
    record = system_to_dict(system)
    for free in ("num_epochs", "num_workers", "log_interval", "checkpoint_interval", "keep_checkpoints"):
        record["train"].pop(free)
    return {
        "system": record,
        "list": sha256_of(list_of(system, args)),
        "embeddings": [sha256_of(scp) for scp in args.embeddings],
    }


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--config", type=Path, required=True, help="TOML file of the system")
    parser.add_argument(
        "--lists", required=True, help="what the names of sv.bin.make_enhancement_lists' lists start with"
    )
    parser.add_argument(
        "--embeddings", type=Path, action="append", required=True, metavar="SCP", help="vectors, or segments to average"
    )
    parser.add_argument(
        "--valid-embeddings", type=Path, required=True, metavar="SCP", help="those of held-out speakers"
    )
    trials = parser.add_mutually_exclusive_group(required=True)
    trials.add_argument("--valid-trials", type=Path, help="lines of <enrolment-utt> <test-utt> target|nontarget")
    trials.add_argument("--valid-list", type=Path, help="test list: lines of <0 or 1> <utt> <utt>")
    parser.add_argument(
        "--extractor", type=Path, help="model folder that lends its speaker classifier to a softmax term"
    )
    parser.add_argument("--exp-dir", type=Path, required=True, help="model folder to write")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    args = parse(argv)
    world = distributed.start()
    try:
        train(args, world)
    except NonFiniteError as error:
        raise SystemExit(f"error: {error}") from error
    finally:
        distributed.stop()


def train(args: argparse.Namespace, world: distributed.World) -> None:
    """Put the parts together and run the loop."""
    log = get_logger("train")
    archives = [EmbeddingArchive(existing_scp(scp, "run stage 5 first")) for scp in args.embeddings]
    system = load_enhancement(args.config, archives[0].dim)
    loss = system.loss
    dataset = EnhancementSet(
        list_of(system, args), loss.list_kind, archives,
        target=loss.target, leave_one_out=loss.leave_one_out, num_crops=loss.crops, seed=args.seed,
    )  # fmt: skip
    system = with_speakers(system, len(dataset.speakers), args.seed)
    if args.extractor:
        system = replace(system, extract=read_system(args.extractor).extract)
    run = Run(exp_dir=args.exp_dir, identity=identity_of(system, args))
    state = checkpoint.load_newest(run.checkpoints)
    if state is not None:
        check_same_run(state["identity"], run.identity, args.exp_dir)
    size = min(system.batches.batch_size, len(dataset) // world.size * world.size)  # a small corpus is one batch
    batches = replace(system.batches, batch_size=size)
    sampler = ShuffledSampler(dataset.speaker_ids, batches, args.seed, world.size, world.rank)
    torch.manual_seed(args.seed)
    frontend, model = build_frontend(system), build_model(system)
    step = EnhancementStep(frontend, model, loss, system.num_speakers)
    if "softmax" in step.criteria:
        lend_classifier(step, args.extractor, system)
    trainer = Trainer(step, system.train, world, args.seed)
    log.info(
        "%s: %d parameters, %d items of %d speakers (%d speakers are left out%s), %d steps an epoch, %d items left over",
        system.name, sum(p.numel() for p in model.parameters()), len(dataset), len(dataset.speakers), len(dataset.left_out),
        f", e.g. {dataset.left_out[0]}" if dataset.left_out else "", sampler.steps_per_epoch, sampler.num_left_over,
    )  # fmt: skip
    if world.is_main:
        write_system(args.exp_dir, system)
    distributed.barrier()
    trials = read_trials(args.valid_trials) if args.valid_trials else read_test_list(args.valid_list)
    valid = EmbeddingArchive(existing_scp(args.valid_embeddings, "run stage 5 first"))
    if valid.dim != archives[0].dim:
        raise ConfigError(
            f"{valid.scp}: its embeddings have dimension {valid.dim}, those of {archives[0].scp} {archives[0].dim}"
        )
    fit(trainer, Plan(dataset, sampler), make_evaluation(frontend, valid, trials), run, state)


def lend_classifier(step: EnhancementStep, extractor: Path | None, system: SystemConfig) -> None:
    """Start the softmax term from the extractor's classifier, if it has one; else say that it starts from chance."""
    found = extractor_classifier(extractor, system.num_speakers, system.model.embedding_dim) if extractor else None
    if found is None:
        get_logger("train").info("softmax: no classifier of the extractor; starting from a random one")
    else:
        step.criteria["softmax"].load_state_dict(found)


if __name__ == "__main__":
    main()
