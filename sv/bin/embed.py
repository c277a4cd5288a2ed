"""Embed recordings: audio files, folders, patterns, lists, wav.scp, feats.scp.

sv embed --model campplus a.wav b.flac out.ark           keys are the file names without suffix
sv embed --model exp/exu_net corpus/ out.npz             every audio file in a folder, at any depth
sv embed --model exp/exu_net 'corpus/*/*.wav' out.csv    what a pattern matches; ** is any number of folders
sv embed --model exp/exu_net files.txt out.ark           a list, one path a line
sv embed --model exp/exu_net data/test/wav.scp out.ark   writes out.ark and out.scp

Where two files have one name, keys are paths below the folder that all files share, like speaker-session-00001. Inputs of all
kinds can be mixed. The output is Kaldi's archive with its scp (.ark), arrays "ids" and "embeddings" (.npz), or a table (.csv).

Audio of any rate and number of channels is made 16 kHz mono. The pipes of a noisy set's wav.scp are not run, its cuts are
rendered; those of one without cuts run only with --allow-pipes. With segments beside wav.scp, these are embedded. A feats.scp
is of stage 3, or of whole utterances with as many mels as the system reads.
"""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from sv.bin.common import allow_pipes_option, command_parser, fail_in_one_line
from sv.bin.options import computing_options, model_option, speech_options
from sv.data.audio import BadAudio
from sv.embed.inputs import refuse_stored
from sv.embed.naming import named_inputs
from sv.embed.opening import open_model
from sv.embed.outputs import SUFFIXES, open_embeddings, refuse_overwriting


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
    parser.add_argument(
        "inputs", type=Path, nargs="+", help="audio files, folders, patterns, lists, wav.scp or feats.scp"
    )
    parser.add_argument("out", type=Path, help="OUT.ark (with OUT.scp beside it), OUT.npz or OUT.csv")
    args = parser.parse_args(argv)
    if args.out.suffix not in SUFFIXES:
        parser.error(f"the last argument is the output and must end in {' or '.join(SUFFIXES)}, got {args.out}")
    return args


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and embed."""
    args = parse(argv)
    inputs = named_inputs(args.inputs, skip_missing=args.skip_bad)
    refuse_overwriting(args.out, inputs)
    if args.vad == "silero":
        refuse_stored(inputs)
    model = open_model(args.model, precision=args.precision, runtime=args.runtime)
    embedder = model.listening(args.vad, args.min_speech)
    dim, reader = 0, embedder.reader(args.allow_pipes)
    with open_embeddings(args.out) as write:
        embedded = embedder(reader(inputs), refused := [])
        for key, vector, _ in tqdm(embedded, total=len(inputs), unit="recording", leave=False, disable=None):
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
    print(f"{(num := len(inputs) - len(bad))} recording{'s' * (num != 1)}, {dim} dimensions, {args.out}")


if __name__ == "__main__":
    main()
