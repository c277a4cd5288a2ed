"""Training losses by name; each is a module that returns a scalar. Feature regression is `F.mse_loss`."""

from sv.losses.aam_softmax import AAMSoftmax
from sv.losses.am_softmax import AMSoftmax
from sv.losses.angular_prototypical import AngularPrototypical
from sv.losses.between_speaker import between_speaker
from sv.losses.centre import CentreLoss
from sv.losses.ge2e import GE2E
from sv.losses.norm_softmax import NormSoftmaxLoss
from sv.losses.prototypes import split_queries
from sv.losses.prototypical import Prototypical
from sv.losses.softmax import SoftmaxLoss
from sv.losses.softmax_prototypical import SoftmaxPrototypical
from sv.losses.te2e import TE2E
from sv.losses.triplet import Triplet

LOSSES = {
    "softmax": SoftmaxLoss,
    "am": AMSoftmax,
    "aam": AAMSoftmax,
    "triplet": Triplet,
    "prototypical": Prototypical,
    "angular_prototypical": AngularPrototypical,
    "softmax_prototypical": SoftmaxPrototypical,
    "ge2e": GE2E,
    "te2e": TE2E,
    "norm_softmax": NormSoftmaxLoss,
    "centre": CentreLoss,
}

__all__ = [
    "GE2E",
    "LOSSES",
    "TE2E",
    "AAMSoftmax",
    "AMSoftmax",
    "AngularPrototypical",
    "CentreLoss",
    "NormSoftmaxLoss",
    "Prototypical",
    "SoftmaxLoss",
    "SoftmaxPrototypical",
    "Triplet",
    "between_speaker",
    "split_queries",
]
