"""A small synthetic checkpoint of every system, in its authors' shape."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchaudio
from torch import Tensor, nn

from sv.models import MODELS
from sv.published import campplus, exu_net, noise_lora, redimnet2, speechbrain, wespeaker

KERAS = Path(__file__).parents[2] / "golden" / "rawnet" / "keras.h5.gz"
LIGHT = {"channels": (4, 8, 8, 16), "blocks": (1, 2, 1, 1), "embedding_dim": 12}
DIFF_SV = {
    **LIGHT,
    "channels": (8, 8, 8, 16),
    "num_mel_bins": 16,
    "enhancer_layers": 2,
    "enhancer_channels": 12,
    "score_channels": 8,
}
VOXCELEB_TRAINER = {
    "resnet_se34l": {**LIGHT, "pooling": "mean"},
    "resnet_se34v2": {**LIGHT, "num_mel_bins": 32, "pooling": "statistics"},
    "vggvox": {"embedding_dim": 12},
}
REDIMNET2 = {"F": 16, "C": 4, "stages_setup": [[[2, 2], 1, 1, [[3, 3]], 8]]}
RENAMED = {  # our network, its settings, its names back
    "campplus_3dspeaker": ("campplus", {"blocks": (1, 1, 1)}, campplus.LAYOUTS["campplus_3dspeaker"][0].published),
    "campplus_wespeaker": ("campplus", {"blocks": (1, 1, 1)}, campplus.LAYOUTS["campplus_wespeaker"][0].published),
    "resnet_wespeaker": ("plain_resnet", {"channels": 4}, wespeaker.LAYOUTS["resnet_wespeaker"].published),
    "ecapa_wespeaker": ("ecapa_tdnn", {"channels": 16}, wespeaker.LAYOUTS["ecapa_wespeaker"].published),
    "ecapa_speechbrain": (
        "ecapa_tdnn",
        {"channels": 16, "aggregated_norm": True, "attention_norm": True, "embedding_norm": False},
        speechbrain.published,
    ),
    "seed_kaistmm": ("embedding_diffusion", {"embedding_dim": 4}, lambda model: dict(model.state_dict())),
    "ecapa_noise_lora": ("ecapa_tdnn", {"channels": 16, "attention_norm": True}, noise_lora.ENCODER.published),
    "noise_lora": ("noise_lora", {"channels": 16}, noise_lora.noise_lora_layout().published),
    "na_exu_net": ("na_exu_net", LIGHT | {"channels": (8, 8, 8, 16)}, exu_net.NA_EXU_NET.published),
}
RAWNETS = {
    "rawnet1_pytorch": "rawnet1_pytorch",
    "rawnet2": "rawnet2_original",
    "rawnet2_modified": "rawnet2_modified",
    "rawnet3": "rawnet3",
}


def _voxceleb_trainer(system: str, window=torch.hamming_window, **options) -> tuple[nn.Module, dict[str, Tensor]]:
    config, model_class = MODELS[system]
    torch.manual_seed(0)
    model = model_class(config(**{**VOXCELEB_TRAINER[system], **options})).eval()
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
    mels = torchaudio.transforms.MelSpectrogram(
        n_fft=512, win_length=400, hop_length=160, window_fn=window, n_mels=model.config.num_mel_bins
    )
    prefix = "torchfb.1." if system == "resnet_se34v2" else "torchfb."
    state = dict(model.state_dict()) | {prefix + name: value for name, value in mels.state_dict().items()}
    if system == "resnet_se34v2":
        state["torchfb.0.flipped_filter"] = torch.tensor([[[-0.97, 1.0]]])
    return model, {f"__S__.{name}": value for name, value in state.items()}


@pytest.fixture(scope="session")
def voxceleb_trainer() -> Callable[..., tuple[nn.Module, dict[str, Tensor]]]:
    """(system, window=, options) -> a model with random weights and batch statistics, and its checkpoint."""
    return _voxceleb_trainer


def _ge2e(lstm: str, linear: str) -> tuple[nn.LSTM, nn.Linear, dict[str, Tensor]]:
    torch.manual_seed(0)
    stack, head = nn.LSTM(40, 12, 3, batch_first=True), nn.Linear(12, 8)
    state = {f"{lstm}.{name}": value for name, value in stack.state_dict().items()}
    return stack, head, state | {f"{linear}.{name}": value for name, value in head.state_dict().items()}


@pytest.fixture(scope="session")
def ge2e() -> Callable[[str, str], tuple[nn.LSTM, nn.Linear, dict[str, Tensor]]]:
    """(name of the LSTM, name of the layer) -> both modules, and their weights by these names."""
    return _ge2e


@pytest.fixture
def weights_of(published_weights) -> Callable[[str], dict[str, Tensor]]:
    """System -> a state dict by its published names, for all but Keras' rawnet1."""

    def build(system: str) -> dict[str, Tensor]:
        if system in RAWNETS:
            return published_weights(RAWNETS[system])
        if system in VOXCELEB_TRAINER:
            return _voxceleb_trainer(system)[1]
        if system == "harryvolek":
            return _ge2e("LSTM_stack", "projection")[2]
        if system == "resemblyzer":
            return _ge2e("lstm", "linear")[2]
        if system == "my_linear_net":
            return {
                f"__S__.l{n}.{kind}": torch.ones((4, 4)[: 1 + (kind == "weight")])
                for n in (1, 2)
                for kind in ("weight", "bias")
            }
        if system in RENAMED:
            name, settings, published = RENAMED[system]
            config, model_class = MODELS[name]
            return published(model_class(config(**settings)))
        if system == "redimnet2":
            config = redimnet2.redimnet2_config(REDIMNET2)
            weights = redimnet2.layout(config).published(MODELS["redimnet2"][1](config))
            return {"model_config": REDIMNET2, "state_dict": weights}
        config, model_class = MODELS[system]
        return dict(model_class(config(**(DIFF_SV if system == "diff_sv" else LIGHT))).state_dict())

    return build


@pytest.fixture
def keras_file(tmp_path) -> Path:
    """Weights of a small RawNet1 as Keras saves them."""
    path = tmp_path / "RawNet_weights.h5"
    path.write_bytes(gzip.decompress(KERAS.read_bytes()))
    return path
