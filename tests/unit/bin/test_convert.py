"""The command `sv convert`: its options and its exit codes."""

import json
from pathlib import Path

import pytest
import torch

from sv.bin.convert import main
from sv.models import MODELS


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A checkpoint of my_linear_net: two layers of four units."""
    shapes = {"weight": (4, 4), "bias": (4,)}
    state = {f"__S__.l{number}.{name}": torch.ones(shape) for number in (1, 2) for name, shape in shapes.items()}
    torch.save(state, tmp_path / "x.model")
    return tmp_path / "x.model"


@pytest.mark.parametrize(
    "spelling",
    [["--activation", "relu"], ["--activation=relu"], ["--option", "activation=relu"], ["--option=activation=relu"]],
)
def test_an_option_can_be_spelt_in_two_ways(network, tmp_path, spelling, capsys) -> None:
    main(["my_linear_net", str(network), str(tmp_path / "exp"), *spelling])
    assert json.loads((tmp_path / "exp/config.json").read_text())["model"]["activation"] == "relu"
    assert capsys.readouterr().out == "2 layers, 4 dimensions; for sv.bin.enhance\n"


def test_nothing_to_say_prints_nothing(tmp_path, capsys) -> None:
    config, model_class = MODELS["unet"]
    model = model_class(config(channels=(4, 8, 8, 16), blocks=(1, 1, 1, 1), embedding_dim=12))
    torch.save(model.state_dict(), tmp_path / "x.pt")
    main(["unet", str(tmp_path / "x.pt"), str(tmp_path / "exp")])
    assert capsys.readouterr().out == ""
    assert (tmp_path / "exp/checkpoints/best.pt").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["exunet", "x", "y"], "invalid choice: 'exunet'"),
        (
            ["exu_net", "x", "y", "--input-scale", "1"],
            "exu_net has no option 'input_scale' (input_scale is of resnet_se34l",
        ),
        (["vggvox", "x", "y", "--option", "scale=1"], "vggvox has no option 'scale'; known: input_scale"),
        (["vggvox", "x", "y", "--option", "input_scale"], "expected KEY=VALUE, got 'input_scale'"),
        (["vggvox", "x", "y", "--input-scale", "2"], "option input_scale must be 1 or 32768, got '2'"),
        (["my_linear_net", "x", "y", "--activation", "tanh"], "option activation must be elu or relu, got 'tanh'"),
        (["vggvox", "x", "y", "--unknown", "2"], "unrecognized arguments: --unknown"),
    ],
)
def test_wrong_usage_exits_2_with_what_is_known(arguments, message, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_wrong_file_exits_1_with_one_line(network, tmp_path) -> None:
    with pytest.raises(SystemExit, match=r"^error: .*x\.model: not a checkpoint of unet: it has no d_res_1") as stopped:
        main(["unet", str(network), str(tmp_path / "exp")])
    assert stopped.value.code != 2 and "\n" not in stopped.value.code
    with pytest.raises(SystemExit, match="does not tell the network's activation: give --activation elu or relu"):
        main(["my_linear_net", str(network), str(tmp_path / "exp")])
    assert not (tmp_path / "exp").exists()


def test_help_lists_systems_and_their_options(capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert stopped.value.code == 0
    assert "--input-scale {1,32768} range of the audio that the network was trained on" in said
    assert "(resnet_se34l, resnet_se34v2, vggvox, " in said and "(my_linear_net)" in said
