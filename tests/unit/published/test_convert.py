"""The one table of readers: every system's checkpoints, every wrong file, every option."""

from pathlib import Path

import pytest
import torch

from sv.published.checkpoint import Option, Reader
from sv.published.convert import (
    FAMILIES,
    OPTIONS,
    SYSTEMS,
    CheckpointError,
    UsageError,
    checked_options,
    convert_checkpoint,
)
from sv.system.folder import load_model

NEEDED = {"input_scale": 1.0, "activation": "elu"}
KNOWN = ", ".join(sorted(SYSTEMS))


def options_of(system: str) -> dict[str, object]:
    return {name: NEEDED[name] for name in SYSTEMS[system].options if name in NEEDED}


def test_no_system_is_in_two_families() -> None:
    assert sum(len(family.SYSTEMS) for family in FAMILIES) == len(SYSTEMS) == 25


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_gives_a_model_folder(system: str, weights_of, keras_file, tmp_path: Path) -> None:
    path = keras_file
    if system != "rawnet1":
        path = tmp_path / "published.pt"
        torch.save(weights_of(system), path)
    assert isinstance(convert_checkpoint(system, path, tmp_path / "exp", options_of(system)), list)
    record, _, model = load_model(tmp_path / "exp")
    assert record.name == system and sum(p.numel() for p in model.parameters()) > 0


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("empty", "the file is empty"),
        ("web page", "a web page, not a checkpoint"),
        ("text", "not a PyTorch checkpoint of tensors only: damaged, cut short or of another kind"),
        ("cut short", "cut short: a zip file, as PyTorch writes, without its end"),
        ("code", "not a PyTorch checkpoint of tensors only: it asks for torch.nn.modules.linear.Linear"),
        ("list", "expected a mapping from parameter names to tensors, got list"),
        ("other system", "not a checkpoint of {system}: |2 names are neither of the network nor of the loss"),
    ],
)
def test_wrong_files_are_named_in_one_line_and_nothing_written(
    system: str, kind: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "published.pt"
    torch.save({"encoder.weight": torch.zeros(3, 3), "fc.weight": torch.zeros(3)}, path)
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "web page":
        path.write_text("<!DOCTYPE html>\n<html>Sign in</html>\n")
    elif kind == "text":
        path.write_text("no checkpoint")
    elif kind == "cut short":
        path.write_bytes(path.read_bytes()[:-200])
    elif kind == "code":
        torch.save({"model": torch.nn.Linear(2, 2)}, path)
    elif kind == "list":
        torch.save([1, 2], path)
    if system == "rawnet1" and kind not in ("empty", "web page"):
        message = "not an HDF5 file"
    with pytest.raises(CheckpointError, match=rf"published\.pt: ({message.format(system=system)})") as caught:
        convert_checkpoint(system, path, tmp_path / "exp", options_of(system))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "exp").exists()


LOST = {
    "se_resnet": "layer2.0.bn1.weight",
    "unet": "d_res_1.0.conv1.weight",
    "exu_net": "u_res_1.0.bn1.bias",
    "diff_sv": "denoiser.model.mid_attn.fn.g",
    "harryvolek": "LSTM_stack.weight_hh_l2",
    "resemblyzer": "linear.bias",
    "rawnet1_pytorch": "block1.0.conv2.weight",
    "rawnet2": "fc1_gru.weight",
    "rawnet2_modified": "attention.0.weight",
    "rawnet3": "layer3.conv3.weight",
    "resnet_se34l": "layer2.1.bn1.bias",
    "resnet_se34v2": "bn1.weight",
    "vggvox": "fc.weight",
    "my_linear_net": "__S__.l2.bias",
    "campplus_3dspeaker": "xvector.transit1.linear.weight",
    "campplus_wespeaker": "head.layer1.0.bn1.bias",
    "resnet_wespeaker": "seg_1.bias",
    "ecapa_wespeaker": "pool.linear2.bias",
    "ecapa_speechbrain": "mfa.norm.norm.bias",
    "na_exu_net": "u_res_1.0.bn1.bias",
    "seed_kaistmm": "res_blocks.1.in_layers.2.bias",
    "noise_lora": "adapters.S3.gate.2.bias",
    "ecapa_noise_lora": "encoder.pool.attention.2.weight",
}


@pytest.mark.parametrize("system", LOST)
def test_a_missing_name_is_named(system: str, weights_of, tmp_path: Path) -> None:
    name, weights = LOST[system], weights_of(system)
    del weights[name if name in weights else f"__S__.{name}"]
    torch.save(weights, tmp_path / "published.pt")
    said = rf"published\.pt: not a checkpoint of {system}: (missing:|it has no) {name}$"
    with pytest.raises(CheckpointError, match=said):
        convert_checkpoint(system, tmp_path / "published.pt", tmp_path / "exp", options_of(system))
    assert not (tmp_path / "exp").exists()


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_file_that_is_not_there_is_named(system: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"published\.pt"):
        convert_checkpoint(system, tmp_path / "published.pt", tmp_path / "exp", options_of(system))


