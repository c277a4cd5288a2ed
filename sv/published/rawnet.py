"""Checkpoints of the RawNets' published PyTorch code.

Every published name is either that of one of our parameters or listed as one that the model does not need: a file with
one name more or less, or another shape, is refused.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from sv.base.config import to_dict
from sv.models import MODELS
from sv.models.rawnet.rawnet1 import RawNet1PyTorchConfig
from sv.models.rawnet.rawnet2 import RawNet2Config
from sv.models.rawnet.rawnet2_modified import RawNet2ModifiedConfig
from sv.models.rawnet.rawnet3 import PRE_EMPHASIS, RawNet3Config
from sv.published.checkpoint import CheckpointError, Converted, Option, Reader, load_strictly, positive_number, truth
from sv.published.containers import Source
from sv.published.layout import Rules, published_names

FIRST_RUN = 2  # blocks that RawNet1's port keeps in block0; the others are in block1


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The relation of a system's published names to ours.

    Attributes
    ----------
    config : callable
        From a state dict with published names to the model's config; KeyError for a name that is not there.
    rules : callable
        From a state dict with published names to the rules that make our names published ones.
    unused : tuple of str
        Patterns of published names that have no counterpart.
    classifier : str
        Published name of the speaker classifier's weight.
    extract : dict
        The [extract] section of the published evaluation.
    speaker_axis : int
        Of the classifier's weight.
    """

    config: Callable[[Mapping[str, Tensor]], Any]
    rules: Callable[[Mapping[str, Tensor]], Rules]
    unused: tuple[str, ...]
    classifier: str
    extract: dict[str, Any]
    speaker_axis: int = 0


def translate_rawnet(system: str, source: Source, options: Mapping[str, Any]) -> Converted:
    """Translate a checkpoint's weights."""
    return translate(system, source.weights, options)


def translate(system: str, state: Mapping[str, Tensor], options: Mapping[str, Any] = MappingProxyType({})) -> Converted:
    """Translate a published state dict into our names; options that are given replace what the weights imply.

    Raises
    ------
    CheckpointError
        Naming what is missing, unknown or of another shape, by its published name.
    KeyError
        With the name of a parameter without which the sizes are not known.
    """
    layout = LAYOUTS[system]
    state = {name.removeprefix("__S__."): value for name, value in state.items()}
    given = {name: value for name, value in options.items() if value is not None}
    config = replace(layout.config(state), **given)
    model = MODELS[system][1](config)
    names = published_names(model, layout.rules(state))
    check_constants(system, state, model)
    wanted, unused = set(names.values()), re.compile("|".join(layout.unused))
    used = {name: value for name, value in state.items() if name in wanted or not unused.fullmatch(name)}
    loaded = load_strictly(system, model, used, names).state_dict()
    weights = {ours: used.get(theirs, loaded[ours]) for ours, theirs in names.items()}  # as stored in the file
    head = state.get(layout.classifier)
    num_speakers = 0 if head is None else head.shape[layout.speaker_axis]
    return converted(system, config, weights, num_speakers, layout.extract)


def converted(
    system: str, config: Any, weights: dict[str, Tensor], num_speakers: int, extract: Mapping[str, Any]
) -> Converted:
    """Put a RawNet into our format; `num_speakers` are those of the classifier, which is not kept."""
    notes = [f"classifier of {num_speakers} speakers: not kept"] if num_speakers else []
    if getattr(config, "preact_bypass", False):
        notes.append("trained with the blocks' first normalisation discarded: preact_bypass is set")
    tables = {
        "num_speakers": num_speakers,
        "features": {"type": "waveform"},
        "model": {"type": system, **to_dict(config)},
        "extract": extract,
    }
    return Converted(tables=tables, weights={"model": weights}, notes=notes)


def check_constants(system: str, state: Mapping[str, Tensor], model: nn.Module) -> None:
    """Raise CheckpointError if RawNet3's stored window, time axis or pre-emphasis are not what the model computes."""
    if system != "rawnet3":
        return
    computed = {
        "preprocess.0.flipped_filter": torch.tensor([[[-PRE_EMPHASIS, 1.0]]]),
        "conv1.filterbank.window_": model.conv1.window,
        "conv1.filterbank.n_": model.conv1.angle,
    }
    for name, value in computed.items():
        if name in state and not (state[name].shape == value.shape and torch.allclose(state[name], value, atol=1e-6)):
            raise CheckpointError(f"{name} is not the constant that {system} has")


