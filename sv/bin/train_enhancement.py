"""Train embeddings to become better ones (stage 4); goes on where it was if the folder holds checkpoints of the same run.

    python -m sv.bin.train_enhancement --config conf/embedding_mlp_cosine.toml --lists exp/lists/train \\
        --embeddings exp/exu_net/embeddings/voxceleb1_train/segments.scp --valid-trials data/voxceleb1_valid/trials \\
        --valid-embeddings exp/exu_net/embeddings/voxceleb1_valid/segments.scp --exp-dir exp/embedding_mlp_cosine

Several --embeddings are the same utterances under several conditions: targets are made of the first, inputs of all unless
the configuration says [batches] augment = false. Linear maps ([loss] type = "linear") are computed, of all of them.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sv.base.config import ConfigError
from sv.base.files import sha256_of
from sv.base.log import get_logger
from sv.bin.common import existing_scp, fail_in_one_line
from sv.bin.train import EpochPlan, identity_of, on_all_ranks, open_run
from sv.data.sampler import Item, ShuffledSampler
from sv.enhancement.apply import enhance, extractor_classifier, fit_linear, load_enhancement
from sv.enhancement.archive import EmbeddingArchive
from sv.enhancement.batches import EnhancementSet
from sv.enhancement.lists import read_list, read_test_list
from sv.kaldi import DataDirError, Trials, read_trials
from sv.scoring import compute_eer, score_cosine
from sv.system.config import SystemConfig, with_speakers
from sv.system.folder import BEST, build_frontend, build_model, read_system, write_system
from sv.train import checkpoint, distributed
from sv.train.loop import Trainer, fit
from sv.train.steps.enhancement import EnhancementStep


def eer_percent(trials: Trials, archive: EmbeddingArchive, vectors: np.ndarray) -> float:
    """EER of the trials by cosine, the true one, of vectors in the archive's order."""
    return 100 * compute_eer(score_cosine(trials, dict(zip(archive.keys, vectors))), trials.is_target)


def make_evaluation(
    frontend: nn.Module,
    archive: EmbeddingArchive,
    trials: Trials,
    loss: Callable[[nn.Module], float] | None = None,
) -> Callable[[nn.Module], dict[str, float]]:
    """A function from a model to its EER in percent on held-out speakers, and its loss there if that is given."""
    embeddings = archive.rows(range(len(archive)))
    get_logger("train").info("valid EER without enhancement: %.2f %%", eer_percent(trials, archive, embeddings))

    def evaluate(model: nn.Module) -> dict[str, float]:
        eer = eer_percent(trials, archive, enhance(frontend, model, embeddings))
        return {"eer": eer} | ({"loss": loss(model)} if loss else {})

    return evaluate


