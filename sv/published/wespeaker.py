"""WeSpeaker's ResNet18 to ResNet293 and its ECAPA-TDNNs (wenet-e2e/wespeaker, `avg_model.pt`)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from sv.models.ecapa_tdnn import ECAPATDNNConfig
from sv.models.plain_resnet import EXPANSION, PlainResNetConfig
from sv.models.resnet import MEL_STRIDE, NUM_LEVELS
from sv.published.campplus import CLASSIFIER, FBANK_OPTIONS, WESPEAKER, fbank_section, residual_rules
from sv.published.checkpoint import Converted, Reader
from sv.published.containers import Source
from sv.published.layout import Layout, count, number

UNUSED = r"projection\..*"


def resnet_config(weights: Mapping[str, Tensor]) -> PlainResNetConfig:
    """The config that weights imply; raises KeyError with the name of a missing one."""
    channels, bottleneck = weights["conv1.weight"].shape[0], "layer1.0.conv3.weight" in weights
    embedding_dim, pooled = weights["seg_1.weight"].shape
    widest = channels * 2 ** (NUM_LEVELS - 1) * (EXPANSION if bottleneck else 1)
    return PlainResNetConfig(
        num_mel_bins=pooled // 2 * MEL_STRIDE // widest,
        channels=channels,
        blocks=tuple(count(weights, rf"layer{level}\.(\d+)\.") for level in range(1, NUM_LEVELS + 1)),
        bottleneck=bottleneck,
        embedding_dim=embedding_dim,
    )


def ecapa_config(weights: Mapping[str, Tensor]) -> ECAPATDNNConfig:
    """The config that weights imply; raises KeyError with the name of a missing one. Dilations are the published ones."""
    channels, num_mel_bins, _ = weights["layer1.conv.weight"].shape
    aggregated, attention = weights["conv.weight"].shape[0], weights["pool.linear1.weight"]
    block = "layer2.se_res2block"
    return ECAPATDNNConfig(
        num_mel_bins=num_mel_bins,
        channels=channels,
        res2net_scale=count(weights, rf"{block}\.1\.convs\.(\d+)\.") + 1,
        squeezed_channels=weights[f"{block}.3.linear1.weight"].shape[0],
        attention_channels=attention.shape[0],
        aggregated_channels=aggregated,
        global_context=attention.shape[1] == 3 * aggregated,
        embedding_norm="bn2.weight" in weights,
        embedding_dim=weights["linear.weight"].shape[0],
    )


LAYOUTS = {
    "resnet_wespeaker": Layout(
        model="plain_resnet",
        config=resnet_config,
        rules=(
            *residual_rules("levels", "layer"),
            (r"^stem\.0\.", "conv1."),
            (r"^stem\.1\.", "bn1."),
            (r"^fc\.", "seg_1."),
        ),
        unused=UNUSED,
        classifier=CLASSIFIER,
    ),
    "ecapa_wespeaker": Layout(
        model="ecapa_tdnn",
        config=ecapa_config,
        rules=(
            (r"^blocks\.(\d+)\.", number(2, "layer{0}.se_res2block.")),
            (r"se_res2block\.first\.", "se_res2block.0."),
            (r"se_res2block\.res2\.layers\.(\d+)\.(conv|bn)\.", r"se_res2block.1.\2s.\1."),
            (r"se_res2block\.last\.", "se_res2block.2."),
            (r"se_res2block\.se\.0\.", "se_res2block.3.linear1."),
            (r"se_res2block\.se\.2\.", "se_res2block.3.linear2."),
            (r"^aggregate\.", "conv."),
            (r"^attention\.", "pool."),
            (r"^bn_pool\.", "bn."),
            (r"^fc\.", "linear."),
            (r"^bn_embedding\.", "bn2."),
        ),
        unused=UNUSED,
        classifier=CLASSIFIER,
    ),
}


def translate(system: str, source: Source, options: Mapping[str, Any]) -> Converted:
    """Translate weights of one of `LAYOUTS`."""
    return LAYOUTS[system].translate(system, source, fbank_section(WESPEAKER, options))


SYSTEMS = {system: Reader(translate=partial(translate, system), options=FBANK_OPTIONS) for system in LAYOUTS}
