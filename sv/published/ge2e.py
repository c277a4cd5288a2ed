"""Published GE2E checkpoints to model folders that extraction reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from sv.base.config import to_dict, write_json
from sv.base.files import atomic_write
from sv.features.segments import SegmentConfig
from sv.features.slaney_mel import SlaneyMelConfig
from sv.models.ge2e_lstm import GE2ELSTM, GE2ELSTMConfig
from sv.published.convert import CheckpointError, read_state_dict

WINDOW_SAMPLES = 25_600  # 160 frames


@dataclass(frozen=True, kw_only=True)
class Published:
    """What a published implementation's checkpoint does not say.

    Attributes
    ----------
    entry : str, optional
        Where in the file the state dict is.
    renamed : mapping of str to str
        Its modules' names to ours.
    dropped : tuple of str
        Parameters of the loss, left over from training.
    head : str
        Of the model.
    features : SlaneyMelConfig
    extract : SegmentConfig
    """

    entry: str | None
    renamed: Mapping[str, str]
    dropped: tuple[str, ...]
    head: Literal["linear", "linear_relu"]
    features: SlaneyMelConfig
    extract: SegmentConfig


PUBLISHED = {
    "harryvolek": Published(
        entry=None,
        renamed={"LSTM_stack": "lstm", "projection": "linear"},
        dropped=(),
        head="linear",
        features=SlaneyMelConfig(),
        extract=SegmentConfig(scheme="sliding", segment_samples=WINDOW_SAMPLES, step_samples=80 * 160),
    ),
    # Its recordings pass a WebRTC voice detector first, which is not part of the model folder: give it speech.
    "resemblyzer": Published(
        entry="model_state",
        renamed={},
        dropped=("similarity_weight", "similarity_bias"),
        head="linear_relu",
        features=SlaneyMelConfig(n_fft=400, log=False),
        extract=SegmentConfig(
            scheme="sliding", segment_samples=WINDOW_SAMPLES, step_samples=77 * 160, raise_to_dbfs=-30.0
        ),
    ),
}


def convert_ge2e(system: str, path: str | Path, out_dir: str | Path) -> None:
    """Write `out_dir`/config.json and `out_dir`/checkpoints/best.pt from a published checkpoint.

    Parameters
    ----------
    system : {"harryvolek", "resemblyzer"}
        Whose code wrote it: HarryVolek/PyTorch_Speaker_Verification, a bare state dict, or resemble-ai/Resemblyzer, a
        training state. The VCTK code in TensorFlow publishes no weights.
    path : path
    out_dir : path
        Created if need be.

    Raises
    ------
    CheckpointError
        If the file is not one of this system: every name and shape must fit.
    """
    published = PUBLISHED[system]
    state = renamed(read_state_dict(path, *([published.entry] if published.entry else [])), published)
    config = infer_config(state, published, path)
    model = GE2ELSTM(config)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: not a checkpoint of {system}: {' '.join(str(error).split())[:300]}") from error
    with atomic_write(Path(out_dir) / "checkpoints" / "best.pt", "wb") as file:
        torch.save({"model": model.state_dict()}, file)
    write_json(
        Path(out_dir) / "config.json",
        {
            "name": system,
            "features": {"type": "slaney_mel", **to_dict(published.features)},
            "model": {"type": "ge2e_lstm", **to_dict(config)},
            "extract": to_dict(published.extract),
        },
    )


def renamed(state: Mapping[str, Tensor], published: Published) -> dict[str, Tensor]:
    """The state dict under our modules' names, without what is left over from training."""
    ours = {}
    for name, value in state.items():
        module, _, parameter = name.partition(".")
        if name not in published.dropped:
            ours[".".join(filter(None, (published.renamed.get(module, module), parameter)))] = value
    return ours


def infer_config(state: Mapping[str, Tensor], published: Published, path: str | Path) -> GE2ELSTMConfig:
    """Sizes of the network; raises CheckpointError if the file holds none."""
    try:
        hidden, num_mel_bins = state["lstm.weight_hh_l0"].shape[1], state["lstm.weight_ih_l0"].shape[1]
        head_dim = state["linear.weight"].shape[0]
    except KeyError as error:
        raise CheckpointError(f"{path}: not a checkpoint of a GE2E LSTM: it has no {error.args[0]}") from error
    return GE2ELSTMConfig(
        num_mel_bins=num_mel_bins,
        hidden=hidden,
        projection=0,
        num_layers=sum(name.startswith("lstm.weight_ih_l") for name in state),
        head=published.head,
        head_dim=head_dim,
        cell="torch",
    )
