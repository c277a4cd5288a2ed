"""Scores and what they are worth; numpy and scipy only."""

from sv.scoring.bootstrap import eer_interval, interval, paired_test, replicate_curves
from sv.scoring.cosine import score_cosine
from sv.scoring.join import join_scores
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
from sv.scoring.streaming import ScoreRuns, summarise

__all__ = [
    "OperatingPoint",
    "ScoreRuns",
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
    "neg_mean_l2",
    "paired_test",
    "replicate_curves",
    "score_cosine",
    "summarise",
]
