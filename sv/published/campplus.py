"""CAM++ of 3D-Speaker and of WeSpeaker: one network by one set of names, with different front ends."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from sv.base.config import to_dict
from sv.features.fbank import FbankConfig
from sv.models.campplus import CAMPlusPlusConfig
from sv.models.resnet import MEL_STRIDE
from sv.published.checkpoint import INPUT_SCALE, Converted, Option, Reader
from sv.published.containers import Source
from sv.published.layout import Layout, Rules, count, number

WINDOW = Option(
    type=str, choices=("povey", "hamming"), help="of the features, if the network was trained on another than published"
)
FBANK_OPTIONS = {"input_scale": INPUT_SCALE, "window": WINDOW}
CLASSIFIER = "projection.weight"  # of WeSpeaker


def residual_rules(ours: str, theirs: str) -> Rules:
    """Rules for plain residual levels, whose blocks number their convolutions and norms from 1 where they are published."""
    block = rf"^{ours}\.(\d+)\.(\d+)\."
    return (
        (rf"{block}shortcut\.", number(1, f"{theirs}{{0}}.{{1}}.shortcut.")),
        (rf"{block}layers\.0\.0\.", number(1, f"{theirs}{{0}}.{{1}}.conv1.")),
        (rf"{block}layers\.1\.0\.", number(1, f"{theirs}{{0}}.{{1}}.conv2.")),
        (rf"{block}layers\.2\.0\.", number(1, f"{theirs}{{0}}.{{1}}.conv3.")),
        (rf"{block}layers\.0\.1\.", number(1, f"{theirs}{{0}}.{{1}}.bn1.")),
        (rf"{block}layers\.1\.1\.", number(1, f"{theirs}{{0}}.{{1}}.bn2.")),
        (rf"{block}layers\.2\.1\.", number(1, f"{theirs}{{0}}.{{1}}.bn3.")),
    )


RULES: Rules = (
    *residual_rules(r"head\.levels", "head.layer"),
    (r"^head\.first\.0\.", "head.conv1."),
    (r"^head\.first\.1\.", "head.bn1."),
    (r"^head\.last\.0\.", "head.conv2."),
    (r"^head\.last\.1\.", "head.bn2."),
    (r"^conv\.", "xvector.tdnn.linear."),
    (r"^bn\.", "xvector.tdnn.nonlinear.batchnorm."),
    (r"^transits\.(\d+)\.bn\.", number(1, "xvector.transit{0}.nonlinear.batchnorm.")),
    (r"^transits\.(\d+)\.conv\.", number(1, "xvector.transit{0}.linear.")),
    (r"^blocks\.(\d+)\.", number(1, "xvector.block{0}.")),
    (r"(?<=\.)layers\.(\d+)\.", number(1, "tdnnd{0}.")),
    (r"(tdnnd\d+)\.bn([12])\.", r"\1.nonlinear\2.batchnorm."),
    (r"(tdnnd\d+)\.conv\.", r"\1.linear1."),
    (r"\.masked\.local\.", ".cam_layer.linear_local."),
    (r"\.masked\.squeeze\.", ".cam_layer.linear1."),
    (r"\.masked\.expand\.", ".cam_layer.linear2."),
    (r"^bn_out\.", "xvector.out_nonlinear.batchnorm."),
    (r"^fc\.", "xvector.dense.linear."),
    (r"^bn_embedding\.", "xvector.dense.nonlinear.batchnorm."),
)


def campplus_config(weights: Mapping[str, Tensor], variance_floor: float) -> CAMPlusPlusConfig:
    """The config that weights imply; raises KeyError with the name of a missing one.

    Dilations leave no trace; they are the published ones.
    """
    first, layer = weights["xvector.tdnn.linear.weight"], "xvector.block1.tdnnd1"
    head_channels = weights["head.conv1.weight"].shape[0]
    num_blocks = count(weights, r"xvector\.block(\d+)\.")
    return CAMPlusPlusConfig(
        num_mel_bins=first.shape[1] * MEL_STRIDE // head_channels,
        head_channels=head_channels,
        head_blocks=tuple(count(weights, rf"head\.layer{level}\.(\d+)\.") for level in (1, 2)),
        init_channels=first.shape[0],
        growth=weights[f"{layer}.cam_layer.linear_local.weight"].shape[0],
        bottleneck=weights[f"{layer}.linear1.weight"].shape[0],
        blocks=tuple(count(weights, rf"xvector\.block{block}\.tdnnd(\d+)\.") for block in range(1, num_blocks + 1)),
        variance_floor=variance_floor,
        embedding_dim=weights["xvector.dense.linear.weight"].shape[0],
    )


def layout(variance_floor: float, unused: str) -> Layout:
    """The relation of published CAM++ weights to ours."""
    return Layout(
        model="campplus",
        config=partial(campplus_config, variance_floor=variance_floor),
        rules=RULES,
        pointwise=r"xvector\.dense\.linear\.weight",
        unused=unused,
        classifier=CLASSIFIER,
    )


def fbank_section(config: FbankConfig, options: Mapping[str, Any]) -> dict[str, Any]:
    """The [features] section of a published front end, changed by the options that are given."""
    given = {name: value for name, value in options.items() if name in FBANK_OPTIONS and value is not None}
    return {"type": "fbank", **to_dict(replace(config, **given))}


# 3D-Speaker computes filterbanks of the samples as they are (speakerlab/process/processor.py), WeSpeaker of 16-bit integers.
SPEAKER_3D, WESPEAKER = FbankConfig(input_scale=1.0), FbankConfig(window="hamming")
LAYOUTS = {
    "campplus_3dspeaker": (layout(0.0, r"(?!)"), SPEAKER_3D),
    "campplus_wespeaker": (layout(1e-7, r"projection\..*"), WESPEAKER),
}


def translate(system: str, source: Source, options: Mapping[str, Any]) -> Converted:
    """Translate CAM++ weights."""
    relation, features = LAYOUTS[system]
    return relation.translate(system, source, fbank_section(features, options))


SYSTEMS = {system: Reader(translate=partial(translate, system), options=FBANK_OPTIONS) for system in LAYOUTS}
