"""Write a model folder's front end and model as one file that runs without this package.

sv export --model exp/exu_net --format torchscript exu_net.pt
sv export --model exp/exu_net --format onnx exu_net.onnx

The file reads segments, (batch, samples) of 16 kHz audio in [-1, 1), and gives embeddings, (batch, dim). How sv embed cuts
recordings into segments and averages their embeddings is printed, and a TorchScript file holds config.json. Both are
compared with the model before they are written. OUT.json beside an ONNX file lets it be a --model of sv embed.
"""

from pathlib import Path

from sv.base.packages import DISTRIBUTION
from sv.bin.common import command_parser, fail_in_one_line
from sv.embed.export import FORMATS, export_model
from sv.embed.opening import find_folder


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and export."""
    parser = command_parser("export", __doc__)
    parser.add_argument("--model", required=True, help="model folder, or a name of sv models list")
    parser.add_argument("--format", choices=sorted(FORMATS), required=True, help=f"onnx needs {DISTRIBUTION}[onnx]")
    parser.add_argument("out", type=Path, help="file to write")
    args = parser.parse_args(argv)
    for line in export_model(find_folder(args.model), args.format, args.out):
        print(line)


if __name__ == "__main__":
    main()
