"""SpeechBrain's ECAPA-TDNN (`embedding_model.ckpt` of spkrec-ecapa-voxceleb and its like).

Its blocks pass the first group of channels and ours the last: channels within a block are rotated by one group. The
`mean_var_norm_emb.ckpt` beside it is not needed, as published verification does not apply it.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from sv.base.config import to_dict
from sv.features.decibel_mel import DecibelMelConfig
from sv.models.ecapa_tdnn import ECAPATDNNConfig
from sv.published.checkpoint import Converted, Reader
from sv.published.containers import Source
from sv.published.layout import Layout, count, number

SYSTEM = "ecapa_speechbrain"


def ecapa_config(weights: Mapping[str, Tensor]) -> ECAPATDNNConfig:
    """The config that weights imply; raises KeyError with the name of a missing one. Dilations are the published ones."""
    channels, num_mel_bins, _ = weights["blocks.0.conv.conv.weight"].shape
    aggregated, attention = weights["mfa.conv.conv.weight"].shape[0], weights["asp.tdnn.conv.conv.weight"]
    return ECAPATDNNConfig(
        num_mel_bins=num_mel_bins,
        channels=channels,
        res2net_scale=count(weights, r"blocks\.1\.res2net_block\.blocks\.(\d+)\.") + 1,
        squeezed_channels=weights["blocks.1.se_block.conv1.conv.weight"].shape[0],
        attention_channels=attention.shape[0],
        aggregated_channels=aggregated,
        global_context=attention.shape[1] == 3 * aggregated,
        embedding_norm=False,
        padding="reflect",
        aggregated_norm=True,
        attention_norm=True,
        population_deviation=True,
        variance_floor=1e-12,
        embedding_dim=weights["fc.conv.weight"].shape[0],
    )


LAYOUT = Layout(
    model="ecapa_tdnn",
    config=ecapa_config,
    rules=(
        (r"^attention\.linear1\.", "asp.tdnn.conv.conv."),
        (r"^attention\.bn\.", "asp.tdnn.norm.norm."),
        (r"^attention\.linear2\.", "asp.conv.conv."),
        (r"^aggregate\.", "mfa.conv.conv."),
        (r"^bn_aggregate\.", "mfa.norm.norm."),
        (r"^bn_pool\.", "asp_bn.norm."),
        (r"^fc\.", "fc.conv."),
        (r"^blocks\.(\d+)\.", number(1, "blocks.{0}.")),
        (r"^layer1\.", "blocks.0."),
        (r"^(blocks\..*)\.conv\.", r"\1.conv.conv."),
        (r"^(blocks\..*)\.bn\.", r"\1.norm.norm."),
        (r"\.first\.", ".tdnn1."),
        (r"\.res2\.layers\.", ".res2net_block.blocks."),
        (r"\.last\.", ".tdnn2."),
        (r"\.se\.0\.", ".se_block.conv1.conv."),
        (r"\.se\.2\.", ".se_block.conv2.conv."),
    ),
    pointwise=r"fc\.conv\.weight|blocks\.\d+\.se_block\.conv[12]\.conv\.weight",
)


def rotated(weights: Mapping[str, Tensor], groups: int) -> dict[str, Tensor]:
    """Rotate the channels between a block's first and last layer by `groups` groups, the last ones to the front."""
    scale = count(weights, r"blocks\.1\.res2net_block\.blocks\.(\d+)\.") + 1

    def turn(name: str, value: Tensor) -> Tensor:
        _, _, layer = name.split(".", 2) if name.count(".") >= 2 else ("", "", name)
        if layer.startswith("tdnn1.") and value.ndim:
            return value.roll(groups * (len(value) // scale), 0)
        if layer == "tdnn2.conv.conv.weight":
            return value.roll(groups * (value.shape[1] // scale), 1)
        return value

    return {name: turn(name, value) for name, value in weights.items()}


def translate(source: Source, options: Mapping[str, Any]) -> Converted:
    """Translate the weights."""
    ours = Source(weights=rotated(source.weights, -1), content=None)
    return LAYOUT.translate(SYSTEM, ours, {"type": "decibel_mel", **to_dict(DecibelMelConfig())})


def published(model: nn.Module) -> dict[str, Tensor]:
    """Weights of one of our networks by their published names, in the published order of channels."""
    return rotated(LAYOUT.published(model), 1)


SYSTEMS = {SYSTEM: Reader(translate=translate)}
