"""ReDimNet2 (PalabraAI/redimnet2): a `.pt` file of {"model_config": ..., "state_dict": ...}.

The configuration decides all that the weights do not tell. What the released code offers beyond `KEYS` and `FIXED` is refused
by its name: no released model needs it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from sv.base.config import to_dict
from sv.features.log_mel import LogMelConfig, htk_filters
from sv.models.redimnet2 import ReDimNet2Config, StageConfig, published_stages
from sv.published.checkpoint import CheckpointError, Converted, Reader
from sv.published.containers import Source
from sv.published.layout import Layout, Rules

SYSTEM = "redimnet2"
KEYS = {  # of the published configuration: ours
    "F": "num_mel_bins",
    "C": "channels",
    "out_channels": "out_channels",
    "return_2d_output": "pool_maps",
    "group_divisor": "group",
    "compress_tconvs": "grouped_strides",
    "dual_agg": "both_outputs",
    "agg_gnorm": "group_norm",
    "global_context_att": "global_context",
    "emb_bn": "embedding_norm",
    "embed_dim": "embedding_dim",
}
DEFAULTS = {  # of the published code, which differ from ours
    "C": 24,
    "out_channels": None,
    "block_1d_type": "conv+att",
    "block_2d_type": "basic_resnet",
    "causal": "none",
}
DEFAULT_STAGES = published_stages((4, 3, 2, 1, 1, 1), (24,) * 6)
MAPS = {
    "basic_resnet": "residual",
    "basic_resnet_fwse": "residual_gated",
    "convnext_like": "convnext",
    "convnext_like_relu": "convnext_relu",
}
CONTEXTS = {"conv+att": "convolutions", "att": "position"}
FIXED = {  # the values that our network and front end have
    "causal": ("none", False),
    "spec_in_channels": (1,),
    "use_freq_pos_enc": (False,),
    "fm_weigthing_type": ("NC",),
    "hop_length": (160,),
    "pooling_func": ("ASTP",),
    "pad_right_samples": (None,),
    "before_pool_offset": (None,),
    "feat_type": ("pt", "pt_mel"),
}
FIXED_FEATURES = {
    "sample_rate": (16000,),
    "n_fft": (512,),
    "win_length": (400,),
    "hop_length": (160,),
    "f_min": (20,),
    "f_max": (7600,),
    "norm_signal": (False,),
    "do_preemph": (True,),
    "spec_norm": ("mn",),
}
# Only training sees these.
IGNORED = ("num_classes", "feat_agg_dropout", "head_activation", "return_all_outputs")
IGNORED_FEATURES = (
    "n_mels",
    "do_spec_aug",
    "freq_start_bin",
    "num_apply_spec_aug",
    "freq_mask_width",
    "time_mask_width",
)
FEATURES = LogMelConfig(n_fft=512, low_hz=20.0, high_hz=7600.0, keep_length=True, subtract_mean=True)
FRONT_END = "spec.torchfbank."


def redimnet2_config(given: Mapping[str, Any]) -> ReDimNet2Config:
    """Translate a published configuration; raises CheckpointError naming a key or value that has no counterpart."""
    check_values(given, FIXED, (*KEYS, *IGNORED, "stages_setup", "block_1d_type", "block_2d_type", "spec_params"), "")
    check_values(given.get("spec_params", {}), FIXED_FEATURES, IGNORED_FEATURES, "spec_params.")
    values = {**DEFAULTS, **given}
    for key, known in (("block_1d_type", CONTEXTS), ("block_2d_type", MAPS)):
        if values[key] not in known:
            raise CheckpointError(f"its model_config has {key} {values[key]!r}; known: {', '.join(known)}")
    if values.get("group_divisor", 1) is None:
        raise CheckpointError("its model_config has group_divisor None, which is not known")
    stages = tuple(
        StageConfig(
            mel_stride=mels,
            frame_stride=frames,
            blocks=blocks,
            expansion=float(expansion),
            kernels=tuple((kernel[0], kernel[1]) for kernel in kernels),
            reduction=reduction,
        )
        for (mels, frames), blocks, expansion, kernels, reduction in given.get("stages_setup", ())
    )
    return ReDimNet2Config(
        stages=stages or DEFAULT_STAGES,
        maps_block=MAPS[values["block_2d_type"]],
        context_block=CONTEXTS[values["block_1d_type"]],
        **{ours: values[theirs] for theirs, ours in KEYS.items() if theirs in values},
    )


def check_values(given: Mapping[str, Any], fixed: Mapping[str, tuple], others: tuple[str, ...], prefix: str) -> None:
    """Raise CheckpointError for a key that is not known, or a value of a fixed one that it must not have."""
    for key, value in given.items():
        if key in fixed and value not in fixed[key]:
            raise CheckpointError(f"its model_config has {prefix}{key} {value!r}; known: {fixed[key][0]!r}")
        if key not in fixed and key not in others:
            raise CheckpointError(f"its model_config has {prefix}{key}, which is not known")


def rules(config: ReDimNet2Config) -> Rules:
    """Rules from our names to the published ones, which number all that a stage does one after the other."""
    return (
        *(rule for number, stage in enumerate(config.stages) for rule in stage_rules(number, stage, config)),
        (r"\.convs\.", ".dwconvs."),
        (r"\.point\.", ".pwconv1."),
        (r"\.point([12])\.", r".conv\1pw."),
        (r"\.gate\.0\.", ".se.squeeze."),
        (r"\.gate\.2\.", ".se.exitation."),
        (r"\.reduce\.", ".red_dim_conv."),
        (r"\.expand\.", ".exp_dim_conv."),
        (r"\.context\.(\d)\.", r".tcm.\1."),
        (r"\.attention\.(query|key|value)\.", lambda found: f".attention.{found[1][0]}_proj."),
        (r"\.attention\.output\.", ".attention.out_proj."),
        (r"\.linear1\.", ".feed_forward.intermediate_dense."),
        (r"\.linear2\.", ".feed_forward.output_dense."),
        (r"\.norm1\.", ".layer_norm."),
        (r"\.norm2\.", ".final_layer_norm."),
        (r"^stem\.", "backbone.stem."),
        (r"^stem_norm\.", "backbone.stem_gnorm."),
        (r"^mixture\.weight", "backbone.fin_wght1d.w"),
        (r"^head\.(1\.)?", "backbone.head."),
        (r"^attention\.feed_forward\.intermediate_dense\.", "pool.linear1."),
        (r"^attention\.feed_forward\.output_dense\.", "pool.linear2."),
        (r"^bn_pool\.", "bn."),
        (r"^fc\.", "linear."),
        (r"^bn_embedding\.", "bn2."),
    )


def stage_rules(number: int, stage: StageConfig, config: ReDimNet2Config) -> Iterator[tuple[str, str]]:
    """Rules for a stage's parts."""
    ours, theirs = rf"^stages\.{number}\.", f"backbone.stage{number}"
    has_context = stage.reduction is not None
    both = config.both_outputs and has_context
    maps = f"{theirs}_pre" if both else theirs
    blocks = range(3, 3 + stage.blocks)
    after = (
        blocks.stop + (stage.expansion != 1) + 1
    )  # mixture, to maps, convolution, blocks, perhaps one more, to sequence
    yield rf"{ours}maps\.0\.weight", f"{maps}.0.w"
    for block in blocks:
        yield rf"{ours}maps\.{block}\.", f"{maps}.{block}.conv_block."
    yield rf"{ours}maps\.", f"{maps}."
    yield rf"{ours}context\.", f"{theirs}_1d." if both else f"{theirs}.{after}."
    yield rf"{ours}norms\.0\.", f"{theirs}_up_2d.1." if both else f"{theirs}.{after + has_context + 1}."
    yield rf"{ours}norms\.1\.", f"{theirs}_up_1d.1."


