"""Enhance embeddings with a trained system (stage 5); the results are ordinary embeddings.

sv enhance --model exp/embedding_mlp_cosine --embeddings exp/exu_net/embeddings \\
    --out exp/embedding_mlp_cosine/embeddings voxceleb1_test voxceleb1_test-babble-snr5

Reads <embeddings>/<set>/segments.scp; writes <out>/<set>/xvector.{ark,scp}, one vector per utterance, and
segments.{ark,scp}, one matrix of its segments, each enhanced by itself, and the extractor's computed.json. A set's further
draw, such as <set>-clean-draw2, is one of a system that draws noise itself, as `sv extract` has them; its input is the
extractor's first draw if that has no other.
"""

from pathlib import Path

from sv.base.files import write_text
from sv.base.layout import first_draw, own_draw
from sv.bin.common import command_parser, fail_in_one_line
from sv.enhancement.apply import check_dim, enhanced_archive
from sv.enhancement.archive import EmbeddingArchive
from sv.kaldi import open_ark_scp
from sv.models.keyed_noise import redraw
from sv.system.folder import device_of_job, load_model


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and enhance."""
    parser = command_parser("enhance", __doc__)
    parser.add_argument("--model", type=Path, required=True, help="model folder of an enhancement")
    parser.add_argument("--embeddings", type=Path, required=True, help="folder of the extractor's embeddings")
    parser.add_argument("--out", type=Path, required=True, help="folder of the enhanced embeddings")
    parser.add_argument("sets", nargs="+", metavar="SET", help="names of data directories")
    args = parser.parse_args(argv)
    system, frontend, model = load_model(args.model, device_of_job())
    for name in args.sets:
        redraw(model, system.model, own_draw(name))
        folder = args.embeddings / (name if (args.embeddings / name).exists() else first_draw(name))
        archive = EmbeddingArchive(folder / "segments.scp")
        check_dim(system, archive.dim, str(args.model))
        out = (args.out / name).absolute()
        with (
            open_ark_scp(out / "xvector.ark", out / "xvector.scp") as write,
            open_ark_scp(out / "segments.ark", out / "segments.scp") as write_segments,
        ):
            for utt, vector, segments in enhanced_archive(frontend, model, archive):
                write(utt, vector)
                write_segments(utt, segments)
        if (
            computed := folder / "computed.json"
        ).exists():  # of what they were made from: the stamp of results names it
            write_text(out / computed.name, computed.read_text(encoding="utf-8"))
        print(f"{name}: {len(archive)} utterances", flush=True)


if __name__ == "__main__":
    main()
