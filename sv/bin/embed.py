"""Embed recordings: audio files, a wav.scp, or a feats.scp.

sv embed --model exp/exu_net a.wav b.flac out.ark        keys are the file names without suffix
sv embed --model exp/exu_net data/test/wav.scp out.ark   writes out.ark and out.scp

Audio of any rate and number of channels is made 16 kHz mono. The pipes of a noisy set's wav.scp are not run: its cuts are
rendered instead. Those of a wav.scp without cuts run only with --allow-pipes. With segments beside wav.scp, these are
embedded. A feats.scp is of stage 3, or of whole utterances with as many mels as the system reads.
"""

import argparse
import sys
from pathlib import Path

import torch

from sv.bin.common import allow_pipes_option, fail_in_one_line
from sv.data.audio import BadAudio
from sv.embed.embedder import Embedder, utterance_embedding
from sv.embed.inputs import FeatureReader, named_inputs
from sv.features.segments import frames_per_segment
from sv.kaldi import open_ark_scp
from sv.system.folder import load_model


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="sv embed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--model", type=Path, required=True, help="model folder, of training or sv convert")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out recordings that cannot be used, instead of failing"
    )
    allow_pipes_option(parser)
    parser.add_argument("inputs", type=Path, nargs="+", help="audio files (wav, flac, m4a), wav.scp or feats.scp files")
    parser.add_argument("out", type=Path, help="OUT.ark; OUT.scp is written beside it")
    args = parser.parse_args(argv)
    if args.out.suffix != ".ark":
        parser.error(f"the last argument is the output and must end in .ark, got {args.out}")
    if args.out.with_suffix(".scp") in args.inputs:
        parser.error(f"{args.out.with_suffix('.scp')} is an input and would be overwritten; choose another output")
    return args


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and embed."""
    args = parse(argv)
    inputs = named_inputs(args.inputs)
    system, frontend, model = load_model(args.model, "cuda" if torch.cuda.is_available() else "cpu")
    frames = frames_per_segment(frontend, system.extract)
    reader, embedder = (
        FeatureReader(system, frontend, args.allow_pipes),
        Embedder(model, frames, system.extract.batch_size),
    )
    out = args.out.absolute()
    with open_ark_scp(out, out.with_suffix(".scp")) as write:
        for key, segments in embedder(reader(inputs)):
            write(key, utterance_embedding(segments, system.extract.unit_segments))
        for line in reader.bad:
            print(f"cannot use {line}", file=sys.stderr)
        if len(reader.bad) == len(inputs) or (reader.bad and not args.skip_bad):
            # Raised in here so that nothing is published.
            raise BadAudio(f"{len(reader.bad)} of {len(inputs)} recordings cannot be used (--skip-bad leaves them out)")


if __name__ == "__main__":
    main()
