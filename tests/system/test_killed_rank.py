"""Every architecture, trained by two ranks with one of them killed in the midst of an epoch, ends in the undisturbed weights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sv.base.config import load_toml
from sv.models import MODELS

pytestmark = pytest.mark.timeout(1600)  # one worker trains them all
ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "egs/voxceleb1/conf"
TRUNK = {"channels": [4, 4, 8, 8], "blocks": [1, 1, 1, 1], "embedding_dim": 8}
RAW = {"channels": [4, 4, 8, 8, 8, 8], "embedding_dim": 8}
# A configuration of every architecture, and what makes its model small.
SYSTEMS = {
    "se_resnet": TRUNK,
    "unet": TRUNK,
    "exu_net": TRUNK,
    "rawnet1": RAW | {"gru_dim": 8},
    "rawnet1_cnn": RAW,
    "rawnet1_pytorch": RAW | {"gru_dim": 8},
    "rawnet2": {"channels": [4, 8], "gru_dim": 8, "embedding_dim": 8, "ln_affine": "none"},
    "rawnet2_modified": RAW | {"blocks": [1, 1, 1, 1, 1, 1], "attention_dim": 4},
    "rawnet3": {"channels": 16, "scale": 2, "pooled_channels": 16, "attention_dim": 4, "embedding_dim": 8},
    "resnet_se34l": TRUNK,
    "resnet_se34v2": TRUNK,
    "vggvox": {"embedding_dim": 8},
    "ecapa_tdnn": {"channels": 16, "squeezed_channels": 4, "attention_channels": 4, "aggregated_channels": 16, "embedding_dim": 8},
    "diff_sv": TRUNK | {"enhancer_layers": 1, "enhancer_channels": 12, "score_channels": 8},
    "na_exu_net": TRUNK,
    "noise_lora_ecapa": {"channels": 16, "squeezed_channels": 4, "attention_channels": 4, "aggregated_channels": 16,
                         "embedding_dim": 8, "noise_channels": [2, 4, 4, 8], "rnn_channels": 2, "rnn_hidden": 4, "noise_dim": 4,
                         "hyper_hidden": 8, "gate_hidden": 4},
    "campplus": {"head_channels": 4, "head_blocks": [1, 1], "init_channels": 8, "growth": 4, "bottleneck": 8, "blocks": [1, 1, 1],
                 "embedding_dim": 8},
    "resnet34": {"channels": 4, "blocks": [1, 1, 1, 1], "embedding_dim": 8},
    "redimnet2_b0": {"channels": 4, "out_channels": 8, "embedding_dim": 8},
    "ge2e_paper": {"hidden": 12, "projection": 6, "num_layers": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder with every system's checkpoints."""
    out = tmp_path_factory.mktemp("ranks")
    pairs = [text for name, model in SYSTEMS.items() for text in (str(CONF / f"{name}.toml"), json.dumps(model))]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, Path(__file__).with_name("ddp_kill.py"), out, *pairs]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=1500)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return out


def test_every_architecture_that_trains_in_ranks_is_here():
    """Embedding enhancement and adaptation have trainers of their own.

    test_enhancement_run_sh.py and test_adaptation_run_sh.py run them in two ranks; tests/unit/bin/test_adapt.py kills the latter.
    """
    others = {"embedding_diffusion", "embedding_linear", "embedding_mlp", "enhanced", "transformed"}
    assert {load_toml(CONF / f"{name}.toml")["model"]["type"] for name in SYSTEMS} == MODELS.keys() - others


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_killed_rank_changes_no_byte(trained, system):
    whole, killed = (trained / system / name / "checkpoints" for name in ("whole", "killed"))
    assert (killed / "best.pt").read_bytes() == (whole / "best.pt").read_bytes()
    first, second = (torch.load(folder / "last.pt", weights_only=False) for folder in (whole, killed))
    assert first["step"] == second["step"] == 8
    assert first["system"].keys() == second["system"].keys()
    for name, value in first["system"].items():
        assert value.numpy().tobytes() == second["system"][name].numpy().tobytes(), name
    steps = [json.loads(line)["step"] for line in (trained / system / "killed/train.jsonl").read_text().splitlines()]
    assert set(steps) == set(range(1, 9))
