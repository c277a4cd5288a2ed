"""Enhance embeddings with a trained system (stage 5); what comes out are ordinary embeddings.

    python -m sv.bin.enhance --model exp/embedding_mlp_cosine --embeddings exp/exu_net/embeddings \\
        --out exp/embedding_mlp_cosine/embeddings voxceleb1_test voxceleb1_test-babble-snr5

Reads <embeddings>/<set>/segments.scp; writes <out>/<set>/xvector.{ark,scp}, a vector an utterance, and
segments.{ark,scp}, a matrix of segments, each enhanced by itself.
"""

import argparse
from pathlib import Path

import torch

from sv.bin.common import existing_scp, fail_in_one_line
from sv.enhancement.apply import check_dim, enhanced_archive
from sv.enhancement.archive import EmbeddingArchive
from sv.kaldi import open_ark_scp
from sv.system.folder import load_model


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and enhance."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", type=Path, required=True, help="model folder of an enhancement")
    parser.add_argument("--embeddings", type=Path, required=True, help="folder of the extractor's embeddings")
    parser.add_argument("--out", type=Path, required=True, help="folder of the enhanced embeddings")
    parser.add_argument("sets", nargs="+", metavar="SET", help="names of data directories")
    args = parser.parse_args(argv)
    system, frontend, model = load_model(args.model, "cuda" if torch.cuda.is_available() else "cpu")
    for name in args.sets:
        archive = EmbeddingArchive(existing_scp(args.embeddings / name / "segments.scp", "run stage 5 first"))
        check_dim(system, archive.dim, str(args.model))
        out = (args.out / name).absolute()
        with (
            open_ark_scp(out / "xvector.ark", out / "xvector.scp") as write,
            open_ark_scp(out / "segments.ark", out / "segments.scp") as write_segments,
        ):
            for utt, vector, segments in enhanced_archive(frontend, model, archive):
                write(utt, vector)
                write_segments(utt, segments)
        print(f"{name}: {len(archive)} utterances", flush=True)


if __name__ == "__main__":
    main()
