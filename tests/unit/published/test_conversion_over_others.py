"""Published weights never replace a system that somebody trained, calibrated or scored."""

import pytest
import torch

from sv.published.convert import CheckpointError, convert_checkpoint


@pytest.fixture
def converted(weights_of, tmp_path):
    torch.save(weights_of("se_resnet"), tmp_path / "published.pt")
    convert_checkpoint("se_resnet", tmp_path / "published.pt", tmp_path / "exp")
    return tmp_path / "exp"


def test_the_same_can_be_converted_again(converted, tmp_path):
    before = (converted / "checkpoints/best.pt").read_bytes()
    convert_checkpoint("se_resnet", tmp_path / "published.pt", converted)
    assert (converted / "checkpoints/best.pt").read_bytes() == before


@pytest.mark.parametrize(
    "file", ["calibration/cosine.json", "backend/plda", "train.jsonl", "results.json", "checkpoints/step-0000010.pt"]
)
def test_what_was_made_with_other_weights_is_not_left_beside_them(converted, tmp_path, file):
    (converted / file).parent.mkdir(exist_ok=True)
    (converted / file).touch()
    before = (converted / "config.json").read_bytes()
    with pytest.raises(
        CheckpointError, match=r"exp: holds a system of its own \(.*\), which other weights must not replace"
    ):
        convert_checkpoint("se_resnet", tmp_path / "published.pt", converted)
    assert (converted / "config.json").read_bytes() == before


def test_weights_of_unknown_origin_are_kept(tmp_path, weights_of):
    (tmp_path / "exp/checkpoints").mkdir(parents=True)
    (tmp_path / "exp/checkpoints/best.pt").write_bytes(b"somebody's")
    torch.save(weights_of("se_resnet"), tmp_path / "published.pt")
    with pytest.raises(CheckpointError, match="holds a system of its own"):
        convert_checkpoint("se_resnet", tmp_path / "published.pt", tmp_path / "exp")
    assert (tmp_path / "exp/checkpoints/best.pt").read_bytes() == b"somebody's"