def layout(config: ReDimNet2Config) -> Layout:
    """The relation of published weights to a network of this configuration."""
    return Layout(
        model="redimnet2", config=lambda _: config, rules=rules(config), unused=rf"{FRONT_END}.*|cls_head\..*"
    )


def check_filters(weights: Mapping[str, Tensor], num_mel_bins: int) -> None:
    """Raise CheckpointError if the file holds other mel filters than those of `FEATURES`."""
    filters = weights.get(f"{FRONT_END}2.mel_scale.fb")  # (bins, mels)
    ours = htk_filters(LogMelConfig(**{**to_dict(FEATURES), "num_mel_bins": num_mel_bins})).float().T
    if filters is not None and (filters.shape != ours.shape or not torch.allclose(filters.float(), ours, atol=1e-4)):
        raise CheckpointError("its front end has other mel filters than the published ReDimNet2 code")


def translate(source: Source, options: Mapping[str, Any]) -> Converted:
    """Translate weights by the configuration beside them; raises CheckpointError if there is none."""
    given = source.content.get("model_config") if isinstance(source.content, Mapping) else None
    if not isinstance(given, Mapping):
        raise KeyError("model_config beside its state_dict")
    try:
        config = redimnet2_config(given)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"its model_config cannot be read: {error}") from error
    check_filters(source.weights, config.num_mel_bins)
    return layout(config).translate(SYSTEM, source, {"type": "log_mel", **to_dict(FEATURES)})


SYSTEMS = {SYSTEM: Reader(translate=translate)}
