"""A corpus of seconds and a system of a few hundred weights, for the commands."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sv.bin import backend, compute_feats, extract
from sv.kaldi import Trials, open_ark_scp, read_scp, read_vectors, write_data_dir, write_table, write_trials
from sv.system.config import load_system
from sv.system.folder import build_model, write_system

SYSTEM = """
[features]
type = "log_mel"
num_mel_bins = 16
[model]
type = "exu_net"
num_mel_bins = 16
channels = [4, 8, 8, 16]
blocks = [1, 1, 1, 1]
embedding_dim = 12
[extract]
segment_samples = 4000
batch_size = 4
"""
LENGTHS = (1000, 4000, 9000, 6000, 12_500, 4001)  # samples, two utterances a speaker


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds tiny.toml, model/ and data/test/; read only."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "tiny.toml").write_text(SYSTEM)
    system = load_system(folder / "tiny.toml")
    torch.manual_seed(0)
    write_system(folder / "model", system)
    (folder / "model" / "checkpoints").mkdir()
    torch.save({"model": build_model(system).state_dict()}, folder / "model" / "checkpoints" / "best.pt")
    rng = np.random.default_rng(0)
    utts = [f"spk{i // 2}-{i}" for i in range(len(LENGTHS))]
    for utt, length in zip(utts, LENGTHS):
        soundfile.write(folder / f"{utt}.wav", 0.1 * rng.normal(size=length), 16_000, subtype="PCM_16")
    write_data_dir(
        folder / "data" / "test",
        wav_scp={utt: str(folder / f"{utt}.wav") for utt in utts},
        utt2spk={utt: utt[:4] for utt in utts},
        utt2dur={utt: length / 16_000 for utt, length in zip(utts, LENGTHS)},
    )
    pairs = [(a, b) for a in utts for b in utts if a < b]
    is_target = np.array([a[:4] == b[:4] for a, b in pairs])
    write_trials(folder / "data" / "test" / "trials", Trials([a for a, _ in pairs], [b for _, b in pairs], is_target))
    return folder


@pytest.fixture
def fails(capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """fails(main, *arguments, code=1): run a command that must exit with `code`; what it said on stderr."""

    def run(main: Callable, *arguments: object, code: int = 1) -> str:
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr().err
        if isinstance(exit_.value.code, str):  # Python prints it and exits with 1
            assert code == 1
            assert "\n" not in exit_.value.code
            return said + exit_.value.code
        assert exit_.value.code == code
        return said

    return run


def _run_stages(folder: Path, out: Path, num_jobs: int) -> dict[str, np.ndarray]:
    """Stages 3 and 5 in `num_jobs` jobs; embeddings by utterance."""
    data_dir, feats = folder / "data" / "test", out / "feats"
    for job in range(1, num_jobs + 1):
        jobs = ["--job", str(job), "--num-jobs", str(num_jobs)]
        compute_feats.main(["--config", str(folder / "tiny.toml"), "--out", str(feats), *jobs, str(data_dir)])
    parts = [read_scp(feats / "test" / f"feats.{job}.scp") for job in range(1, num_jobs + 1)]
    write_table(feats / "test" / "feats.scp", {key: value for part in parts for key, value in part.items()})
    found: dict[str, np.ndarray] = {}
    for job in range(1, num_jobs + 1):
        jobs = ["--job", str(job), "--num-jobs", str(num_jobs)]
        model = ["--model", str(folder / "model"), "--feats", str(feats), "--out", str(out)]
        extract.main([*model, *jobs, str(data_dir)])
        found |= read_vectors(out / "test" / f"xvector.{job}.scp")
    return found


@pytest.fixture(scope="session")
def staged(folder, tmp_path_factory) -> tuple[Path, dict[str, np.ndarray]]:
    """Folder that stages 3 and 5 wrote in one job, and the embeddings; read only."""
    out = tmp_path_factory.mktemp("one_job")
    return out, _run_stages(folder, out, 1)


@pytest.fixture(scope="session")
def run_stages() -> Callable[..., dict[str, np.ndarray]]:
    """run_stages(folder, out, num_jobs) -> embeddings by utterance."""
    return _run_stages


@pytest.fixture(scope="session")
def assert_same() -> Callable[[dict, dict], None]:
    """assert_same(found, expected): the same utterances and, to rounding, embeddings."""

    def check(found: dict, expected: dict) -> None:
        assert list(found) == list(expected)
        for key, vector in expected.items():
            np.testing.assert_allclose(found[key], vector, atol=1e-6)

    return check


@pytest.fixture(scope="session")
def trained_backend(tmp_path_factory) -> Path:
    """A back end of random embeddings, of ten speakers and as many dimensions as the tiny system's; read only."""
    folder, rng = tmp_path_factory.mktemp("train"), np.random.default_rng(0)
    utts = [f"tr{i // 4}-{i}" for i in range(40)]
    with open_ark_scp(folder / "xvector.ark", folder / "xvector.scp") as write:
        for i, utt in enumerate(sorted(utts)):
            write(utt, rng.normal(size=12) + 2 * np.eye(12)[i // 4])
    write_table(folder / "utt2spk", {utt: utt.partition("-")[0] for utt in utts})
    backend.main([str(folder / "xvector.scp"), str(folder / "utt2spk"), str(folder / "backend"), "--lda-dim", "6"])
    return folder / "backend"
