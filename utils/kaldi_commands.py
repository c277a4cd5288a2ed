"""Kaldi's copy-feats, copy-vector, feat-to-dim and feat-to-len, for those who have no Kaldi."""

import argparse
import os
import sys
from collections.abc import Callable

import numpy as np

from sv.kaldi.ark import read_object
from sv.kaldi.record import write_binary, write_text
from sv.kaldi.scp import DataDirError
from sv.kaldi.specifiers import open_read, open_records, open_write, parse_specifier, read_records, read_shapes

EPILOG = """Specifiers are Kaldi's: ark:FILE ark,t:FILE scp:FILE ark,scp:FILE,FILE, options s cs o p; FILE is a path, -, or x.gz.
A name without ark: or scp: is a file with a single object. Pipes (ark:gunzip -c x.ark.gz |) run with --allow-pipes alone."""


KINDS = {1: "vectors", 2: "feature matrices"}  # by the number of their axes


def boolean(text: str) -> bool:
    """true or false, as Kaldi writes them."""
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}")
    return text == "true"


def parser_of(name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=name,
        description=description,
        epilog=EPILOG,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--allow-pipes", action="store_true", help="let specifiers and scp lines run commands in a shell"
    )
    return parser


def run(main: Callable[[], int]) -> None:
    """Call a command; its errors are one line and exit code 1, and a reader that has seen enough is not an error."""
    try:
        sys.exit(main())
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (DataDirError, OSError, ValueError) as error:
        sys.exit(f"{os.path.basename(sys.argv[0])}: {error}")  # noqa: PTH119


def copy_object(args: argparse.Namespace, ndim: int, change: Callable[[str, np.ndarray], np.ndarray]) -> int:
    """Copy a file with a single object."""
    with open_read(args.input, args.allow_pipes) as stream:
        array = change(args.input, read_object(stream, args.input, ndim))
    with open_write(args.output, args.allow_pipes) as stream:
        (write_binary if args.binary else write_text)(stream, array)
    return 0


def copy_table(
    args: argparse.Namespace, ndim: int, method: int | None, change: Callable[[str, np.ndarray], np.ndarray]
) -> int:
    """Copy a table; says how many, and fails if there was nothing."""
    count = 0
    # An archive's full disk is told by the archive, which is closed first.
    with frame_counts(args) as count_frames, open_records(args.output, method, args.allow_pipes) as write:
        for key, array in read_records(args.input, args.allow_pipes, ndim):
            write(key, change(key, array))
            count_frames(key, len(array))
            count += 1
    print(f"{os.path.basename(sys.argv[0])}: copied {count} {KINDS[ndim]}.", file=sys.stderr)  # noqa: PTH119
    return 0 if count else 1


def frame_counts(args: argparse.Namespace) -> "Counts":
    return Counts(getattr(args, "write_num_frames", None), args.allow_pipes)


class Counts:
    """A table of whole numbers, `<key> <count>` lines; nothing without a wspecifier."""

    def __init__(self, wspecifier: str | None, allow_pipes: bool) -> None:
        file = parse_specifier(wspecifier).files[0] if wspecifier else os.devnull
        self.opened = open_write(file, allow_pipes)

    def __enter__(self) -> Callable[[str, int], None]:
        stream = self.opened.__enter__()
        return lambda key, count: stream.write(f"{key} {count}\n".encode())

    def __exit__(self, *exception: object) -> None:
        self.opened.__exit__(*exception)


def copy_feats() -> int:
    """Copy matrices."""
    parser = parser_of(
        "copy-feats",
        "Copy features: change their form, print them as text.\n\n  copy-feats scp:feats.scp ark,t:- | head",
    )
    parser.add_argument(
        "--binary", type=boolean, default=True, help="form of a single object; of tables, ark,t: says it"
    )
    parser.add_argument("--compress", type=boolean, default=False, help="compress; --compression-method says how")
    parser.add_argument("--compression-method", type=int, choices=range(1, 8), default=1, help="Kaldi's number (1)")
    parser.add_argument(
        "--write-num-frames", metavar="WSPECIFIER", help="table of the numbers of frames, as ark,t:utt2num_frames"
    )
    parser.add_argument("input", metavar="RSPECIFIER")
    parser.add_argument("output", metavar="WSPECIFIER")
    args = parser.parse_args()

    def check(key: str, array: np.ndarray) -> np.ndarray:
        if array.ndim != 2:
            raise DataDirError(f"{args.input}: {key}: a vector of {len(array)}, not a matrix; use copy-vector")
        return array

    if not parse_specifier(args.input).kinds:
        return copy_object(args, 2, check)
    return copy_table(args, 2, args.compression_method if args.compress else None, check)


def copy_vector() -> int:
    """Copy vectors."""
    parser = parser_of(
        "copy-vector", "Copy vectors: change their form, print them as text.\n\n  copy-vector --binary=false mean.vec -"
    )
    parser.add_argument(
        "--binary", type=boolean, default=True, help="form of a single object; of tables, ark,t: says it"
    )
    parser.add_argument("--change-dim", type=int, default=-1, metavar="N", help="cut off, or fill up with zeros, to N")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply by this")
    parser.add_argument("input", metavar="RSPECIFIER")
    parser.add_argument("output", metavar="WSPECIFIER")
    args = parser.parse_args()

    def change(key: str, array: np.ndarray) -> np.ndarray:
        if array.ndim != 1:
            raise DataDirError(f"{args.input}: {key}: a matrix of {len(array)} rows, not a vector; use copy-feats")
        if args.change_dim >= 0:
            array = np.pad(array[: args.change_dim], (0, max(0, args.change_dim - len(array))))
        return array * array.dtype.type(args.scale) if args.scale != 1 else array

    if not parse_specifier(args.input).kinds:
        return copy_object(args, 1, change)
    return copy_table(args, 1, None, change)


def feat_to_dim() -> int:
    """Print the features' dimension."""
    parser = parser_of(
        "feat-to-dim",
        "Print the dimension of features, of the first or, into a table, of all.\n\n  feat-to-dim scp:feats.scp -",
    )
    parser.add_argument("input", metavar="RSPECIFIER")
    parser.add_argument("output", metavar="FILE|WSPECIFIER")
    args = parser.parse_args()
    if parse_specifier(args.output).kinds:
        with Counts(args.output, args.allow_pipes) as write:
            for key, shape in read_shapes(args.input, args.allow_pipes, 2):
                write(key, shape[-1])
        return 0
    first = next(read_shapes(args.input, args.allow_pipes, 2), None)
    if first is None:
        raise DataDirError(f"{args.input}: there are no features")
    with open_write(args.output, args.allow_pipes) as stream:
        stream.write(f"{first[1][-1]}\n".encode())
    return 0


def feat_to_len() -> int:
    """Print the numbers of frames."""
    parser = parser_of(
        "feat-to-len",
        "Print the number of frames, of all together or, into a table, of each.\n\n  feat-to-len scp:feats.scp ark,t:-",
    )
    parser.add_argument("input", metavar="RSPECIFIER")
    parser.add_argument("output", metavar="WSPECIFIER", nargs="?")
    args = parser.parse_args()
    if args.output is None:
        print(sum(shape[0] for _, shape in read_shapes(args.input, args.allow_pipes, 2)))
        return 0
    with Counts(args.output, args.allow_pipes) as write:
        for key, shape in read_shapes(args.input, args.allow_pipes, 2):
            write(key, shape[0])
    return 0
