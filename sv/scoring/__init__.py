"""Scores and what they are worth; numpy and scipy only."""

from sv.scoring.bootstrap import eer_interval, interval, paired_test, replicate_curves
from sv.scoring.cosine import score_cosine
from sv.scoring.enrolled import model_embeddings, model_segments
from sv.scoring.join import join_scores
from sv.scoring.lda import train_lda
from sv.scoring.metrics import (
    OperatingPoint,
    compute_act_dcf,
    compute_cllr,
    compute_eer,
    compute_eer_kaldi,
    compute_min_cllr,
    compute_min_dcf,
    det_points,
)
from sv.scoring.pairwise import mean_cos, neg_mean_l2
from sv.scoring.plda import Plda, adapt_plda, smooth_plda, train_plda
from sv.scoring.score_norm import as_norm, cohort_id, cohort_statistics, s_norm, t_norm, z_norm
from sv.scoring.scorers import score_trials
from sv.scoring.streaming import ScoreRuns, summarise

__all__ = [
    "OperatingPoint",
    "Plda",
    "ScoreRuns",
    "adapt_plda",
    "as_norm",
    "cohort_id",
    "cohort_statistics",
    "compute_act_dcf",
    "compute_cllr",
    "compute_eer",
    "compute_eer_kaldi",
    "compute_min_cllr",
    "compute_min_dcf",
    "det_points",
    "eer_interval",
    "interval",
    "join_scores",
    "mean_cos",
    "model_embeddings",
    "model_segments",
    "neg_mean_l2",
    "paired_test",
    "replicate_curves",
    "s_norm",
    "score_cosine",
    "score_trials",
    "smooth_plda",
    "summarise",
    "t_norm",
    "train_lda",
    "train_plda",
    "z_norm",
]
