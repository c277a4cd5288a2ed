"""Train a scoring back end: mean, LDA, PLDA, and the cohort for score normalisation.

sv backend exp/exu_net/embeddings/voxceleb1_train/xvector.scp data/voxceleb1_train/utt2spk exp/exu_net/backend

Writes mean.vec, transform.mat and plda, as Kaldi's voxceleb v2 recipe trains them and in its formats, and cohort.{ark,scp}, the
mean embedding of each speaker.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from sv.base.log import get_logger
from sv.bin.common import fail_in_one_line
from sv.kaldi import DataDirError, open_ark_scp, read_utt2spk, read_vectors
from sv.kaldi.scp import byte_order, invert
from sv.scoring import Backend, Plda, adapt_plda, train_backend, write_backend


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="sv backend", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("xvector_scp", type=Path, help="Kaldi scp of the training set's (dim,) embeddings")
    parser.add_argument("utt2spk", type=Path, help="lines of <utterance> <speaker>")
    parser.add_argument("out_dir", type=Path, help="folder to write")
    parser.add_argument(
        "--lda-dim", type=int, default=200, help="dimensions to keep, if the data support as many (200)"
    )
    parser.add_argument("--adapt", type=Path, metavar="XVECTOR_SCP", help="adapt PLDA to these unlabelled embeddings")
    parser.add_argument("--within-scale", type=float, default=0.3, help="share of their excess variance (%(default)s)")
    parser.add_argument("--between-scale", type=float, default=0.7, help="share of their excess variance (%(default)s)")
    parser.add_argument("--text", action="store_true", help="Kaldi's text format instead of its binary")
    args = parser.parse_args(argv)
    if args.lda_dim < 1:
        parser.error(f"--lda-dim must be positive, got {args.lda_dim}")
    return args


def check_labels(args: argparse.Namespace, vectors: dict[str, np.ndarray], utt2spk: dict[str, str]) -> None:
    """Raise DataDirError if an embedding has no speaker; log how many utterances have no embedding."""
    if not vectors:
        raise DataDirError(f"{args.xvector_scp}: holds no embeddings")
    if unlabelled := [utt for utt in vectors if utt not in utt2spk]:
        raise DataDirError(f"{args.utt2spk}: {len(unlabelled)} embeddings have no speaker, e.g. {unlabelled[:3]}")
    if absent := len(utt2spk) - len(vectors):
        get_logger("backend").warning("%d of %d utterances in %s have no embedding", absent, len(utt2spk), args.utt2spk)


def adapted(args: argparse.Namespace, backend: Backend) -> Plda:
    """The back end's PLDA, adapted to unlabelled embeddings."""
    vectors = read_vectors(args.adapt)
    try:
        prepared = backend.preprocess(np.stack(list(vectors.values())), vectors)
    except ValueError as error:
        raise DataDirError(f"{args.adapt}: {error}") from error
    return adapt_plda(backend.plda, prepared, within_scale=args.within_scale, between_scale=args.between_scale)


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    args = parse(argv)
    vectors, utt2spk = read_vectors(args.xvector_scp), read_utt2spk(args.utt2spk)
    check_labels(args, vectors, utt2spk)
    names = list(vectors)
    try:
        backend = train_backend(
            np.stack(list(vectors.values())), [utt2spk[utt] for utt in names], names, lda_dim=args.lda_dim
        )
    except ValueError as error:
        raise DataDirError(f"{args.xvector_scp}: {error}") from error
    if args.adapt:
        backend = replace(backend, plda=adapted(args, backend))
    out = args.out_dir.absolute()
    spk2utt = invert({utt: utt2spk[utt] for utt in names})
    with open_ark_scp(out / "cohort.ark", out / "cohort.scp") as write:
        for speaker in sorted(spk2utt, key=byte_order):
            write(speaker, np.mean([vectors[utt] for utt in spk2utt[speaker]], axis=0))
    write_backend(out, backend, args.text)
    print(
        f"{len(names)} utterances of {len(spk2utt)} speakers: {len(backend.mean)} dimensions, {len(backend.plda.psi)} after LDA"
    )


if __name__ == "__main__":
    main()
