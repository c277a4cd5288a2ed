"""Write what training draws, crops, speeds, rooms, microphones and noise, as lhotse cuts, in the order of its batches.

sv draw_cuts --config conf/exu_net.toml --train-dir data/train --noise-dir noise=data/musan_noise_train --epoch 0 cuts.jsonl.gz

The cuts render to the audio of the batches; nothing in training reads them.
"""

from pathlib import Path

from sv.base.numbers import COUNT_OR_NONE
from sv.bin.common import command_parser, fail_in_one_line
from sv.bin.training import data_options, make_training_set
from sv.data.dataset import write_drawn_cuts
from sv.system.config import load_system, with_speakers
from sv.system.run import build_sampler
from sv.train.distributed import World


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and write the cuts."""
    parser = command_parser("draw_cuts", __doc__)
    data_options(parser)
    parser.add_argument("--epoch", type=COUNT_OR_NONE, default=0, help="from 0 (%(default)s)")
    parser.add_argument("out", type=Path, help="cuts, jsonl.gz")
    args = parser.parse_args(argv)
    system = load_system(args.config)
    dataset = make_training_set(args, system)
    system = with_speakers(system, dataset.num_speakers, args.seed)
    write_drawn_cuts(args.out, dataset, build_sampler(system, dataset.speaker_ids, World()).epoch(args.epoch))


if __name__ == "__main__":
    main()
