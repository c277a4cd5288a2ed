"""Checkpoints of the ExU-Net family: SE-ResNet, U-Net and ExU-Net by one code, NA-ExU-Net and Diff-SV by its successors."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sv.base.config import to_dict
from sv.features.log_mel import LogMelConfig, htk_filters
from sv.features.segments import SegmentConfig
from sv.models import MODELS
from sv.models.diff_sv import DiffSVConfig, SamplingConfig
from sv.models.na_exu_net import SHARED_LEVELS, NAExUNetConfig
from sv.models.resnet import MEL_STRIDE, NUM_LEVELS
from sv.published.checkpoint import CheckpointError, Converted, Option, Reader, load_strictly, positive_number
from sv.published.containers import Source
from sv.published.layout import Layout, count, number

DIFF_SV_FEATURES = LogMelConfig(
    num_mel_bins=80, n_fft=512, low_hz=20.0, high_hz=7600.0, keep_length=True, subtract_mean=True
)
DIFF_SV_EXTRACT = SegmentConfig(segment_samples=159_920, scheme="even", num_segments=4)
DIFF_SV_SAMPLING = SamplingConfig(num_draws=4)  # windows of a short utterance are alike but for their draws
NUM_MEL_BINS = {
    "num_mel_bins": Option(
        type=positive_number, help="of the features, of which the weights hold no trace; 64 if not given"
    )
}
HEADS = {
    name: Option(
        type=positive_number, help="of attention, of which the weights hold no trace; as published if not given"
    )
    for name in ("enhancer_heads", "score_heads")
}
FRONT_END = "torchfbank."  # buffers of the published Diff-SV code's front end


def translate_exu_net(system: str, level: str, source: Source, options: Mapping[str, Any]) -> Converted:
    """Translate weights whose levels are named `level`1, `level`2, ..."""
    config = exu_net_config(system, level, source.weights, options.get("num_mel_bins"))
    return _converted(system, LogMelConfig(), config, SegmentConfig(), source.weights)


def translate_diff_sv(source: Source, options: Mapping[str, Any]) -> Converted:
    """Translate weights, with or without the buffers of the front end."""
    state = without_front_end(source.weights)
    return _converted("diff_sv", DIFF_SV_FEATURES, diff_sv_config(state, options), DIFF_SV_EXTRACT, state)


def _converted(
    system: str, features: LogMelConfig, config: Any, extract: SegmentConfig, state: Mapping[str, Tensor]
) -> Converted:
    tables = {
        "features": {"type": "log_mel", **to_dict(replace(features, num_mel_bins=config.num_mel_bins))},
        "model": {"type": system, **to_dict(config)},
        "extract": to_dict(extract),
    }
    model = load_strictly(system, MODELS[system][1](config), state)
    return Converted(tables=tables, weights={"model": model.state_dict()})


def without_front_end(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop the front end's buffers, after a check that its mel filters are those of `DIFF_SV_FEATURES`."""
    filters = state.get(f"{FRONT_END}1.mel_scale.fb")  # (bins, mels)
    if filters is not None:
        ours = htk_filters(replace(DIFF_SV_FEATURES, num_mel_bins=filters.shape[-1])).float().T
        if filters.shape != ours.shape or not torch.allclose(filters.float(), ours, atol=1e-4):
            raise CheckpointError("its front end has other mel filters than the published Diff-SV code")
    return {name: value for name, value in state.items() if not name.startswith(FRONT_END)}


