"""Write what an enhancement trains on besides the training set: noisy copies of its utterances, or of their halves.

    python -m sv.bin.make_enhancement_inputs --config conf/embedding_mlp_noisy.toml --train-dir data/voxceleb1_train \\
        --noise-dir noise=data/musan_noise_train --noise-dir music=data/musan_music_train exp/embedding_mlp_noisy/inputs/data

Writes data directories of lhotse cuts; no audio is copied. OUT/noisy1, OUT/noisy2, ...: as many as the configuration's [loss]
noisy_copies, each utterance disturbed anew as [augment] says. With --halves, OUT/clean too, and all of them with each
utterance as two of one session, of half its length: for corpora with one utterance a session.
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from sv.base.layout import SAMPLING_RATE
from sv.base.seeding import generator
from sv.bin.common import fail_in_one_line
from sv.bin.train import data_options, noise_library
from sv.data.augment import AugmentConfig, NoiseLibrary
from sv.data.manifests import cut_of
from sv.data.rendered import write_rendered_dir
from sv.data.utterances import read_utterances
from sv.kaldi import read_utt2spk
from sv.kaldi.data_dir import quarantined
from sv.kaldi.scp import byte_order
from sv.system.config import load_system

Piece = tuple[str, str, int, int]  # its id, the utterance that it is of, first sample, number of samples


def pieces_of(utt: str, num_samples: int, halves: bool) -> list[Piece]:
    """The utterance, or its halves."""
    if not halves:
        return [(utt, utt, 0, num_samples)]
    middle = num_samples // 2
    return [(f"{utt}_1", utt, 0, middle), (f"{utt}_2", utt, middle, num_samples - middle)]


def write_copy(copy: int, train_dir: Path, out: Path, library: NoiseLibrary, config: AugmentConfig, args) -> str:
    """Write one data directory: copy 0 is clean, the others are disturbed, each in its own way; returns its name."""
    left_out, utterances = quarantined(train_dir), read_utterances(train_dir)
    utt2spk = {utt: spk for utt, spk in read_utt2spk(train_dir / "utt2spk").items() if utt not in left_out}
    pieces = [piece for utt in utt2spk for piece in pieces_of(utt, utterances[utt].num_samples, args.halves)]
    pieces.sort(key=lambda piece: byte_order(piece[0]))

    def cuts() -> Iterator[dict]:
        for name, utt, start, length in pieces:
            cut = cut_of(name, utt2spk[utt], utterances[utt], start, length)
            if copy:
                speech = utterances[utt].read_all()[start : start + length]
                draw = library.draw(generator(args.seed, "enhancement", copy, name), config, length)
                cut = library.to_cut(draw, cut, speech)
            yield cut.to_dict()

    name = f"noisy{copy}" if copy else "clean"
    write_rendered_dir(
        out / name,
        cuts(),
        utt2spk={piece[0]: utt2spk[piece[1]] for piece in pieces},
        utt2dur={piece[0]: piece[3] / SAMPLING_RATE for piece in pieces},
    )
    return name


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and write the data directories."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    data_options(parser)
    parser.add_argument("--halves", action="store_true", help="cut each utterance in two")
    parser.add_argument("--nj", type=int, default=1, help="processes")
    parser.add_argument("out", type=Path, help="folder of the data directories")
    args = parser.parse_args(argv)
    system, library = load_system(args.config), noise_library(args)
    num_copies = system.loss.noisy_copies
    if num_copies:
        library.check(system.augment)
    copies = range(0 if args.halves else 1, num_copies + 1)
    work = partial(
        write_copy, train_dir=args.train_dir, out=args.out, library=library, config=system.augment, args=args
    )
    with ProcessPoolExecutor(args.nj) as pool:
        for name in pool.map(work, copies):
            print(args.out / name, flush=True)


if __name__ == "__main__":
    main()
