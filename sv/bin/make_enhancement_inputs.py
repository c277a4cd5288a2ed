"""Write what an enhancement trains on besides the training set: noisy copies of its utterances, or of their halves.

sv make_enhancement_inputs --config conf/embedding_mlp_noisy.toml --train-dir data/voxceleb1_train \\
    --noise-dir noise=data/musan_noise_train --noise-dir music=data/musan_music_train exp/embedding_mlp_noisy/inputs/data

Writes data directories of lhotse cuts; no audio is copied. OUT/noisy1, OUT/noisy2, ...: as many as the configuration's [loss]
noisy_copies, each utterance augmented anew as [augment] says. With --halves, OUT/clean too, and all of them with each
utterance as two of one session, of half its length: for corpora with one utterance per session.
"""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from sv.base.numbers import COUNT
from sv.bin.common import command_parser, fail_in_one_line
from sv.bin.training import data_options, noise_library
from sv.enhancement.copies import Copies
from sv.system.config import load_system


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and write the data directories."""
    parser = command_parser("make_enhancement_inputs", __doc__)
    data_options(parser)
    parser.add_argument("--halves", action="store_true", help="cut each utterance in two")
    parser.add_argument("--nj", type=COUNT, default=1, help="processes")
    parser.add_argument("out", type=Path, help="folder of the data directories")
    args = parser.parse_args(argv)
    system, library = load_system(args.config), noise_library(args)
    if system.loss.noisy_copies:
        library.check(system.augment)
    copies = Copies(
        train_dir=args.train_dir,
        out=args.out,
        library=library,
        augment=system.augment,
        halves=args.halves,
        seed=args.seed,
    )
    with ProcessPoolExecutor(args.nj) as pool:
        for path in pool.map(copies.write, range(0 if args.halves else 1, system.loss.noisy_copies + 1)):
            print(path, flush=True)


if __name__ == "__main__":
    main()
