"""Checkpoints of two GE2E implementations: HarryVolek/PyTorch_Speaker_Verification and resemble-ai/Resemblyzer.

The first publishes a bare state dict, the second a training state. The VCTK code in TensorFlow publishes no weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import Tensor

from sv.base.config import to_dict
from sv.features.segments import SegmentConfig
from sv.features.slaney_mel import SlaneyMelConfig
from sv.models.ge2e_lstm import GE2ELSTM, GE2ELSTMConfig
from sv.published.checkpoint import Converted, Reader, load_strictly
from sv.published.containers import Source

WINDOW_SAMPLES = 25_600  # 160 frames


@dataclass(frozen=True, kw_only=True)
class Implementation:
    """Facts about a GE2E implementation that its checkpoint does not tell.

    Attributes
    ----------
    modules : mapping of str to str
        Our modules' names to the published ones.
    dropped : tuple of str
        Parameters of the loss, left over from training.
    head : str
        Of the model.
    features : SlaneyMelConfig
    extract : SegmentConfig
    """

    modules: Mapping[str, str]
    dropped: tuple[str, ...]
    head: Literal["linear", "linear_relu"]
    features: SlaneyMelConfig
    extract: SegmentConfig


IMPLEMENTATIONS = {
    "harryvolek": Implementation(
        modules={"lstm": "LSTM_stack", "linear": "projection"},
        dropped=(),
        head="linear",
        features=SlaneyMelConfig(),
        extract=SegmentConfig(scheme="sliding", segment_samples=WINDOW_SAMPLES, step_samples=80 * 160),
    ),
    # Its recordings pass a WebRTC voice detector first, which is not part of the model folder: give it speech.
    "resemblyzer": Implementation(
        modules={"lstm": "lstm", "linear": "linear"},
        dropped=("similarity_weight", "similarity_bias"),
        head="linear_relu",
        features=SlaneyMelConfig(n_fft=400, log=False),
        extract=SegmentConfig(
            scheme="sliding", segment_samples=WINDOW_SAMPLES, step_samples=77 * 160, raise_to_dbfs=-30.0
        ),
    ),
}


def translate_ge2e(system: str, source: Source, options: Mapping[str, Any]) -> Converted:
    """Translate the weights of one of `IMPLEMENTATIONS`."""
    implementation = IMPLEMENTATIONS[system]
    state = {name: value for name, value in source.weights.items() if name not in implementation.dropped}
    config = ge2e_config(state, implementation)
    model = GE2ELSTM(config)
    names = {name: published_name(name, implementation) for name in model.state_dict()}
    tables = {
        "features": {"type": "slaney_mel", **to_dict(implementation.features)},
        "model": {"type": "ge2e_lstm", **to_dict(config)},
        "extract": to_dict(implementation.extract),
    }
    return Converted(tables=tables, weights={"model": load_strictly(system, model, state, names).state_dict()})


def published_name(name: str, implementation: Implementation) -> str:
    """Rename one of our parameters to the published one."""
    module, _, parameter = name.partition(".")
    return f"{implementation.modules[module]}.{parameter}"


def ge2e_config(state: Mapping[str, Tensor], implementation: Implementation) -> GE2ELSTMConfig:
    """Sizes of the network; raises KeyError with the name of a missing parameter."""
    lstm, linear = implementation.modules["lstm"], implementation.modules["linear"]
    return GE2ELSTMConfig(
        hidden=state[f"{lstm}.weight_hh_l0"].shape[1],
        num_mel_bins=state[f"{lstm}.weight_ih_l0"].shape[1],
        projection=0,
        num_layers=sum(name.startswith(f"{lstm}.weight_ih_l") for name in state),
        head=implementation.head,
        head_dim=state[f"{linear}.weight"].shape[0],
        cell="torch",
    )


SYSTEMS = {system: Reader(translate=partial(translate_ge2e, system)) for system in IMPLEMENTATIONS}
