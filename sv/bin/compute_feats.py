"""Compute the features that a system reads, for this job's share of each data directory (stage 3).

    python -m sv.bin.compute_feats --config conf/exu_net.toml --job 1 --num-jobs 4 --out exp/feats/x data/test data/valid

Writes <out>/<set>/feats.<job>.{ark,scp}: one matrix an utterance, its test-time segments' features stacked in time.
"""

import argparse
from pathlib import Path

import torch

from sv.base.config import to_dict, write_json
from sv.bin.common import allow_pipes_option, fail_in_one_line, job_options
from sv.data.manifests import iter_waveforms
from sv.embed.probe import probe_features
from sv.features.segments import compute_features, segment_options
from sv.kaldi.ark import open_ark_scp
from sv.kaldi.data_dir import split_keys
from sv.kaldi.scp import read_utt2spk
from sv.system.config import load_system
from sv.system.folder import build_frontend

TWO_BYTES = 3  # Kaldi's compression method with 16 bits a value


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and compute."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--config", type=Path, required=True, help="TOML file of the system")
    parser.add_argument("--out", type=Path, required=True, help="folder of the features")
    parser.add_argument(
        "--compress", choices=("true", "false"), default="false", help="two bytes a value instead of four"
    )
    parser.add_argument(
        "--probe",
        action="store_true",
        help="write nothing; try a little, and print the files, bytes and seconds of all",
    )
    allow_pipes_option(parser)
    job_options(parser)
    parser.add_argument("data_dirs", type=Path, nargs="+", metavar="DATA_DIR")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    system = load_system(args.config)
    frontend = build_frontend(system).eval()
    if args.probe:
        bytes_a_value = 2 if args.compress == "true" else 4
        print(probe_features(frontend, system.extract, args.data_dirs, args.num_jobs, bytes_a_value, args.allow_pipes))
        return
    for data_dir in args.data_dirs:
        out = (args.out / data_dir.name).absolute()
        utts = split_keys(list(read_utt2spk(data_dir / "utt2spk")), args.num_jobs, args.job)
        compression = TWO_BYTES if args.compress == "true" else None
        with open_ark_scp(out / f"feats.{args.job}.ark", out / f"feats.{args.job}.scp", compression) as write:
            for utt, samples in iter_waveforms(data_dir, utts, args.allow_pipes):
                write(utt, compute_features(frontend, samples, system.extract))
        print(f"{data_dir.name}: {len(utts)} utterances", flush=True)
    if args.job == 1:
        kind = {"type": system.features_type, **to_dict(system.features)}
        write_json(args.out / "config.json", kind | segment_options(system.extract))


if __name__ == "__main__":
    main()
