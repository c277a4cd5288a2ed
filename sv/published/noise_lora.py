"""Checkpoints of NoiseLoRA-SV (j128djsj/NoiseLoRA-SV), and of the ECAPA-TDNN that its training starts from.

A file is a training state: model, criterion, optimizer, scheduler, epoch, and config, the tables of its settings without
paths. The frozen teacher within it, which only training needs, is left out.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sv.base.config import to_dict
from sv.features.log_mel import LogMelConfig, centred_window, htk_filters
from sv.models.ecapa_tdnn import ECAPATDNNConfig
from sv.models.noise_lora import NoiseLoRAConfig
from sv.models.noise_network import NUM_LEVELS
from sv.published.checkpoint import CheckpointError, Converted, Option, Reader
from sv.published.containers import Source
from sv.published.layout import Layout, Rules, count, number

FEATURES = LogMelConfig(
    num_mel_bins=80, n_fft=512, low_hz=20.0, high_hz=7600.0, keep_length=True, clamped=True, subtract_mean=True
)
ALPHA = 8.0
STAGES = ("C", "S1", "S2", "S3")
FRONT_END = "frontend.melspec."
TOLERANCE = 1e-4  # of the front end's buffers
# Names of the settings of the front end in a file's config: theirs, ours.
SETTINGS = {
    "sample_rate": "sampling_rate",
    "n_fft": "n_fft",
    "win_length_ms": "window_ms",
    "hop_length_ms": "shift_ms",
    "f_min": "low_hz",
    "f_max": "high_hz",
    "preemphasis": "pre_emphasis",
    "log_eps": "log_floor",
}


def above_zero(text: Any) -> float:
    """Read a number above 0; raises ValueError for all else."""
    if not 0 < (value := float(text)) < math.inf:
        raise ValueError(f"not above zero: {text!r}")
    return value


ALPHA_OPTION = Option(type=above_zero, help="of the adapters, if the file has no config that tells it; 8 if not given")


def encoder_rules(prefix: str) -> Rules:
    """From names of an ECAPA-TDNN to the published ones, which have a prefix."""
    return (
        (r"^layer1\.conv\.", f"{prefix}C.0."),
        (r"^layer1\.bn\.", f"{prefix}C.2."),
        (r"^blocks\.(\d+)\.", number(1, prefix + "S{0}.")),
        (r"\.first\.(conv|bn)\.", r".\g<1>1."),
        (r"\.res2\.layers\.(\d+)\.(conv|bn)\.", r".\2s.\1."),
        (r"\.last\.(conv|bn)\.", r".\g<1>3."),
        (r"\.se\.(\d)\.", number(1, ".se.net.{0}.")),
        (r"^aggregate\.", f"{prefix}mfa.0."),
        (r"^attention\.linear1\.", f"{prefix}pool.attention.0."),
        (r"^attention\.bn\.", f"{prefix}pool.attention.2."),
        (r"^attention\.linear2\.", f"{prefix}pool.attention.4."),
        (r"^bn_pool\.", f"{prefix}bn."),
        (r"^fc\.", f"{prefix}linear."),
        (r"^bn_embedding\.", f"{prefix}out_bn."),
    )


def noise_rules() -> Rules:
    """From names of the noise network and the adapters to the published ones."""
    return (
        (r"^adapters\.(\d)\.", lambda found: f"adapters.{STAGES[int(found[1])]}."),
        (r"^(adapters\.\w+)\.down\.", r"\1.head_a."),
        (r"^(adapters\.\w+)\.up\.", r"\1.head_b."),
        (r"^noise\.head\.whole\.", "noise_network.msnrh.global_head."),
        (r"^noise\.head\.scales\.(\d)\.", number(2, "noise_network.msnrh.proj{0}.")),
        (r"^noise\.head\.fusion\.", "noise_network.msnrh.magf."),
        (r"^noise\.head\.local\.", "noise_network.msnrh.local_out."),
        (r"^noise\.decoder\.reduce\.", "noise_network.R."),
        (r"^noise\.decoder\.gru\.", "noise_network.gru."),
        (r"^noise\.decoder\.expand\.", "noise_network.gru_out."),
        (r"^noise\.decoder\.up\.(\d)\.", lambda found: f"noise_network.D{NUM_LEVELS - int(found[1])}_up."),
        (r"^noise\.decoder\.levels\.(\d)\.", lambda found: f"noise_network.D{NUM_LEVELS - int(found[1])}."),
        (r"^noise\.decoder\.last\.", "noise_network.D1."),
        (r"^noise\.encoder\.(\d)\.", number(1, "noise_network.E{0}.")),
        (r"^(noise_network\.[ED]\d\.\d)\.conv\.", r"\1.net.0."),
        (r"^(noise_network\.[ED]\d\.\d)\.bn\.", r"\1.net.1."),
        (r"^(noise_network\.[ED]\d\.\d)\.slope$", r"\1.net.2.weight"),
    )


def encoder_sizes(prefix: str, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Settings of an ECAPA-TDNN; raises KeyError with the name of a missing weight. Dilations are the published ones."""
    channels, num_mel_bins, _ = weights[f"{prefix}C.0.weight"].shape
    return {
        "num_mel_bins": num_mel_bins,
        "channels": channels,
        "res2net_scale": count(weights, rf"{prefix}S1\.convs\.(\d+)\.") + 1,
        "squeezed_channels": weights[f"{prefix}S1.se.net.1.weight"].shape[0],
        "attention_channels": weights[f"{prefix}pool.attention.0.weight"].shape[0],
        "aggregated_channels": weights[f"{prefix}mfa.0.weight"].shape[0],
        "summed_inputs": True,
        "attention_norm": True,
        "clamped_context": True,
        "variance_floor": 1e-4,
        "embedding_dim": weights[f"{prefix}linear.weight"].shape[0],
    }


