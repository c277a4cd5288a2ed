"""Embed this job's share of each data directory, from stored features or waveforms (stage 5).

sv extract --model exp/exu_net --feats exp/feats/x --job 1 --num-jobs 4 --out exp/exu_net/embeddings data/test

Writes <out>/<set>/xvector.<job>.{ark,scp}, one vector per utterance, segments.<job>.{ark,scp}, one matrix of its segments,
and computed.<job>.json, precision and runtime. utils/merge_scp.py makes one file of each. A model that draws noise itself
embeds <set>-clean-draw2 and <set>-codec-gsm-draw2, which have the recordings of <set> and <set>-codec-gsm, by another seed.
"""

from functools import cache, partial
from pathlib import Path

from sv.base.config import write_json
from sv.base.layout import own_draw
from sv.bin.common import allow_pipes_option, command_parser, fail_in_one_line, job_options
from sv.bin.options import computing_options, model_option
from sv.embed.inputs import set_features
from sv.embed.opening import open_model
from sv.kaldi import open_ark_scp, share_of
from sv.system.folder import device_of_job


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and embed."""
    parser = command_parser("extract", __doc__)
    model_option(parser)
    computing_options(parser)
    parser.add_argument("--feats", type=Path, help="folder of stored features; without it they are computed here")
    said = "a data directory of which none are stored, whatever --feats has; may be given again"
    parser.add_argument("--from-audio", type=Path, action="append", default=[], metavar="DATA_DIR", help=said)
    parser.add_argument("--out", type=Path, required=True, help="folder of the embeddings")
    allow_pipes_option(parser)
    job_options(parser)
    parser.add_argument("data_dirs", type=Path, nargs="+", metavar="DATA_DIR")
    args = parser.parse_args(argv)
    of_draw = cache(partial(open_model, args.model, device_of_job(args.job), args.precision, args.runtime))
    for data_dir in args.data_dirs:
        embedder, feats = of_draw(own_draw(data_dir.name)), None if data_dir in args.from_audio else args.feats
        utts = share_of(data_dir, args.num_jobs, args.job)
        features = set_features(embedder.system, embedder.frontend, data_dir, feats, utts, args.allow_pipes)
        vectors, matrices = ((args.out / data_dir.name / kind).absolute() for kind in ("xvector", "segments"))
        with (
            open_ark_scp(f"{vectors}.{args.job}.ark", f"{vectors}.{args.job}.scp") as write,
            open_ark_scp(f"{matrices}.{args.job}.ark", f"{matrices}.{args.job}.scp") as write_segments,
        ):
            for utt, vector, segments in embedder(features):
                write(utt, vector)
                write_segments(utt, segments)
        write_json(args.out / data_dir.name / f"computed.{args.job}.json", embedder.computing.to_dict())
        print(f"{data_dir.name}: {len(utts)} utterances", flush=True)


if __name__ == "__main__":
    main()
