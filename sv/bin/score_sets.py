"""Score a system on a clean test set and its noisy conditions, and update its results.json (stage 7).

    python -m sv.bin.score_sets --model exp/exu_net data/voxceleb1_test data/voxceleb1_test-babble-snr5 ...

Writes <model>/scores/<set>/<back end>.scores for cosine, cosine-asnorm, plda and plda-asnorm, which are what `sv score` gives on
the set's xvector.scp with <model>/backend, and neg_mean_l2, the published ExU-Net evaluation, over pairs of segments; also
b_vector, what `sv b_vector score` gives, if there is a <model>/backend/b_vector.npz.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sv.base.config import from_dict, load_json
from sv.base.log import get_logger
from sv.bin.common import existing_scp, fail_in_one_line
from sv.data.augment import AugmentConfig
from sv.data.challenge_rules import RULES
from sv.kaldi import Trials, iter_matrices, read_trials, read_utt2spk, read_vectors, write_scores
from sv.kaldi.enrolment import read_enrolment, with_models
from sv.results.rows import NONE, make_row, stamp_of, update_results
from sv.scoring import (
    CosineScorer,
    PldaScorer,
    cohort_id,
    model_embeddings,
    model_segments,
    neg_mean_l2,
    read_backend,
    score_trials,
)
from sv.scoring.b_vector import BVector, read_b_vector, score_b_vector
from sv.scoring.scorers import Scorer, Vectors


@dataclass(frozen=True, kw_only=True)
class BackEnd:
    """One way to score a set.

    Attributes
    ----------
    scorer : Scorer
    cohort : mapping of str to (dim,) numpy.ndarray, optional
        For adaptive s-norm.
    top_n : int, optional
        Of the cohort.
    """

    scorer: Scorer
    cohort: Vectors | None = None
    top_n: int | None = None

    @property
    def normalisation(self) -> str:
        """What the results say of it."""
        if self.cohort is None:
            return NONE
        return f"as-norm, top {self.top_n} of {len(self.cohort)}, cohort {cohort_id(self.cohort)[:12]}"


def back_ends(folder: Path, top_n: int) -> dict[str, BackEnd]:
    """Cosine and PLDA, with and without AS-norm, by name; `top_n` is the whole cohort if that is smaller."""
    cohort = read_vectors(existing_scp(folder / "cohort.scp", "run stage 6 first"))
    if len(cohort) < top_n:
        get_logger("score").warning("AS-norm by all %d speakers of the cohort: top-n is %d", len(cohort), top_n)
    found = {}
    for name, scorer in (("cosine", CosineScorer()), ("plda", PldaScorer(backend=read_backend(folder)))):
        found[name] = BackEnd(scorer=scorer)
        found[f"{name}-asnorm"] = BackEnd(scorer=scorer, cohort=cohort, top_n=min(top_n, len(cohort)))
    return found


def score_set(
    embeddings: Path,
    trials: Trials,
    backends: Mapping[str, BackEnd],
    models: Mapping[str, Sequence[str]],
    b_vector: BVector | None = None,
) -> dict[str, np.ndarray]:
    """Scores of a trial list by back end, from a set's folder of embeddings and the utterances of enrolled models."""
    vectors = read_vectors(existing_scp(embeddings / "xvector.scp", "run stage 5 first"))
    segments = dict(iter_matrices(existing_scp(embeddings / "segments.scp", "run stage 5 first")))
    vectors |= model_embeddings(models, vectors)
    segments |= model_segments(models, segments)
    num_utts = {key: len(models[key]) if key in models else 1 for key in vectors} if models else None
    scores = {
        name: score_trials(
            backend.scorer, trials, vectors, num_utts=num_utts, cohort=backend.cohort, top_n=backend.top_n
        )
        for name, backend in backends.items()
    }
    if b_vector is not None:
        scores["b_vector"] = score_b_vector(trials, b_vector, vectors)
    return scores | {"neg_mean_l2": neg_mean_l2(trials, segments)}


def read_augment(model: Path) -> AugmentConfig:
    """What disturbed the model's training, by its config.json."""
    path = model / "config.json"
    return from_dict(AugmentConfig, load_json(path).get("augment", {}), str(path), "augment.")


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", type=Path, required=True, help="model folder with embeddings/ and backend/")
    parser.add_argument("--seed", type=int, default=0, help="of the run; also of the confidence intervals")
    parser.add_argument("--top-n", type=int, default=300, help="of the cohort, for AS-norm; all if there are fewer")
    parser.add_argument(
        "--no-backend", action="store_true", help="the model has no backend/: score by cosine and segments alone"
    )
    parser.add_argument(
        "--rules",
        choices=sorted(RULES),
        help="benchmark whose rules for training are checked; the results say what breaks them",
    )
    parser.add_argument("data_dirs", type=Path, nargs="+", metavar="DATA_DIR", help="with trials and utt2spk")
    args = parser.parse_args(argv)
    cosine = {"cosine": BackEnd(scorer=CosineScorer())}
    backends, rows = cosine if args.no_backend else back_ends(args.model / "backend", args.top_n), []
    network = args.model / "backend" / "b_vector.npz"
    b_vector = read_b_vector(network) if network.exists() and not args.no_backend else None
    checked = {}
    if args.rules:
        checked = {"rules": args.rules, "broken_rules": RULES[args.rules](read_augment(args.model))}
        for line in checked["broken_rules"]:
            get_logger("score").warning("%s: %s", args.model.name, line)
    for data_dir in args.data_dirs:
        trials, utt2spk = read_trials(data_dir / "trials"), read_utt2spk(data_dir / "utt2spk")
        models = read_enrolment(data_dir, utt2spk)
        stamp = stamp_of(args.model, data_dir, args.seed)
        try:
            embeddings = args.model / "embeddings" / data_dir.name
            for name, scores in score_set(embeddings, trials, backends, models, b_vector).items():
                write_scores(args.model / "scores" / data_dir.name / f"{name}.scores", trials, scores)
                own = replace(stamp, normalisation=backends[name].normalisation if name in backends else NONE)
                row = make_row(args.model.name, data_dir.name, name, trials, scores, with_models(utt2spk, models), own)
                rows.append(row | checked)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{data_dir}/trials: {error.args[0]}") from error
    update_results(args.model / "results.json", rows)


if __name__ == "__main__":
    main()
