"""Score a system on a clean test set and its noisy conditions, and write results.json (stage 7).

    python -m sv.bin.score_sets --model exp/exu_net data/voxceleb1_test data/voxceleb1_test-babble-snr5 ...

Writes <model>/scores/<set>/{cosine,neg_mean_l2}.scores.
"""

import argparse
from pathlib import Path

from sv.bin.common import existing_scp, fail_in_one_line
from sv.files import sha256_of
from sv.kaldi import iter_matrices, read_trials, read_utt2spk, write_scores
from sv.results import Provenance, git_commit, make_row, write_results
from sv.scoring import mean_cos, neg_mean_l2

BACKENDS = {"cosine": mean_cos, "neg_mean_l2": neg_mean_l2}


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", type=Path, required=True, help="model folder with embeddings")
    parser.add_argument("--seed", type=int, default=0, help="of the confidence intervals")
    parser.add_argument("data_dirs", type=Path, nargs="+", metavar="DATA_DIR", help="with trials")
    args = parser.parse_args(argv)
    checkpoint, commit = sha256_of(args.model / "checkpoints" / "best.pt"), git_commit(Path(__file__).parent)
    rows = []
    for data_dir in args.data_dirs:
        trials = read_trials(data_dir / "trials")
        scp = existing_scp(args.model / "embeddings" / data_dir.name / "segments.scp", "run stage 5 first")
        segments, utt2spk = dict(iter_matrices(scp)), read_utt2spk(data_dir / "utt2spk")
        provenance = Provenance(
            system=args.model.name,
            trials_sha256=sha256_of(data_dir / "trials"),
            checkpoint_sha256=checkpoint,
            commit=commit,
            seed=args.seed,
        )
        for backend, score in BACKENDS.items():
            try:
                scores = score(trials, segments)
            except KeyError as error:
                raise ValueError(f"{data_dir}/trials: {error.args[0]}") from error
            write_scores(args.model / "scores" / data_dir.name / f"{backend}.scores", trials, scores)
            rows.append(make_row(data_dir.name, backend, trials, scores, utt2spk, provenance))
    write_results(args.model / "results.json", rows)


if __name__ == "__main__":
    main()