def _channels(state: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    """Output channels of the numbered layers `name`, as many as there are."""
    widths = []
    while (key := name.format(len(widths))) in state:
        widths.append(state[key].shape[0])
    if not widths:
        raise KeyError(key)
    return tuple(widths)


def _recurrent(state: Mapping[str, Tensor]) -> dict[str, int]:
    return {"gru_dim": state["gru.weight_hh_l0"].shape[1], "embedding_dim": state["fc1_gru.weight"].shape[0]}


def is_original(state: Mapping[str, Tensor]) -> bool:
    """True for the names of RawNet2's first code, from which the published weights are."""
    return "fc_attention0.0.weight" in state


def skips_preactivation(state: Mapping[str, Tensor]) -> bool:
    """True for a RawNet2 that was trained with the error that discards each block's first normalisation.

    The first code always has it. The cleaned code had it for some months; then these normalisations got no gradient
    and, being exempt from weight decay, still have gains of 1 and offsets of 0.
    """
    untouched = all(
        bool((value == float(name.endswith("weight"))).all())
        for name, value in state.items()
        if re.fullmatch(r"block\d+\.0\.bn1\.(weight|bias)", name)
    )
    return is_original(state) or untouched


def _rawnet2_config(state: Mapping[str, Tensor]) -> RawNet2Config:
    return RawNet2Config(
        num_samples=len(state["ln.gamma"]),
        preact_bypass=skips_preactivation(state),
        channels=_channels(state, "block{}.0.conv1.weight"),
        **_recurrent(state),
    )


TAIL = ((r"^tail\.fc\.", "fc1_gru."), (r"^tail\.", ""))


def _rawnet2_rules(state: Mapping[str, Tensor]) -> Rules:
    scaling = r"fc_attention\1.0." if is_original(state) else r"block\1.0.frm.fc."
    return (
        (r"^first_conv\.(low|band)_hz$", r"first_conv.\1_hz_"),
        (r"^blocks\.(\d+)\.fms\.fc\.", scaling),
        (r"^blocks\.(\d+)\.", r"block\1.0."),
        *TAIL,
    )


def _rawnet1_config(state: Mapping[str, Tensor]) -> RawNet1PyTorchConfig:
    channels = _channels(state, "block0.{}.conv1.weight") + _channels(state, "block1.{}.conv1.weight")
    return RawNet1PyTorchConfig(preact_bypass=True, channels=channels, **_recurrent(state))


def _rawnet1_rules(_: Mapping[str, Tensor]) -> Rules:
    def run(found: re.Match) -> str:
        number = int(found[1])
        return f"block0.{number}." if number < FIRST_RUN else f"block1.{number - FIRST_RUN}."

    return ((r"^blocks\.(\d+)\.", run), *TAIL)


def _modified_config(state: Mapping[str, Tensor]) -> RawNet2ModifiedConfig:
    channels = []
    blocks = []
    while f"layer{len(channels) + 1}.0.conv1.weight" in state or not channels:
        widths = _channels(state, f"layer{len(channels) + 1}.{{}}.conv1.weight")
        channels.append(widths[0])
        blocks.append(len(widths))
    return RawNet2ModifiedConfig(
        channels=tuple(channels),
        blocks=tuple(blocks),
        attention_dim=state["attention.0.weight"].shape[0],
        embedding_dim=state["fc.weight"].shape[0],
    )


def _modified_rules(_: Mapping[str, Tensor]) -> Rules:
    return ((r"^layers\.(\d+)\.", lambda found: f"layer{int(found[1]) + 1}."), (r"\.shortcut\.", ".shortcut.0."))


def _rawnet3_config(state: Mapping[str, Tensor]) -> RawNet3Config:
    # The stride of the filterbank leaves no trace; it is the published one.
    return RawNet3Config(
        channels=state["layer1.conv1.weight"].shape[0],
        scale=state["layer1.conv1.weight"].shape[0] // state["layer1.convs.0.weight"].shape[0],
        pooled_channels=state["layer4.weight"].shape[0],
        attention_dim=state["attention.0.weight"].shape[0],
        embedding_dim=state["fc6.weight"].shape[0],
    )


def _rawnet3_rules(_: Mapping[str, Tensor]) -> Rules:
    return (
        (r"^conv1\.(low|band)_hz$", r"conv1.filterbank.\1_hz_"),
        (r"^preprocess\.instance_norm\.", "preprocess.1."),
        (r"\.residual\.", ".residual.0."),
    )


LAYOUTS = {
    "rawnet1_pytorch": Layout(
        config=_rawnet1_config,
        rules=_rawnet1_rules,
        unused=(r"fc2_gru\.(weight|bias)", r"block\d\.\d\.bn1\..*"),
        classifier="fc2_gru.weight",
        extract={"scheme": "whole", "segment_samples": 2188},  # the least that makes a frame, pre-emphasised
    ),
    "rawnet2": Layout(
        config=_rawnet2_config,
        rules=_rawnet2_rules,
        unused=(r"fc2_gru\.(weight|bias)", r"block[1-9]\.0\.bn1\..*"),
        classifier="fc2_gru.weight",
        extract={
            "scheme": "overlapping",
            "segment_samples": 59_049,
            "step_samples": 47_239,
            "batch_size": 64,
            "unit_segments": False,
            "peak_normalise": True,
        },
    ),
    "rawnet2_modified": Layout(
        config=_modified_config,
        rules=_modified_rules,
        unused=(r"class_head\.W",),
        classifier="class_head.W",
        extract={"scheme": "even_padded", "segment_samples": 59_050, "num_segments": 10},
        speaker_axis=1,
    ),
    "rawnet3": Layout(
        config=_rawnet3_config,
        rules=_rawnet3_rules,
        unused=(r"bn[16]\..*", r"preprocess\.0\.flipped_filter", r"conv1\.filterbank\.(window_|n_)", r"__L__\..*"),
        classifier="__L__.weight",
        extract={"scheme": "even_padded", "segment_samples": 64_000, "num_segments": 10},
    ),
}
PREACT_BYPASS = Option(
    type=truth,
    choices=(True, False),
    help="the blocks' first normalisation was discarded in training; if not given, told by their weights still being (1, 0)",
)
SINC_STRIDE = Option(
    type=positive_number, help="of RawNet3's filterbank in samples, of which the weights hold no trace"
)
OPTIONS = {
    "rawnet1_pytorch": {"preact_bypass": PREACT_BYPASS},
    "rawnet2": {"preact_bypass": PREACT_BYPASS},
    "rawnet3": {"sinc_stride": SINC_STRIDE},
}
SYSTEMS = {
    system: Reader(translate=partial(translate_rawnet, system), options=OPTIONS.get(system, {})) for system in LAYOUTS
}