def encoder_config(weights: Mapping[str, Tensor]) -> ECAPATDNNConfig:
    """The config that weights of the ECAPA-TDNN alone imply."""
    return ECAPATDNNConfig(**encoder_sizes("encoder.", weights))


def noise_lora_config(weights: Mapping[str, Tensor], alpha: float) -> NoiseLoRAConfig:
    """The config that weights imply, but for `alpha`; raises KeyError with the name of a missing one."""
    sizes, channels = encoder_sizes("student.", weights), weights["student.C.0.weight"].shape[0]
    hyper_hidden, noise_dim = weights["adapters.C.trunk.0.weight"].shape
    return NoiseLoRAConfig(
        **sizes,
        noise_channels=tuple(
            weights[f"noise_network.E{level}.0.net.0.weight"].shape[0] for level in range(1, NUM_LEVELS + 1)
        ),
        rnn_channels=weights["noise_network.R.weight"].shape[0],
        rnn_hidden=weights["noise_network.gru.weight_hh_l0"].shape[1],
        noise_dim=noise_dim,
        rank=weights["adapters.C.head_a.weight"].shape[0] // channels,
        alpha=alpha,
        hyper_hidden=hyper_hidden,
        gate_hidden=weights["adapters.S2.gate.0.weight"].shape[0],
    )


def noise_lora_layout(alpha: float = ALPHA) -> Layout:
    """Relation of the published names to ours."""
    return Layout(
        model="noise_lora",
        config=partial(noise_lora_config, alpha=alpha),
        rules=(*encoder_rules("student."), *noise_rules()),
        pointwise=r"student\.S\d\.se\.net\.\d\.weight",
        unused=r"(teacher|frontend)\..*",
    )


ENCODER = Layout(
    model="ecapa_tdnn",
    config=encoder_config,
    rules=encoder_rules("encoder."),
    pointwise=r"encoder\.S\d\.se\.net\.\d\.weight",
    unused=r"frontend\..*",
)


def settings_of(source: Source, section: str) -> Mapping[str, Any]:
    """A table of the config within a training state; empty if the file has none."""
    tables = source.content.get("config") if isinstance(source.content, Mapping) else None
    table = tables.get(section) if isinstance(tables, Mapping) else None
    return table if isinstance(table, Mapping) else {}


def features_of(source: Source) -> LogMelConfig:
    """The front end that the file's config describes; raises CheckpointError if its buffers are of another one."""
    told = settings_of(source, "audio")
    if told.get("mean_norm") is False:
        raise CheckpointError("its config has mean_norm false, but our networks centre what they read")
    given = {ours: told[theirs] for theirs, ours in SETTINGS.items() if told.get(theirs) is not None}
    features = replace(FEATURES, **{name: type(getattr(FEATURES, name))(value) for name, value in given.items()})
    for name, expected in (
        ("spectrogram.window", centred_window(replace(features, n_fft=features.window_length))),
        ("mel_scale.fb", htk_filters(features).T.float()),
    ):
        found = source.weights.get(f"{FRONT_END}{name}")
        if found is not None and (
            found.shape != expected.shape or not torch.allclose(found.float(), expected, rtol=0, atol=TOLERANCE)
        ):
            raise CheckpointError(f"its {FRONT_END}{name} is not that of the front end that its config describes")
    return features


def translate(system: str, source: Source, options: Mapping[str, Any]) -> Converted:
    """Translate weights of NoiseLoRA-SV, or of the ECAPA-TDNN that its training starts from."""
    layout = ENCODER
    if system == "noise_lora":
        lora = settings_of(source, "model").get("lora")
        told = lora.get("alpha") if isinstance(lora, Mapping) else None
        layout = noise_lora_layout(float(options["alpha"] or told or ALPHA))
    return layout.translate(system, source, {"type": "log_mel", **to_dict(features_of(source))})


SYSTEMS = {
    "noise_lora": Reader(translate=partial(translate, "noise_lora"), options={"alpha": ALPHA_OPTION}),
    "ecapa_noise_lora": Reader(translate=partial(translate, "ecapa_noise_lora")),
}