def make_validation_loss(
    system: SystemConfig, frontend: nn.Module, path: Path, archive: EmbeddingArchive, seed: int
) -> Callable[[nn.Module], float] | None:
    """A function from a model to its mean loss over the items of a list of held-out speakers.

    The softmax term is not in it: it knows the training speakers alone. None without other terms, or where the held-out
    speakers make no item of the list, which the log says.
    """
    loss, log = system.loss, get_logger("train")
    terms = tuple((name, weight) for name, weight in loss.terms if name != "softmax")
    if not terms:
        log.info("no loss on held-out speakers: the classifier does not know them")
        return None
    try:
        dataset = EnhancementSet(
            path, loss.list_kind, [archive], target=loss.target, leave_one_out=loss.leave_one_out, seed=seed
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


def list_of(system: SystemConfig, prefix: str) -> Path:
    """The list that the system's loss needs."""
    return Path(f"{prefix}_{system.loss.list_kind}_list.txt")


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
    parser.add_argument("--valid-lists", help="as --lists, of the held-out speakers: for their loss")
    parser.add_argument(
        "--extractor", type=Path, help="model folder that lends its speaker classifier to a softmax term"
    )
    parser.add_argument("--exp-dir", type=Path, required=True, help="model folder to write")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    on_all_ranks(train, parse(argv))


def train(args: argparse.Namespace, world: distributed.World) -> None:
    """Put the parts together and run the loop."""
    archives = [EmbeddingArchive(existing_scp(scp, "run stage 5 first")) for scp in args.embeddings]
    system = load_enhancement(args.config, archives[0].dim)
    if len(archives) != 1 + system.loss.noisy_copies:
        raise ConfigError(
            f"{args.config}: loss.noisy_copies is {system.loss.noisy_copies}, which takes {1 + system.loss.noisy_copies} "
            f"--embeddings, the clean ones first; got {len(archives)}"
        )
    if args.extractor:
        system = replace(system, extract=read_system(args.extractor).extract)
    valid = EmbeddingArchive(existing_scp(args.valid_embeddings, "run stage 5 first"))
    if valid.dim != archives[0].dim:
        raise ConfigError(
            f"{valid.scp}: its embeddings have dimension {valid.dim}, those of {archives[0].scp} {archives[0].dim}"
        )
    trials = read_trials(args.valid_trials) if args.valid_trials else read_test_list(args.valid_list)
    kind = fit_in_closed_form if system.loss_type == "linear" else fit_by_gradients
    kind(args, world, system, archives, valid, trials)


def fit_by_gradients(
    args: argparse.Namespace,
    world: distributed.World,
    system: SystemConfig,
    archives: list[EmbeddingArchive],
    valid: EmbeddingArchive,
    trials: Trials,
) -> None:
    """Train a network."""
    loss, path = system.loss, list_of(system, args.lists)
    dataset = EnhancementSet(
        path, loss.list_kind, archives,
        target=loss.target, leave_one_out=loss.leave_one_out, num_crops=loss.crops, seed=args.seed,
    )  # fmt: skip
    system = with_speakers(system, len(dataset.speakers), args.seed)
    run, state = open_run(
        args.exp_dir,
        identity_of(system, list=sha256_of(path), embeddings=[sha256_of(scp) for scp in args.embeddings]),
    )
    size = min(system.batches.batch_size, len(dataset) // world.size * world.size)  # a small corpus is one batch
    sampler = ShuffledSampler(
        dataset.speaker_ids, replace(system.batches, batch_size=size), args.seed, world.size, world.rank
    )
    torch.manual_seed(args.seed)
    frontend, model = build_frontend(system), build_model(system)
    step = EnhancementStep(frontend, model, loss, system.num_speakers)
    if "softmax" in step.criteria:
        lend_classifier(step, args.extractor, system)
    trainer = Trainer(step, system.train, world, args.seed)
    get_logger("train").info(
        "%s: %d parameters, %d items of %d speakers (%d speakers are left out%s), %d steps an epoch, %d items left over",
        system.name, sum(p.numel() for p in model.parameters()), len(dataset), len(dataset.speakers), len(dataset.left_out),
        f", e.g. {dataset.left_out[0]}" if dataset.left_out else "", sampler.steps_per_epoch, sampler.num_left_over,
    )  # fmt: skip
    if world.is_main:
        write_system(args.exp_dir, system)
    distributed.barrier()
    valid_loss = None
    if args.valid_lists:
        valid_loss = make_validation_loss(system, frontend, list_of(system, args.valid_lists), valid, args.seed)
    fit(trainer, EpochPlan(sampler, dataset.batches), make_evaluation(frontend, valid, trials, valid_loss), run, state)


def fit_in_closed_form(
    args: argparse.Namespace,
    world: distributed.World,
    system: SystemConfig,
    archives: list[EmbeddingArchive],
    valid: EmbeddingArchive,
    trials: Trials,
) -> None:
    """Compute a linear map, and write the model folder that training would."""
    lines = read_list(list_of(system, args.lists), "normal")
    frontend = build_frontend(system)
    inputs, speakers = [], []
    for archive in archives:
        if missing := [utt for _, utt in lines if utt not in archive]:
            raise DataDirError(
                f"{archive.scp}: {len(missing)} utterances of the list are not there, e.g. {missing[:3]}"
            )
        rows = archive.rows([archive.row(utt) for _, utt in lines])
        inputs.append(frontend(torch.from_numpy(rows)).numpy())
        speakers += [speaker for speaker, _ in lines]
    mean, transform = fit_linear(system.loss, np.concatenate(inputs), speakers)
    system = with_speakers(system, len(set(speakers)), args.seed)
    system = replace(system, model=replace(system.model, output_dim=len(transform)))
    model = build_model(system).eval()
    model.load_state_dict({"mean": torch.from_numpy(mean), "transform": torch.from_numpy(transform)})
    if not world.is_main:
        return
    eer = make_evaluation(frontend, valid, trials)(model)["eer"]
    get_logger("train").info("%s: of %d embeddings, valid EER %.2f %%", system.name, len(speakers), eer)
    write_system(args.exp_dir, system)
    checkpoint.save(args.exp_dir / BEST, {"model": model.state_dict(), "step": 0, "valid_eer": eer})


def lend_classifier(step: EnhancementStep, extractor: Path | None, system: SystemConfig) -> None:
    """Start the softmax term from the extractor's classifier, if it has one; else say that it starts from chance."""
    found = extractor_classifier(extractor, system.num_speakers, system.model.embedding_dim) if extractor else None
    if found is None:
        get_logger("train").info("softmax: no classifier of the extractor; starting from a random one")
    else:
        step.criteria["softmax"].load_state_dict(found)


if __name__ == "__main__":
    main()
