"""Training losses by name; each is a module that returns a scalar. Feature regression is `F.mse_loss`."""

from sv.losses.aam_softmax import AAMSoftmax
from sv.losses.am_softmax import AMSoftmax
from sv.losses.angular_prototypical import AngularPrototypical
from sv.losses.softmax import SoftmaxLoss

LOSSES = {
    "softmax": SoftmaxLoss,
    "am": AMSoftmax,
    "aam": AAMSoftmax,
    "angular_prototypical": AngularPrototypical,
}
