"""Make a trained model robust (stage 4): its embeddings of clean crops are the targets of augmented ones.

sv adapt --config conf/adapt_full.toml --extractor campplus --train-dir data/train --valid-dir data/valid \\
    --noise-dir noise=data/musan_noise_train --exp-dir exp/adapt_full-campplus

Goes on where it was if the folder holds checkpoints of the same run. The result is a model folder like any other; its
config.json has the hash of the model that it came from.
"""

import argparse
from pathlib import Path

from sv.adaptation.closed_form import fit_adaptation
from sv.adaptation.parent import open_parent
from sv.adaptation.training import AdaptationData, adaptation_of
from sv.bin.common import command_parser, fail_in_one_line
from sv.bin.training import augmentation_dirs, data_options, noise_library, on_all_ranks, probe_option, run_training
from sv.train.distributed import World
from sv.train.steps import CLOSED_FORMS


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser("adapt", __doc__)
    data_options(parser)
    parser.add_argument(
        "--extractor", required=True, help="model to adapt: folder, name of sv models list, published checkpoint"
    )
    parser.add_argument(
        "--valid-dir", type=Path, required=True, help="data directory of held-out speakers, with trials"
    )
    parser.add_argument("--exp-dir", type=Path, required=True, help="model folder to write")
    probe_option(parser)
    return parser.parse_args(argv)


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    on_all_ranks(train, parse(argv))


def train(args: argparse.Namespace, world: World) -> None:
    """Open the noise and train."""
    data = AdaptationData(
        train_dir=args.train_dir,
        valid_dir=args.valid_dir,
        library=noise_library(args),
        augmentation_dirs=augmentation_dirs(args),
    )
    parent = open_parent(args.extractor)
    system, training = adaptation_of(args.config, parent, data, args.seed, world)
    if system.loss_type not in CLOSED_FORMS:
        run_training(args, system, training, world)
    elif not args.probe:
        fit_adaptation(system, training, parent.weights, args.exp_dir, world)
    elif world.is_main:
        print(f"probe: {system.name}: not trained, but computed of one epoch's crops; {training.summary}")


if __name__ == "__main__":
    main()
