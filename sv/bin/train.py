"""Train a system (stage 4); goes on where it was if the folder holds checkpoints of the same run.

sv train --config conf/exu_net.toml --train-dir data/train --valid-dir data/valid --feats exp/feats/x \\
    --noise-dir noise=data/musan_noise_train --exp-dir exp/exu_net
torchrun --standalone --nproc-per-node 4 -m sv.bin.train ...
sv train --initial campplus ...       from the weights of another model; sv models fit tells which of them it takes
"""

import argparse
from functools import partial
from pathlib import Path

from sv.adaptation.initial import OPTION, started_from
from sv.bin.common import command_parser, fail_in_one_line
from sv.bin.training import augmentation_dirs, data_options, make_training_set, on_all_ranks, probe_option, run_training
from sv.data.dataset import load_batches
from sv.data.sampler import EpochPlan
from sv.embed.evaluation import check_held_out, make_evaluation
from sv.kaldi.data_dir import audio_digest
from sv.system.config import load_system, with_speakers
from sv.system.run import TrainingData, build_sampler, digest_of_tables
from sv.train.distributed import World
from sv.train.steps import waveform_step


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser("train", __doc__)
    data_options(parser)
    parser.add_argument(
        "--valid-dir", type=Path, required=True, help="data directory of held-out speakers, with trials"
    )
    parser.add_argument("--feats", type=Path, help="folder of the held-out set's features; computed if not given")
    parser.add_argument(OPTION, metavar="MODEL", help="model to start from: folder, name of sv models list, checkpoint")
    parser.add_argument("--exp-dir", type=Path, required=True, help="model folder to write")
    probe_option(parser)
    return parser.parse_args(argv)


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    on_all_ranks(train, parse(argv))


def train(args: argparse.Namespace, world: World) -> None:
    """Put data and system together and train."""
    system = load_system(args.config)
    waveform_step(system.loss_type, str(args.config))  # or the reason that it is not one
    dataset = make_training_set(args, system)
    check_held_out(set(dataset.index.speakers), args.valid_dir)
    system = with_speakers(system, dataset.num_speakers, args.seed)
    sampler = build_sampler(system, dataset.speaker_ids, world)
    training_data, prepare = digest_of_tables(args.train_dir), None
    if args.initial:
        system, prepare = started_from(args.initial, system, training_data)
    data = TrainingData(
        plan=EpochPlan(sampler, partial(load_batches, dataset, num_workers=system.train.num_workers)),
        make_evaluation=lambda frontend: make_evaluation(system, frontend, args.valid_dir, args.feats, world),
        identity={
            "training data": training_data,
            "training audio": audio_digest([args.train_dir, args.valid_dir, *augmentation_dirs(args)]),
        },
        summary=(
            f"{system.num_speakers} speakers ({sampler.num_left_out} with too few utterances are left out), "
            f"{len(dataset)} utterances, {sampler.steps_per_epoch} steps an epoch, "
            f"{sampler.num_left_over} utterances or groups left over"
        ),
        prepare=prepare,
    )
    run_training(args, system, data, world)


if __name__ == "__main__":
    main()
