"""Do two recordings hold the same speaker?

sv verify --model exp/exu_net a.wav b.wav
sv verify --model exp/exu_net --p-target 0.5 --json a.flac b.m4a

Prints the cosine score, the log-likelihood ratio by the system's calibration (stage 7 makes it), and the decision that
costs least at the prior and costs given. Recordings of any rate and number of channels are made 16 kHz mono.
"""

import json
from pathlib import Path

from sv.base.layout import ModelFolder
from sv.base.numbers import POSITIVE, PROBABILITY
from sv.bin.common import command_parser, fail_in_one_line
from sv.embed.verification import verify
from sv.scoring import OperatingPoint


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and print."""
    parser = command_parser("verify", __doc__)
    parser.add_argument("--model", type=Path, required=True, help="model folder, calibrated")
    parser.add_argument(
        "--p-target", type=PROBABILITY, default=0.05, help="prior probability of one speaker (%(default)s)"
    )
    parser.add_argument("--c-miss", type=POSITIVE, default=1.0, help="cost of rejecting one speaker (%(default)s)")
    parser.add_argument("--c-fa", type=POSITIVE, default=1.0, help="cost of accepting two speakers (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("recordings", type=Path, nargs=2, metavar="AUDIO", help="wav, flac or m4a")
    args = parser.parse_args(argv)
    found = verify(ModelFolder(args.model), args.recordings, OperatingPoint(args.p_target, args.c_miss, args.c_fa))
    if args.json:
        print(json.dumps(found))
        return
    print(f"score      {found['score']:.4f}   (cosine)")
    print(f"LLR        {found['llr']:.3f}   (natural log; accepted from {found['threshold']:.3f})")
    print(f"decision   {found['decision']}")


if __name__ == "__main__":
    main()
