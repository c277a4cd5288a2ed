"""Compute the features that a system reads, for this job's share of each data directory (stage 3).

sv compute_feats --config conf/exu_net.toml --job 1 --num-jobs 4 --out exp/feats/x data/test data/valid

Writes <out>/<set>/feats.<job>.{ark,scp}: one matrix per utterance, its test-time segments' features stacked in time.
"""

import argparse
from pathlib import Path

import torch

from sv.base.config import write_json
from sv.bin.common import allow_pipes_option, command_parser, fail_in_one_line, job_options
from sv.embed.inputs import FEATURES_RECORD, features_record, set_features
from sv.embed.probe import probe_features
from sv.kaldi import open_ark_scp, share_of
from sv.system.config import load_system
from sv.system.folder import build_frontend

TWO_BYTES = 3  # Kaldi's compression method with 16 bits per value


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser("compute_feats", __doc__)
    parser.add_argument("--config", type=Path, required=True, help="TOML file of the system")
    parser.add_argument("--out", type=Path, required=True, help="folder of the features")
    parser.add_argument(
        "--compress", choices=("true", "false"), default="false", help="two bytes per value instead of four"
    )
    parser.add_argument(
        "--probe",
        action="store_true",
        help="write nothing; try a little, and print the files, bytes and seconds of all",
    )
    allow_pipes_option(parser)
    job_options(parser)
    parser.add_argument("data_dirs", type=Path, nargs="+", metavar="DATA_DIR")
    return parser.parse_args(argv)


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and compute."""
    args = parse(argv)
    torch.set_num_threads(1)
    system = load_system(args.config)
    frontend, compress = build_frontend(system).eval(), args.compress == "true"
    if args.probe:
        num_bytes = 2 if compress else 4
        print(probe_features(frontend, system.extract, args.data_dirs, args.num_jobs, num_bytes, args.allow_pipes))
        return
    for data_dir in args.data_dirs:
        feats = (args.out / data_dir.name / f"feats.{args.job}").absolute()
        utts = share_of(data_dir, args.num_jobs, args.job)
        with open_ark_scp(f"{feats}.ark", f"{feats}.scp", TWO_BYTES if compress else None) as write:
            for utt, matrix in set_features(system, frontend, data_dir, None, utts, args.allow_pipes):
                write(utt, matrix)
        print(f"{data_dir.name}: {len(utts)} utterances", flush=True)
    if args.job == 1:
        write_json(args.out / FEATURES_RECORD, features_record(system))


if __name__ == "__main__":
    main()
