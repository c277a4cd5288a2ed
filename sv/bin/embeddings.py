"""Published speaker embeddings, a pickled dict from 'speaker/video/segment' to a vector, to and from Kaldi archives.

sv embeddings import TTA_vox1_eval.pk exp/published/xvector.ark     writes xvector.ark and xvector.scp
sv embeddings import --table eval_dic_embeddings speaker_embeddings_RawNet xvector.ark
sv embeddings export exp/rawnet2/embeddings/voxceleb1_test/xvector.scp embeddings.pk

No code of the pickle is run. Keys become utterance ids as data directories have them, id10270-x6uYqmx31kE-00001, and back.
"""

import argparse
from pathlib import Path

from sv.bin.common import fail_in_one_line
from sv.kaldi import open_ark_scp, read_vectors
from sv.kaldi.scp import byte_order
from sv.published.embeddings import read_embeddings, to_key, to_utterance, write_embeddings


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="sv embeddings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    importing = commands.add_parser("import", help="a pickle to ark and scp", allow_abbrev=False)
    importing.add_argument("pickle", type=Path)
    importing.add_argument("out", type=Path, help="OUT.ark; OUT.scp is written beside it")
    importing.add_argument("--table", help="name of one table, in a file with several")
    exporting = commands.add_parser("export", help="an scp to a pickle", allow_abbrev=False)
    exporting.add_argument("scp", type=Path, help="Kaldi scp of (dim,) vectors")
    exporting.add_argument("out", type=Path, help="pickle to write")
    exporting.add_argument(
        "--parts", type=int, choices=(2, 3), default=3, help="of a key: speaker/file or speaker/video/segment"
    )
    for command in (importing, exporting):
        command.add_argument("--keep-slashes", action="store_true", help="leave keys as they are")
    args = parser.parse_args(argv)
    if args.command == "import" and args.out.suffix != ".ark":
        parser.error(f"the output must end in .ark, got {args.out}")
    return args


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and convert."""
    args = parse(argv)
    if args.command == "export":
        vectors = read_vectors(args.scp)
        write_embeddings(
            args.out, {key if args.keep_slashes else to_key(key, args.parts): v for key, v in vectors.items()}
        )
    else:
        published = read_embeddings(args.pickle, args.table)
        vectors = {key if args.keep_slashes else to_utterance(key): vector for key, vector in published.items()}
        out = args.out.absolute()
        with open_ark_scp(out, out.with_suffix(".scp")) as write:
            for utterance in sorted(vectors, key=byte_order):
                write(utterance, vectors[utterance])
    print(f"{len(vectors)} embeddings")


if __name__ == "__main__":
    main()
