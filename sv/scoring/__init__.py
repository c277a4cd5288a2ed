"""Scores and what they are worth; numpy and scipy only."""

from sv.scoring.cosine import score_cosine
from sv.scoring.enrolment import model_embeddings, model_segments
from sv.scoring.metrics import compute_eer, compute_eer_kaldi, compute_min_dcf, det_points, eer_interval
from sv.scoring.pairwise import mean_cos, neg_mean_l2

__all__ = [
    "compute_eer",
    "compute_eer_kaldi",
    "compute_min_dcf",
    "det_points",
    "eer_interval",
    "mean_cos",
    "model_embeddings",
    "model_segments",
    "neg_mean_l2",
    "score_cosine",
]
