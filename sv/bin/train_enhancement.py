"""Train embeddings to become better ones (stage 4); goes on where it was if the folder holds checkpoints of the same run.

sv train_enhancement --config conf/embedding_mlp_cosine.toml --lists exp/lists/train \\
    --embeddings exp/exu_net/embeddings/voxceleb1_train/segments.scp --valid-trials data/voxceleb1_valid/trials \\
    --valid-embeddings exp/exu_net/embeddings/voxceleb1_valid/segments.scp --exp-dir exp/embedding_mlp_cosine

Several --embeddings are the same utterances under several conditions: targets are made of the first, inputs of all unless
the configuration says [batches] augment = false. Linear maps ([loss] type = "linear") are computed, of all of them.
"""

import argparse
from pathlib import Path

from sv.base.numbers import SEED
from sv.bin.common import command_parser, fail_in_one_line
from sv.bin.training import on_all_ranks
from sv.enhancement.archive import EmbeddingArchive
from sv.enhancement.lists import read_test_list
from sv.enhancement.training import EnhancementData, train_enhancement
from sv.kaldi import read_trials
from sv.train.distributed import World


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser("train_enhancement", __doc__)
    parser.add_argument("--config", type=Path, required=True, help="TOML file of the system")
    parser.add_argument("--lists", required=True, help="what the names of sv make_enhancement_lists' lists start with")
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
    parser.add_argument("--seed", type=SEED, default=0)
    return parser.parse_args(argv)


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    on_all_ranks(train, parse(argv))


def train(args: argparse.Namespace, world: World) -> None:
    """Open the embeddings and train."""
    data = EnhancementData(
        lists=args.lists,
        archives=[EmbeddingArchive(scp) for scp in args.embeddings],
        valid=EmbeddingArchive(args.valid_embeddings),
        trials=read_trials(args.valid_trials) if args.valid_trials else read_test_list(args.valid_list),
        valid_lists=args.valid_lists,
        extractor=args.extractor,
    )
    train_enhancement(args.config, data, args.exp_dir, args.seed, world)


if __name__ == "__main__":
    main()
