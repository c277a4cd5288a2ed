"""Speaker models by name: (config class, module class).

A model maps features (batch, mels, frames) to `Embedded`; its `embed` gives the embedding alone, by the shortest way.
"""

from sv.models.exu_net import ExUNet, ExUNetConfig, UNet, UNetConfig
from sv.models.ge2e_lstm import GE2ELSTM, GE2ELSTMConfig
from sv.models.resnet import SEResNet, SEResNetConfig

MODELS = {
    "se_resnet": (SEResNetConfig, SEResNet),
    "unet": (UNetConfig, UNet),
    "exu_net": (ExUNetConfig, ExUNet),
    "ge2e_lstm": (GE2ELSTMConfig, GE2ELSTM),
}
