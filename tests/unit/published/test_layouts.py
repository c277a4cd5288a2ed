"""Published names and back, and what the published code gives for the same weights and features."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sv.models import MODELS
from sv.models.redimnet2 import ReDimNet2Config
from sv.published import campplus, exu_net, noise_lora, redimnet2, speechbrain, wespeaker
from sv.published.convert import CheckpointError, convert_checkpoint
from sv.system.folder import load_model

CAMPPLUS = {"num_mel_bins": 16, "init_channels": 16, "growth": 4, "bottleneck": 8, "embedding_dim": 6}
RESNET = {"num_mel_bins": 16, "channels": 4, "blocks": (1, 2, 1, 1), "embedding_dim": 6}
ECAPA = {"num_mel_bins": 16, "channels": 16, "embedding_dim": 6}
SPEECHBRAIN = {
    **ECAPA,
    "aggregated_channels": 24,
    "squeezed_channels": 6,
    "attention_channels": 5,
    "embedding_norm": False,
    "padding": "reflect",
    "aggregated_norm": True,
    "attention_norm": True,
    "population_deviation": True,
    "variance_floor": 1e-12,
}
NA_EXU_NET = {"num_mel_bins": 64, "channels": (8, 16, 16, 32), "blocks": (1, 1, 2, 1), "embedding_dim": 6}
CLEAN_ECAPA = {  # sizes that leave a trace; the others are fixed there
    "channels": 16,
    "attention_channels": 7,
    "aggregated_channels": 24,
    "squeezed_channels": 5,
    "embedding_dim": 6,
}
NOISE_LORA = {
    **CLEAN_ECAPA,
    "noise_channels": (2, 4, 8, 16),
    "rnn_channels": 3,
    "rnn_hidden": 4,
    "noise_dim": 5,
    "rank": 2,
    "hyper_hidden": 6,
    "gate_hidden": 3,
}
CLEAN_ECAPA |= {"summed_inputs": True, "attention_norm": True, "clamped_context": True, "variance_floor": 1e-4}
PLAIN = {  # a published configuration
    "F": 16,
    "C": 4,
    "causal": "none",
    "out_channels": 6,
    "embed_dim": 6,
    "stages_setup": [[[1, 1], 1, 2, [[3, 3]], None], [[2, 2], 2, 1, [[3, 3]], 8]],
}
DUAL = {
    **PLAIN,
    "return_2d_output": True,
    "dual_agg": True,
    "agg_gnorm": True,
    "block_2d_type": "basic_resnet_fwse",
    "stages_setup": [[[1, 1], 1, 2, [[3, 3]], 8], [[2, 2], 2, 1, [[3, 3]], None]],
}
CONVNEXT = {
    **PLAIN,
    "out_channels": None,
    "block_1d_type": "att",
    "block_2d_type": "convnext_like",
    "group_divisor": 2,
    "compress_tconvs": False,
    "emb_bn": True,
    "global_context_att": False,
    "stages_setup": [[[2, 2], 1, 1.5, [[3, 3], [3, 5]], 8]],
}


class Case(NamedTuple):
    """A system, one of our small networks, its names back, what the published code gives, and a name that it needs."""

    system: str
    model: str
    config: Any
    published: Callable[[nn.Module], dict[str, Tensor]]
    golden: tuple[float, ...]
    needed: str
    model_config: Mapping[str, Any] | None = None


def small(model: str, settings: dict) -> Any:
    return MODELS[model][0](**settings)


def redim(given: Mapping[str, Any], *golden: float) -> Case:
    config = redimnet2.redimnet2_config(given)
    return Case("redimnet2", "redimnet2", config, redimnet2.layout(config).published, golden, "linear.bias", given)


# Features: sin(.37 t^2 + .5 t + .1), two of mels x frames. In float64; random numbers would not be the same everywhere.
CASES = {
    "3D-Speaker's CAM++": Case(
        "campplus_3dspeaker",
        "campplus",
        small("campplus", {**CAMPPLUS, "variance_floor": 0.0}),
        campplus.LAYOUTS["campplus_3dspeaker"][0].published,
        (0.21728, -0.16709, 0.124631, 0.002709, -0.172542, 0.225752),
        "xvector.block2.tdnnd3.cam_layer.linear2.bias",
    ),
    "WeSpeaker's CAM++": Case(
        "campplus_wespeaker",
        "campplus",
        small("campplus", CAMPPLUS),
        campplus.LAYOUTS["campplus_wespeaker"][0].published,
        (0.217404, -0.167034, 0.124721, 0.002736, -0.172479, 0.225949),
        "xvector.transit2.nonlinear.batchnorm.weight",
    ),
    "WeSpeaker's ResNet": Case(
        "resnet_wespeaker",
        "plain_resnet",
        small("plain_resnet", RESNET),
        wespeaker.LAYOUTS["resnet_wespeaker"].published,
        (1.115499, 0.464421, 2.73359, 1.252488, 1.587157, -0.480822),
        "layer2.1.bn2.weight",
    ),
    "WeSpeaker's bottleneck ResNet": Case(
        "resnet_wespeaker",
        "plain_resnet",
        small("plain_resnet", {**RESNET, "bottleneck": True}),
        wespeaker.LAYOUTS["resnet_wespeaker"].published,
        (-0.869585, -1.758916, -0.771776, -1.510871, -2.046638, 7.285752),
        "layer3.0.shortcut.0.weight",
    ),
    "WeSpeaker's ECAPA-TDNN": Case(
        "ecapa_wespeaker",
        "ecapa_tdnn",
        small("ecapa_tdnn", ECAPA),
        wespeaker.LAYOUTS["ecapa_wespeaker"].published,
        (8.701201, 1.620194, -0.396991, -0.890024, -3.918359, -1.426394),
        "layer3.se_res2block.1.bns.2.weight",
    ),
    "SpeechBrain's ECAPA-TDNN": Case(
        "ecapa_speechbrain",
        "ecapa_tdnn",
        small("ecapa_tdnn", SPEECHBRAIN),
        speechbrain.published,
        (-2.619895, 1.396926, -0.962676, -0.945428, -1.134312, 4.285894),
        "asp.tdnn.norm.norm.weight",
    ),
    "NA-ExU-Net": Case(
        "na_exu_net",
        "na_exu_net",
        small("na_exu_net", NA_EXU_NET),
        exu_net.NA_EXU_NET.published,
        (6.756679, -14.259489, 3.72957, -1.498536, 3.045081, 3.158749),
        "d_res_2_3.1.bn2.weight",
    ),
    "NoiseLoRA-SV": Case(
        "noise_lora",
        "noise_lora",
        small("noise_lora", NOISE_LORA),
        noise_lora.noise_lora_layout().published,
        (-4.184475, 4.093797, -8.688742, 8.037698, -18.348997, 20.668966),
        "noise_network.D3_up.bias",
    ),
    "the ECAPA-TDNN of NoiseLoRA-SV": Case(
        "ecapa_noise_lora",
        "ecapa_tdnn",
        small("ecapa_tdnn", CLEAN_ECAPA),
        noise_lora.ENCODER.published,
        (-7.321135, -5.53993, 0.974698, 0.246476, -5.545584, 14.142735),
        "encoder.S2.convs.1.bias",
    ),
    "ReDimNet2": redim(PLAIN, 16.33333, 16.773765, -21.287543, 28.231386, -5.999289, -1.85514),
    "ReDimNet2 with two outputs": redim(DUAL, 2.174231, -0.276871, -0.245747, 0.65148, 0.251855, -1.213921),
    "ReDimNet2 of ConvNeXt": redim(CONVNEXT, 2.656433, -3.374603, 0.553903, -1.558284, 0.897166, 3.6182),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def chirp(count: int) -> Tensor:
    t = np.arange(count)
    return torch.from_numpy(np.sin(0.37 * t**2 + 0.5 * t + 0.1))


def golden(case: Case) -> nn.Module:
    model = MODELS[case.model][1](case.config).double().eval()
    for name, value in model.state_dict().items():
        wave = chirp(value.numel()).reshape(value.shape)
        if value.ndim > 1:
            value.copy_(2 / np.sqrt(value[0].numel()) * wave)
        elif name.endswith(("running_var", "weight")):
            value.copy_(1 + 0.3 * wave)
        elif value.ndim:
            value.copy_(0.1 * wave)
    return model


def saved(case: Case, weights: dict[str, Tensor], path: Path) -> Path:
    torch.save(
        weights if case.model_config is None else {"model_config": case.model_config, "state_dict": weights}, path
    )
    return path


@each_case
def test_the_published_code_gives_the_same_embedding(case: Case) -> None:
    model = golden(case)
    mels, frames = case.config.num_mel_bins, 230 if case.model == "campplus" else 40  # three segments of a mask, or any
    with torch.no_grad():
        embedding = model.embed(chirp(2 * mels * frames).reshape(2, mels, frames))[0]
    assert embedding.tolist() == pytest.approx(case.golden, abs=2e-6)


@each_case
def test_names_go_out_and_come_back(case: Case, tmp_path: Path) -> None:
    model = golden(case).float()
    weights = case.published(model)
    convert_checkpoint(case.system, saved(case, weights, tmp_path / "x.pt"), tmp_path / "exp")
    record, frontend, converted = load_model(tmp_path / "exp")
    assert (record.model_type, record.model) == (case.model, case.config)
    assert (record.published.system, record.published.source) == (case.system, "x.pt")
    state = converted.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(state[name], value), name
    again = case.published(converted)
    assert all(torch.equal(again[name], value) for name, value in weights.items()) and again.keys() == weights.keys()
    wave = torch.sin(torch.arange(8000) ** 1.3 / 50)[None]
    assert frontend(wave).shape[1] == case.config.num_mel_bins


@each_case
@pytest.mark.parametrize("kind", ["missing", "unknown", "shape"])
def test_a_name_or_shape_that_does_not_fit_is_named_and_nothing_written(case: Case, kind: str, tmp_path: Path) -> None:
    weights = case.published(golden(case).float())
    if kind == "missing":
        del weights[case.needed]
    elif kind == "unknown":
        weights["stray.weight"] = torch.zeros(2)
    else:
        weights[case.needed] = torch.zeros(1, 2, 3, 4, 5)
    said = {
        "missing": f"missing: {case.needed}",
        "unknown": "unknown: stray.weight",
        "shape": f"shapes: {case.needed} is",
    }
    with pytest.raises(CheckpointError, match=f"x.pt: not a checkpoint of {case.system}: {said[kind]}"):
        convert_checkpoint(case.system, saved(case, weights, tmp_path / "x.pt"), tmp_path / "exp")
    assert not (tmp_path / "exp").exists()


@pytest.mark.parametrize("system", ["campplus_wespeaker", "resnet_wespeaker", "ecapa_wespeaker"])
def test_a_classifier_is_counted_and_left_out(system: str, tmp_path: Path) -> None:
    case = next(case for case in CASES.values() if case.system == system)
    weights = case.published(golden(case).float()) | {"projection.weight": torch.zeros(11, 6)}
    notes = convert_checkpoint(system, saved(case, weights, tmp_path / "x.pt"), tmp_path / "exp")
    assert notes == ["classifier of 11 speakers: not kept"]
    assert load_model(tmp_path / "exp")[0].num_speakers == 11


def test_heads_of_na_exu_nets_losses_are_left_out(tmp_path: Path) -> None:
    case = CASES["NA-ExU-Net"]
    heads = ("fc_sv_encoder.bias", "bn_noise_encoder_output.weight", "attention_encoder.0.bias", "bn_agg_encoder.bias")
    weights = case.published(golden(case).float()) | {name: torch.zeros(3) for name in heads}
    convert_checkpoint("na_exu_net", saved(case, weights, tmp_path / "x.pt"), tmp_path / "exp")


def test_front_ends_are_as_published_unless_an_option_says_else(tmp_path: Path) -> None:
    found = {}
    for name in ("3D-Speaker's CAM++", "WeSpeaker's CAM++", "WeSpeaker's ECAPA-TDNN", "WeSpeaker's ResNet"):
        case = CASES[name]
        path = saved(case, case.published(golden(case).float()), tmp_path / "x.pt")
        for options in ({}, {"input_scale": "32768", "window": "povey"}):
            convert_checkpoint(case.system, path, tmp_path / "exp", options)
            features = load_model(tmp_path / "exp")[0].features
            found[case.system, bool(options)] = (features.input_scale, features.window)
    assert found.pop(("campplus_3dspeaker", False)) == (1.0, "povey")
    assert {value for (_, given), value in found.items() if not given} == {(32768.0, "hamming")}
    assert {value for (_, given), value in found.items() if given} == {(32768.0, "povey")}


def test_whole_utterances_are_embedded_as_they_are(tmp_path: Path) -> None:
    case = CASES["3D-Speaker's CAM++"]
    convert_checkpoint(
        case.system, saved(case, case.published(golden(case).float()), tmp_path / "x.pt"), tmp_path / "exp"
    )
    extract = load_model(tmp_path / "exp")[0].extract
    assert (extract.scheme, extract.segment_samples, extract.unit_segments) == ("whole", 1680, False)


def test_channels_of_speechbrain_are_rotated_by_a_group() -> None:
    weights = {
        f"blocks.1.res2net_block.blocks.{number}.conv.conv.bias": torch.zeros(1) for number in range(3)
    }  # 4 groups
    weights |= {
        "blocks.1.tdnn1.conv.conv.bias": torch.arange(8.0),
        "blocks.1.tdnn2.conv.conv.weight": torch.eye(8)[:1, :, None],
    }
    weights |= {"blocks.0.conv.conv.bias": torch.arange(8.0)}
    turned = speechbrain.rotated(weights, -1)  # theirs passes channels 0 and 1, ours the last two
    assert turned["blocks.1.tdnn1.conv.conv.bias"].tolist() == [2, 3, 4, 5, 6, 7, 0, 1]
    assert turned["blocks.1.tdnn2.conv.conv.weight"].flatten().tolist() == [0, 0, 0, 0, 0, 0, 1, 0]
    assert turned["blocks.0.conv.conv.bias"].tolist() == list(range(8))


def test_a_published_configuration_alone_has_the_published_defaults() -> None:
    config = redimnet2.redimnet2_config({})
    assert (config.channels, config.num_mel_bins, config.out_channels) == (24, 72, None)
    assert [stage.expansion for stage in config.stages] == [4, 3, 2, 1, 1, 1]
    assert [stage.frame_stride for stage in config.stages] == [1, 1, 2, 1, 2, 1] and config.frame_stride == 4
    assert isinstance(config, ReDimNet2Config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"causal": "full"}, "its model_config has causal 'full'; known: 'none'"),
        ({"pooling_func": "TSTP"}, "its model_config has pooling_func 'TSTP'; known: 'ASTP'"),
        ({"block_1d_type": "fc"}, "its model_config has block_1d_type 'fc'; known: conv\\+att, att"),
        ({"spec_params": {"spec_norm": "bn"}}, "its model_config has spec_params.spec_norm 'bn'; known: 'mn'"),
        ({"width": 3}, "its model_config has width, which is not known"),
        ({"stages_setup": [[1, 2, 1, [[3, 3]], 8]]}, "its model_config cannot be read: "),
        ({"F": 17}, "its model_config cannot be read: num_mel_bins must be a multiple of 2"),
    ],
)
def test_a_configuration_without_counterpart_is_named(change: dict, message: str, tmp_path: Path) -> None:
    case = CASES["ReDimNet2"]._replace(model_config={**PLAIN, **change})
    path = saved(case, case.published(golden(case).float()), tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=f"x.pt: {message}"):
        convert_checkpoint("redimnet2", path, tmp_path / "exp")


def test_weights_of_redimnet2_without_their_configuration_are_refused(tmp_path: Path) -> None:
    case = CASES["ReDimNet2"]
    torch.save(case.published(golden(case)), tmp_path / "x.pt")
    with pytest.raises(
        CheckpointError, match="not a checkpoint of redimnet2: it has no model_config beside its state_dict"
    ):
        convert_checkpoint("redimnet2", tmp_path / "x.pt", tmp_path / "exp")


@pytest.mark.parametrize("filters", [torch.ones(257, 16), torch.ones(3, 3)])
def test_other_mel_filters_are_refused(filters: Tensor, tmp_path: Path) -> None:
    case = CASES["ReDimNet2"]
    weights = case.published(golden(case).float()) | {"spec.torchfbank.2.mel_scale.fb": filters}
    with pytest.raises(CheckpointError, match="its front end has other mel filters"):
        convert_checkpoint("redimnet2", saved(case, weights, tmp_path / "x.pt"), tmp_path / "exp")


@each_case
def test_every_weight_is_trained(case: Case) -> None:
    model = golden(case).train()
    mels = case.config.num_mel_bins
    model.embed(chirp(4 * mels * 64).reshape(4, mels, 64)).square().sum().backward()
    lost = [name for name, value in model.named_parameters() if value.requires_grad and value.grad is None]
    lost = [name for name in lost if not name.startswith("noise.decoder.")]  # which no embedding depends on
    assert lost == []
    assert all(value.grad is None or torch.isfinite(value.grad).all() for value in model.parameters())
