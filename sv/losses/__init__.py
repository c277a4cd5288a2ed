"""Training losses by name: (config class, loss class).

Steps look their criteria up here, by the base class that says how a loss is built and called: `ClassifierLoss`
(embeddings and speakers), `MetricLoss` (embeddings grouped by speaker) and `TargetLoss` (embeddings and targets). Options
of the config class are keys of the [loss] table. The others (GE2E, TE2E, centre loss) have a step of their own.
"""

from sv.losses.aam_softmax import AAMSoftmax, AAMSoftmaxConfig
from sv.losses.am_softmax import AMSoftmax
from sv.losses.angular_prototypical import AngularPrototypical
from sv.losses.base import ClassifierLoss, MetricLoss, NoOptions, TargetLoss
from sv.losses.between_speaker import between_speaker
from sv.losses.centre import CentreConfig, CentreLoss
from sv.losses.enhancement import CosineLoss, LogDistanceConfig, LogDistanceLoss, MAELoss, MSELoss
from sv.losses.ge2e import GE2E, GE2EConfig
from sv.losses.margin_softmax import MarginSoftmaxConfig
from sv.losses.norm_softmax import NormSoftmaxConfig, NormSoftmaxLoss
from sv.losses.prototypes import split_queries
from sv.losses.prototypical import Prototypical
from sv.losses.softmax import SoftmaxLoss
from sv.losses.te2e import TE2E, TE2EConfig
from sv.losses.triplet import Triplet, TripletConfig

LOSSES = {
    "softmax": (NoOptions, SoftmaxLoss),
    "am": (MarginSoftmaxConfig, AMSoftmax),
    "aam": (AAMSoftmaxConfig, AAMSoftmax),
    "norm_softmax": (NormSoftmaxConfig, NormSoftmaxLoss),
    "triplet": (TripletConfig, Triplet),
    "prototypical": (NoOptions, Prototypical),
    "angular_prototypical": (NoOptions, AngularPrototypical),
    "ge2e": (GE2EConfig, GE2E),
    "te2e": (TE2EConfig, TE2E),
    "centre": (CentreConfig, CentreLoss),
    "mse": (NoOptions, MSELoss),
    "mae": (NoOptions, MAELoss),
    "cosine": (NoOptions, CosineLoss),
    "log_distance": (LogDistanceConfig, LogDistanceLoss),
}

__all__ = [
    "GE2E",
    "LOSSES",
    "TE2E",
    "AAMSoftmax",
    "AAMSoftmaxConfig",
    "AMSoftmax",
    "AngularPrototypical",
    "CentreConfig",
    "CentreLoss",
    "ClassifierLoss",
    "CosineLoss",
    "GE2EConfig",
    "LogDistanceConfig",
    "LogDistanceLoss",
    "MAELoss",
    "MSELoss",
    "MarginSoftmaxConfig",
    "MetricLoss",
    "NormSoftmaxConfig",
    "NormSoftmaxLoss",
    "Prototypical",
    "SoftmaxLoss",
    "TE2EConfig",
    "TargetLoss",
    "Triplet",
    "TripletConfig",
    "between_speaker",
    "split_queries",
]