def test_sizes_of_another_network_are_an_error_that_names_the_file(weights_of, tmp_path: Path) -> None:
    torch.save(weights_of("se_resnet") | {"fc.weight": torch.tensor(1.0)}, tmp_path / "published.pt")
    with pytest.raises(CheckpointError, match=r"published\.pt: not a checkpoint of se_resnet: its shapes do not fit"):
        convert_checkpoint("se_resnet", tmp_path / "published.pt", tmp_path / "exp")


@pytest.mark.parametrize(
    ("system", "options", "message"),
    [
        ("exunet", {}, f"no converter for 'exunet'; known: {KNOWN}"),
        ("vggvox", {"input_scal": 1}, "vggvox has no option 'input_scal'; known: input_scale"),
        ("exu_net", {"x": 1}, "exu_net has no option 'x'; known: none"),
        (
            "exu_net",
            {"input_scale": 1},
            rf"exu_net has no option 'input_scale' \(input_scale is of {', '.join(OPTIONS['input_scale'])}\); known: none",
        ),
        (
            "vggvox",
            {"activation": "elu"},
            r"vggvox has no option 'activation' \(activation is of my_linear_net\); known: input_scale",
        ),
        ("vggvox", {"input_scale": "2"}, "option input_scale must be 1 or 32768, got '2'"),
        ("vggvox", {"input_scale": "loud"}, "option input_scale must be 1 or 32768, got 'loud'"),
        ("my_linear_net", {"activation": "tanh"}, "option activation must be elu or relu, got 'tanh'"),
    ],
)
def test_wrong_usage_lists_what_is_known(system: str, options: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"^{message}$"):
        convert_checkpoint(system, tmp_path / "not there", tmp_path, options)


def test_options_are_read_from_text_and_none_where_not_given() -> None:
    assert checked_options("vggvox", {"input_scale": "32768"}) == {"input_scale": 32768.0}
    assert checked_options("vggvox", {"input_scale": None}) == checked_options("vggvox", {}) == {"input_scale": None}
    assert checked_options("my_linear_net", {"activation": "relu"}) == {"activation": "relu"}
    assert checked_options("exu_net", {}) == {}


def test_an_option_of_one_name_is_the_same_for_all_its_systems() -> None:
    for name, owners in OPTIONS.items():
        assert len({id(option) for option in owners.values()}) == 1, name
        assert all(isinstance(option, Option) and option.help for option in owners.values())
    assert all(isinstance(reader, Reader) for reader in SYSTEMS.values())


def test_another_systems_checkpoint_is_named(weights_of, tmp_path: Path) -> None:
    for system, given, known in (
        ("exu_net", "se_resnet", "se_resnet"),
        ("resnet_wespeaker", "campplus_wespeaker", "campplus_wespeaker or campplus_3dspeaker"),
        ("campplus_3dspeaker", "ecapa_speechbrain", "ecapa_speechbrain"),
        ("ecapa_wespeaker", "resemblyzer", "resemblyzer"),
    ):
        torch.save(weights_of(given), tmp_path / "x.pt")
        with pytest.raises(CheckpointError, match=rf"x\.pt: not a checkpoint of {system}: .*; it is one of ") as caught:
            convert_checkpoint(system, tmp_path / "x.pt", tmp_path / "exp")
        assert sorted(str(caught.value).partition("it is one of ")[2].split(" or ")) == sorted(known.split(" or "))


def test_what_the_weights_do_not_tell_can_be_given(weights_of, tmp_path: Path) -> None:
    for system, options, found in (
        ("se_resnet", {"num_mel_bins": "80"}, lambda record: record.features.num_mel_bins == 80),
        ("rawnet2", {"preact_bypass": "false"}, lambda record: record.model.preact_bypass is False),
        ("rawnet2", {}, lambda record: record.model.preact_bypass is True),
        ("rawnet3", {"sinc_stride": "8"}, lambda record: record.model.sinc_stride == 8),
        ("diff_sv", {"enhancer_heads": "4"}, lambda record: record.model.enhancer_heads == 4),
        ("noise_lora", {"alpha": "2.5"}, lambda record: record.model.alpha == 2.5),
        ("noise_lora", {}, lambda record: record.model.alpha == 8),
    ):
        torch.save(weights_of(system), tmp_path / "x.pt")
        convert_checkpoint(system, tmp_path / "x.pt", tmp_path / "exp", options)
        assert found(load_model(tmp_path / "exp")[0]), (system, options)


@pytest.mark.parametrize(
    ("system", "options", "message"),
    [
        ("se_resnet", {"num_mel_bins": "many"}, "option num_mel_bins must be positive number, got 'many'"),
        ("se_resnet", {"num_mel_bins": "0"}, "option num_mel_bins must be positive number, got '0'"),
        ("rawnet2", {"preact_bypass": "maybe"}, "option preact_bypass must be true or false, got 'maybe'"),
        ("campplus_3dspeaker", {"window": "hann"}, "option window must be povey or hamming, got 'hann'"),
    ],
)
def test_values_of_options_are_checked(system: str, options: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        convert_checkpoint(system, tmp_path / "not there", tmp_path, options)
