"""Keys of systems set otherwise than their files say."""

import tomllib
from pathlib import Path

import pytest

from sv.base.config import ConfigError
from sv.bin import resolve_config
from sv.system.config import load_system
from sv.system.settings import resolve

CONF = Path(__file__).parents[3] / "egs" / "voxceleb1" / "conf"
EXU_NET, ECAPA = CONF / "mini" / "exu_net.toml", CONF / "ecapa_tdnn.toml"


def test_a_value_goes_into_every_system_that_knows_the_key() -> None:
    (exu_net, ecapa), left_out = resolve([EXU_NET, ECAPA], {"train.lr": 0.5, "loss.feature_mse": 2})
    assert exu_net["train"]["lr"] == ecapa["train"]["lr"] == 0.5
    assert exu_net["loss"]["feature_mse"] == 2
    assert "feature_mse" not in ecapa["loss"]
    assert left_out == [f"--set loss.feature_mse: not for {ECAPA}: no such key"]
    before = tomllib.loads(ECAPA.read_text())
    assert ecapa == before | {"train": before["train"] | {"lr": 0.5}}


def test_a_system_that_knows_none_of_the_keys_stays_as_it_is() -> None:
    (exu_net, ecapa), left_out = resolve([EXU_NET, ECAPA], {"loss.feature_mse": 2})
    assert exu_net["loss"]["feature_mse"] == 2
    assert ecapa is None
    assert len(left_out) == 1


def test_an_equal_value_or_a_default_changes_nothing() -> None:
    system = load_system(EXU_NET)
    own = {"train.lr": system.train.lr, "train.momentum": system.train.momentum, "model.blocks": [1, 1, 1, 1]}
    assert "momentum" not in tomllib.loads(EXU_NET.read_text())["train"]  # a default
    assert resolve([EXU_NET], own) == ([None], [])
    (changed,), _ = resolve([EXU_NET], own | {"train.lr": 0.5})
    (alone,), _ = resolve([EXU_NET], {"train.lr": 0.5})
    assert changed == alone


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train.lrr": 1}, f"^--set train.lrr: {EXU_NET}: unknown key 'train.lrr'; did you mean 'lr'\\? known here: "),
        ({"trian.lr": 1}, f"^--set trian.lr: {EXU_NET}: unknown key 'trian'; did you mean 'train'\\? known here: "),
        ({"train.lr": "fast"}, f"^--set train.lr: {EXU_NET}: 'train.lr' must be float, got 'fast'$"),
        ({"train.lr": True}, f"^--set train.lr: {EXU_NET}: 'train.lr' must be float, got True$"),
        ({"train.lr": float("inf")}, f"^--set train.lr: {EXU_NET}: 'train.lr' must be a finite number, got inf$"),
        ({"train.num_epochs": 1.5}, f"^--set train.num_epochs: {EXU_NET}: 'train.num_epochs' must be int, got 1.5$"),
        ({"train.lr": -1}, f"^--set train.lr: {EXU_NET}: \\[train\\] lr must be positive, got -1.0$"),
        ({"model.type": "exunet"}, f"^--set model.type: {EXU_NET}: 'model.type' must be one of .*, got 'exunet'$"),
        ({"train.lr.x": 1}, f"^--set train.lr.x: {EXU_NET}: 'train.lr' is no table"),
        ({"train.lr": 1, "features.num_mel_bins": 7}, "^--set train.lr, features.num_mel_bins: .*; they must agree$"),
    ],
)
def test_a_value_is_checked_as_in_the_file(settings, message) -> None:
    for paths in ([EXU_NET], [EXU_NET, ECAPA]):
        with pytest.raises(ConfigError, match=message):
            resolve(paths, settings)


def test_a_trained_system_is_not_changed(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json is of a trained system; give the TOML file"):
        resolve([tmp_path / "config.json"], {"train.lr": 1})


def test_the_command_writes_what_the_stages_read(tmp_path, capsys) -> None:
    settings = ["--set", "train.lr=0.5", "--set", "train.schedule=constant"]
    given = ["--out", str(tmp_path), str(EXU_NET), str(ECAPA)]
    resolve_config.main([*settings, *given])
    exu_net, ecapa = map(Path, capsys.readouterr().out.splitlines())
    assert (exu_net.name, ecapa.name) == ("exu_net.toml", "ecapa_tdnn.toml")
    assert load_system(exu_net).train.lr == load_system(ecapa).train.lr == 0.5
    assert load_system(exu_net).name == "exu_net"
    resolve_config.main([*settings[2:], *settings[:2], *given])
    assert capsys.readouterr().out.splitlines() == [str(exu_net), str(ecapa)]  # in another order
    resolve_config.main(["--set", "loss.feature_mse=3", *given])
    said = capsys.readouterr()
    assert said.out.splitlines()[1] == str(ECAPA)
    assert said.err == f"--set loss.feature_mse: not for {ECAPA}: no such key\n"


def test_the_keys_of_a_file_go_into_a_system_of_another_name(tmp_path, capsys) -> None:
    tuning = CONF / "tuning" / "large_margin.toml"
    resolve_config.main(["--out", str(tmp_path), "--with", str(tuning), "--suffix", "_lm", str(ECAPA)])
    tuned = load_system(capsys.readouterr().out.strip())
    before = load_system(ECAPA)
    assert tuned.name == "ecapa_tdnn_lm"
    assert (tuned.loss.margin, tuned.loss.margin_until, tuned.augment.speeds) == (0.5, 0.0, (1.0,))
    assert tuned.train.crop_samples == 96_240 and tuned.model == before.model and tuned.features == before.features
    resolve_config.main(["--out", str(tmp_path), "--with", str(tuning), "--set", "loss.margin=0.3", str(ECAPA)])
    assert load_system(capsys.readouterr().out.strip()).loss.margin == 0.3


def test_a_command_without_keys_is_wrong_usage(tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as exit_:
        resolve_config.main(["--out", str(tmp_path), str(ECAPA)])
    assert exit_.value.code == 2
    assert "name keys to set, by --set or --with" in capsys.readouterr().err


def test_nothing_is_written_if_one_is_refused(tmp_path) -> None:
    with pytest.raises(SystemExit):
        resolve_config.main(["--out", str(tmp_path / "new"), "--set", "train.lr=0", str(EXU_NET)])
    assert not (tmp_path / "new").exists()


def test_what_adapts_a_model_takes_keys_of_its_own() -> None:
    full, frontend = CONF / "adapt_full.toml", CONF / "adapt_frontend.toml"
    (changed,), _ = resolve([full], {"train.num_epochs": 5})
    assert changed["train"]["num_epochs"] == 5 and "features" not in changed and "model" not in changed
    (unet,), _ = resolve([frontend], {"model.channels": [4, 4, 8, 8]})
    assert unet["model"] == {"channels": [4, 4, 8, 8], "blocks": [3, 4, 6, 3]}
    assert resolve([full], {"loss.cosine": 1.0}) == ([None], [])
    for settings, message in (
        ({"loss.typo": 2}, "^--set loss.typo: .*unknown key 'loss.typo'"),
        ({"train.lr": "x"}, "^--set train.lr: .*'train.lr' must be float, got 'x'$"),
        (
            {"features.num_mel_bins": 40},
            "^--set features.num_mel_bins: .*'features' is that of --extractor; it cannot be set$",
        ),
        (
            {"model.embedding_dim": 40},
            "^--set model.embedding_dim: .*'model' is that of --extractor; it cannot be set$",
        ),
    ):
        with pytest.raises(ConfigError, match=message):
            resolve([full], settings)
