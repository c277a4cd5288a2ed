"""Training losses by name; each is a module that returns a scalar. Feature and embedding regression is `F.mse_loss`."""

from sv.losses.aam_softmax import AAMSoftmax
from sv.losses.angular_prototypical import AngularPrototypical
from sv.losses.ge2e import GE2E
from sv.losses.softmax import SoftmaxLoss
from sv.losses.te2e import TE2E

LOSSES = {
    "softmax": SoftmaxLoss,
    "aam": AAMSoftmax,
    "angular_prototypical": AngularPrototypical,
    "ge2e": GE2E,
    "te2e": TE2E,
}
