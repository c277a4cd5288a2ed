"""A checkpoint of SEED to a model folder that sv.bin.enhance reads."""

from pathlib import Path

import pytest
import torch

from sv.enhancement.apply import enhance
from sv.models.embedding_diffusion import EmbeddingDiffusion, EmbeddingDiffusionConfig
from sv.published.convert import CheckpointError, convert_checkpoint
from sv.system.folder import load_model


def network(**config) -> EmbeddingDiffusion:
    torch.manual_seed(0)
    model = EmbeddingDiffusion(EmbeddingDiffusionConfig(**{"embedding_dim": 6, **config})).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


@pytest.mark.parametrize("prefix", ["", "module.", "diffusion_network."])
def test_a_converted_network_gives_the_same_output(prefix: str, tmp_path: Path) -> None:
    model = network(width=3, num_blocks=2)
    torch.save({prefix + name: value for name, value in model.state_dict().items()}, tmp_path / "x.model")
    notes = convert_checkpoint("seed_kaistmm", tmp_path / "x.model", tmp_path / "exp")
    assert notes[0] == "2 blocks, 6 dimensions; for sv.bin.enhance"
    system, frontend, found = load_model(tmp_path / "exp")
    assert (system.model.width, system.model.sampling.noise_step, system.model.sampling.num_steps) == (3, 50, 1)
    rows = torch.randn(4, 6)
    with torch.no_grad():
        expected = model.embed(frontend(rows))
    torch.testing.assert_close(torch.from_numpy(enhance(frontend, found, rows.numpy())), expected)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("input_proj.weight", torch.ones(13, 6), "its width 13 is not a multiple of 6, the embeddings'"),
        ("out.2.weight", torch.ones(5, 12), r"shapes: out.2.weight is \(5, 12\), not \(6, 12\)"),
        ("res_blocks.0.context_layers.1.bias", torch.ones(12), "unknown: res_blocks.0.context_layers.1.bias"),
    ],
)
def test_what_does_not_fit_is_named(name: str, value: torch.Tensor, message: str, tmp_path: Path) -> None:
    torch.save(dict(network().state_dict()) | {name: value}, tmp_path / "x.model")
    with pytest.raises(CheckpointError, match=f"x.model: .*{message}"):
        convert_checkpoint("seed_kaistmm", tmp_path / "x.model", tmp_path / "exp")
    assert not (tmp_path / "exp").exists()
