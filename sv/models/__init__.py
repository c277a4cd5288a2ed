"""Speaker models by name: (config class, module class).

A model maps features (batch, mels, frames) to `Embedded`; its `embed` gives the embedding alone, by the shortest way
(`sv.models.protocol`).
"""

from sv.models.campplus import CAMPlusPlus, CAMPlusPlusConfig
from sv.models.diff_sv import DiffSV, DiffSVConfig
from sv.models.ecapa_tdnn import ECAPATDNN, ECAPATDNNConfig
from sv.models.embedding_diffusion import EmbeddingDiffusion, EmbeddingDiffusionConfig
from sv.models.embedding_linear import EmbeddingLinear, EmbeddingLinearConfig
from sv.models.embedding_mlp import EmbeddingMLP, EmbeddingMLPConfig
from sv.models.enhanced import EnhancedConfig, EnhancedNetwork
from sv.models.exu_net import ExUNet, ExUNetConfig, UNet, UNetConfig
from sv.models.ge2e_lstm import GE2ELSTM, GE2ELSTMConfig
from sv.models.na_exu_net import NAExUNet, NAExUNetConfig
from sv.models.noise_lora import NoiseLoRA, NoiseLoRAConfig
from sv.models.plain_resnet import PlainResNet, PlainResNetConfig
from sv.models.rawnet.rawnet1 import (
    RawNet1,
    RawNet1Cnn,
    RawNet1CnnConfig,
    RawNet1Config,
    RawNet1PyTorch,
    RawNet1PyTorchConfig,
)
from sv.models.rawnet.rawnet2 import RawNet2, RawNet2Config
from sv.models.rawnet.rawnet2_modified import RawNet2Modified, RawNet2ModifiedConfig
from sv.models.rawnet.rawnet3 import RawNet3, RawNet3Config
from sv.models.redimnet2 import ReDimNet2, ReDimNet2Config
from sv.models.resnet import SEResNet, SEResNetConfig
from sv.models.resnet_se34 import ResNetSE34L, ResNetSE34LConfig, ResNetSE34V2, ResNetSE34V2Config
from sv.models.transformed import TransformedConfig, TransformedNetwork
from sv.models.vggvox import VGGVox, VGGVoxConfig

MODELS = {
    "se_resnet": (SEResNetConfig, SEResNet),
    "unet": (UNetConfig, UNet),
    "exu_net": (ExUNetConfig, ExUNet),
    "na_exu_net": (NAExUNetConfig, NAExUNet),
    "rawnet1": (RawNet1Config, RawNet1),
    "rawnet1_cnn": (RawNet1CnnConfig, RawNet1Cnn),
    "rawnet1_pytorch": (RawNet1PyTorchConfig, RawNet1PyTorch),
    "rawnet2": (RawNet2Config, RawNet2),
    "rawnet2_modified": (RawNet2ModifiedConfig, RawNet2Modified),
    "rawnet3": (RawNet3Config, RawNet3),
    "resnet_se34l": (ResNetSE34LConfig, ResNetSE34L),
    "resnet_se34v2": (ResNetSE34V2Config, ResNetSE34V2),
    "vggvox": (VGGVoxConfig, VGGVox),
    "plain_resnet": (PlainResNetConfig, PlainResNet),
    "campplus": (CAMPlusPlusConfig, CAMPlusPlus),
    "ecapa_tdnn": (ECAPATDNNConfig, ECAPATDNN),
    "noise_lora": (NoiseLoRAConfig, NoiseLoRA),
    "redimnet2": (ReDimNet2Config, ReDimNet2),
    "embedding_diffusion": (EmbeddingDiffusionConfig, EmbeddingDiffusion),
    "embedding_linear": (EmbeddingLinearConfig, EmbeddingLinear),
    "embedding_mlp": (EmbeddingMLPConfig, EmbeddingMLP),
    "diff_sv": (DiffSVConfig, DiffSV),
    "enhanced": (EnhancedConfig, EnhancedNetwork),
    "transformed": (TransformedConfig, TransformedNetwork),
    "ge2e_lstm": (GE2ELSTMConfig, GE2ELSTM),
}
