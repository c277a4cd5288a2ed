"""Embed this job's share of each data directory, from stored features or waveforms (stage 5).

    python -m sv.bin.extract --model exp/exu_net --feats exp/feats/x --job 1 --num-jobs 4 --out exp/exu_net/embeddings data/test

Writes <out>/<set>/xvector.<job>.{ark,scp}, a vector an utterance, and segments.<job>.{ark,scp}, a matrix of segments.
"""

import argparse
from pathlib import Path

import torch

from sv.bin.common import allow_pipes_option, fail_in_one_line, job_options
from sv.embed.embedder import Embedder, utterance_embedding
from sv.embed.inputs import check_features, set_features
from sv.features.segments import frames_per_segment
from sv.kaldi.ark import open_ark_scp
from sv.kaldi.data_dir import split_keys
from sv.kaldi.scp import read_utt2spk
from sv.system.folder import load_model


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and embed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--feats", type=Path, help="folder of stored features; without it they are computed here")
    parser.add_argument("--out", type=Path, required=True, help="folder of the embeddings")
    allow_pipes_option(parser)
    job_options(parser)
    parser.add_argument("data_dirs", type=Path, nargs="+", metavar="DATA_DIR")
    args = parser.parse_args(argv)
    device = torch.device("cuda", (args.job - 1) % torch.cuda.device_count()) if torch.cuda.is_available() else "cpu"
    system, frontend, model = load_model(args.model, device)
    if args.feats:
        check_features(args.feats, system)
    frames = frames_per_segment(frontend, system.extract)
    embedder = Embedder(model, frames, system.extract.batch_size)
    for data_dir in args.data_dirs:
        utts = split_keys(list(read_utt2spk(data_dir / "utt2spk")), args.num_jobs, args.job)
        out = (args.out / data_dir.name).absolute()
        names = [out / f"{kind}.{args.job}" for kind in ("xvector", "segments")]
        with (
            open_ark_scp(f"{names[0]}.ark", f"{names[0]}.scp") as write,
            open_ark_scp(f"{names[1]}.ark", f"{names[1]}.scp") as write_segments,
        ):
            for utt, segments in embedder(set_features(system, frontend, data_dir, args.feats, utts, args.allow_pipes)):
                write(utt, utterance_embedding(segments, system.extract.unit_segments))
                write_segments(utt, segments)
        print(f"{data_dir.name}: {len(utts)} utterances", flush=True)


if __name__ == "__main__":
    main()
