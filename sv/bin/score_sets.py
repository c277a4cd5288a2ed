"""Score a system on a clean test set and its noisy conditions, and update its results.json (stage 7).

    python -m sv.bin.score_sets --model exp/exu_net data/voxceleb1_test data/voxceleb1_test-babble-snr5 ...

Writes <model>/scores/<set>/{cosine,neg_mean_l2}.scores. `cosine` is what `sv score cosine` gives on the set's
xvector.scp; `neg_mean_l2` is the published ExU-Net evaluation, over pairs of segments.
"""

import argparse
from pathlib import Path

import numpy as np

from sv.bin.common import existing_scp, fail_in_one_line
from sv.kaldi import Trials, iter_matrices, read_trials, read_utt2spk, read_vectors, write_scores
from sv.results import make_row, stamp_of, update_results
from sv.scoring import neg_mean_l2, score_cosine


def score_set(embeddings: Path, trials: Trials) -> dict[str, np.ndarray]:
    """Scores of a trial list by back end, from a set's folder of embeddings."""
    vectors = read_vectors(existing_scp(embeddings / "xvector.scp", "run stage 5 first"))
    segments = dict(iter_matrices(existing_scp(embeddings / "segments.scp", "run stage 5 first")))
    return {"cosine": score_cosine(trials, vectors), "neg_mean_l2": neg_mean_l2(trials, segments)}


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", type=Path, required=True, help="model folder with embeddings")
    parser.add_argument("--seed", type=int, default=0, help="of the run; also of the confidence intervals")
    parser.add_argument("data_dirs", type=Path, nargs="+", metavar="DATA_DIR", help="with trials and utt2spk")
    args = parser.parse_args(argv)
    rows = []
    for data_dir in args.data_dirs:
        trials, utt2spk = read_trials(data_dir / "trials"), read_utt2spk(data_dir / "utt2spk")
        stamp = stamp_of(args.model, data_dir, args.seed)
        try:
            for backend, scores in score_set(args.model / "embeddings" / data_dir.name, trials).items():
                write_scores(args.model / "scores" / data_dir.name / f"{backend}.scores", trials, scores)
                rows.append(make_row(args.model.name, data_dir.name, backend, trials, scores, utt2spk, stamp))
        except (KeyError, ValueError) as error:
            raise ValueError(f"{data_dir}/trials: {error.args[0]}") from error
    update_results(args.model / "results.json", rows)


if __name__ == "__main__":
    main()
