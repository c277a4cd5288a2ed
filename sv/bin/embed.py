"""Embed recordings: audio files, a wav.scp, or a feats.scp.

sv embed --model campplus a.wav b.flac out.ark           keys are the file names without suffix
sv embed --model exp/exu_net corpus/ out.ark             every audio file in a folder
sv embed --model exp/exu_net data/test/wav.scp out.ark   writes out.ark and out.scp

Where two files have one name, keys are paths below the folder that all files share, like speaker-session-00001.

Audio of any rate and number of channels is made 16 kHz mono. The pipes of a noisy set's wav.scp are not run: its cuts are
rendered instead. Those of a wav.scp without cuts run only with --allow-pipes. With segments beside wav.scp, these are
embedded. A feats.scp is of stage 3, or of whole utterances with as many mels as the system reads.
"""

import argparse
import sys
from pathlib import Path

from sv.bin.common import allow_pipes_option, command_parser, fail_in_one_line
from sv.bin.options import computing_options, model_option, speech_options
from sv.data.audio import BadAudio
from sv.embed.inputs import refuse_stored
from sv.embed.naming import named_inputs
from sv.embed.opening import open_model
from sv.kaldi import open_ark_scp


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser("embed", __doc__)
    model_option(parser)
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out recordings that cannot be used, instead of failing"
    )
    computing_options(parser)
    speech_options(parser, 0.0)
    allow_pipes_option(parser)
    parser.add_argument("inputs", type=Path, nargs="+", help="audio files, folders of them, wav.scp or feats.scp files")
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
    if args.vad == "silero":
        refuse_stored(inputs)
    embedder = open_model(args.model, precision=args.precision, runtime=args.runtime).listening(
        args.vad, args.min_speech
    )
    dim = 0
    reader, out = embedder.reader(args.allow_pipes), args.out.absolute()
    with open_ark_scp(out, out.with_suffix(".scp")) as write:
        for key, vector, _ in embedder(reader(inputs), refused := []):
            write(key, vector)
            dim = len(vector)
        bad = [*reader.bad, *(f"{inputs[key][0]}: its embedding is not finite" for key in refused)]
        for line in bad:
            print("cannot use", line.replace("\n", "\\n"), file=sys.stderr)
        # Raised in here so that nothing is published.
        if refused and len(bad) == len(inputs):
            raise BadAudio(f"no recording has a finite embedding; is {args.model} a model that works?")
        if len(bad) == len(inputs) or (bad and not args.skip_bad):
            raise BadAudio(f"{len(bad)} of {len(inputs)} recordings cannot be used (--skip-bad leaves them out)")
    number = len(inputs) - len(bad)
    print(f"{number} recording{'s' * (number != 1)}, {dim} dimensions, {args.out}")


if __name__ == "__main__":
    main()