def trunk_sizes(level: str, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Sizes that all of the family have; raises KeyError with the name of a missing parameter."""
    levels = [f"{level}{number}" for number in range(1, NUM_LEVELS + 1)]
    return {
        "channels": tuple(state[f"{name}.0.conv1.weight"].shape[0] for name in levels),
        "blocks": tuple(len({key.split(".")[1] for key in state if key.startswith(f"{name}.")}) for name in levels),
        "embedding_dim": state["fc.weight"].shape[0],
    }


def exu_net_config(system: str, level: str, state: Mapping[str, Tensor], num_mel_bins: int | None = None) -> Any:
    """The model config that a state dict implies; raises KeyError with the name of a missing parameter.

    Strides leave no trace in weights; they are the published ones. The number of mel bins does in ExU-Net only; else
    it is `num_mel_bins`, or the published 64.
    """
    sizes = trunk_sizes(level, state)
    config = MODELS[system][0]
    bins = num_mel_bins or config().num_mel_bins
    if system == "exu_net":
        bins = MEL_STRIDE * state["attention.0.weight"].shape[1] // sizes["channels"][-1]
    return config(num_mel_bins=bins, **sizes)


def diff_sv_config(state: Mapping[str, Tensor], options: Mapping[str, Any]) -> DiffSVConfig:
    """The config that a state dict implies; raises KeyError with the name of a missing parameter.

    The numbers of attention heads leave no trace; they are the published ones unless `options` has others.
    """
    layers = {name.split(".")[2] for name in state if name.startswith("enhancer.layer_stack.")}
    return DiffSVConfig(
        **trunk_sizes("layer", state),
        num_mel_bins=state["enhancer.spectral.0.weight"].shape[0],
        enhancer_layers=len(layers),
        enhancer_channels=state["enhancer.layer_stack.0.pos_ffn.w_1.weight"].shape[0],
        score_channels=state["denoiser.model.final_conv.weight"].shape[1],
        sampling=DIFF_SV_SAMPLING,
        **{name: options[name] for name in HEADS if options[name] is not None},
    )


def na_exu_net_config(weights: Mapping[str, Tensor]) -> NAExUNetConfig:
    """The config that weights imply; raises KeyError with the name of a missing one."""
    levels = [f"d2_res_{number}" for number in range(1, NUM_LEVELS + 1)]
    channels = tuple(weights[f"{name}.0.conv1.weight"].shape[0] for name in levels)
    return NAExUNetConfig(
        num_mel_bins=MEL_STRIDE * weights["attention_extractor.0.weight"].shape[1] // channels[-1],
        channels=channels,
        blocks=tuple(count(weights, rf"{name}\.(\d+)\.") for name in levels),
        embedding_dim=weights["fc_extractor.weight"].shape[0],
    )


NA_EXU_NET = Layout(
    model="na_exu_net",
    config=na_exu_net_config,
    rules=(
        (r"^shared\.(\d)\.", number(1, "d_res_{0}.")),
        (r"^speech\.(\d)\.", number(1 + SHARED_LEVELS, "d_res_1_{0}.")),
        (r"^noise\.(\d)\.", number(1 + SHARED_LEVELS, "d_res_2_{0}.")),
        (r"^again\.(\d)\.", number(1, "d2_res_{0}.")),
        (r"^skip_filter\.", f"extractor_skip_con_conv_{NUM_LEVELS}."),
        (r"^(attention|bn_agg)\.", r"\1_extractor."),
        (r"^(attention|bn_agg)_speech\.", r"\1_encoder_sv."),
        (r"^(attention|bn_agg)_noise\.", r"\1_encoder_noise."),
        (r"^fc\.", "fc_extractor."),
    ),
    # Of the losses on the encoder, and what the published code makes and never uses.
    unused=r"(attention_encoder|bn_agg_encoder|extractor_skip_con_conv_[1-3]|(fc|bn)_(sv|noise)_encoder(_output)?)\..*",
    extract=SegmentConfig(),
)


def translate_na_exu_net(source: Source, options: Mapping[str, Any]) -> Converted:
    """Translate weights of NA-ExU-Net, whose features are ExU-Net's."""
    return NA_EXU_NET.translate("na_exu_net", source, {"type": "log_mel", **to_dict(LogMelConfig())})


SYSTEMS = {
    "se_resnet": Reader(translate=partial(translate_exu_net, "se_resnet", "layer"), options=NUM_MEL_BINS),
    "unet": Reader(translate=partial(translate_exu_net, "unet", "d_res_"), options=NUM_MEL_BINS),
    "exu_net": Reader(translate=partial(translate_exu_net, "exu_net", "d_res_")),
    "na_exu_net": Reader(translate=translate_na_exu_net),
    "diff_sv": Reader(translate=translate_diff_sv, options=HEADS),
}
