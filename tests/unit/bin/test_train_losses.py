"""Losses of embeddings given to the command that trains on waveforms."""

import pytest

from sv.bin.train import main

TOML = '[features]\ntype = "embedding"\n[model]\ntype = "embedding_{model}"\n[loss]\ntype = "{loss}"\n'


@pytest.mark.parametrize(
    ("loss", "model", "message"),
    [
        ("linear", "linear", 'loss.type = "linear" is fitted in closed form by sv.bin.train_enhancement'),
        ("enhancement", "mlp", 'loss.type = "enhancement" reads embeddings; train it with sv.bin.train_enhancement'),
    ],
)
def test_the_command_that_trains_them_is_named_in_one_line(loss, model, message, tmp_path) -> None:
    config = tmp_path / "x.toml"
    config.write_text(TOML.format(loss=loss, model=model))
    folders = [word for name in ("train-dir", "valid-dir", "exp-dir") for word in (f"--{name}", str(tmp_path / name))]
    with pytest.raises(SystemExit) as error:
        main(["--config", str(config), *folders])
    assert error.value.code == f"error: {config}: {message}"
