import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sv.base import packages
from sv.base.config import ConfigError
from sv.base.packages import module_of
from sv.embed import runtimes
from sv.embed.embedder import Embedder
from sv.embed.runtimes import Shape, make_network
from sv.models import MODELS
from sv.models.redimnet2 import StageConfig

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
WAYS = [("onnxruntime", "float32"), ("openvino", "float32"), ("openvino", "bf16"), ("mnn", "float32")]
FIXED = Shape(batch_size=3, rows=16, num_frames=24)
ROUNDING = {"float32": 1e-5, "bf16": 2**-6}  # of an embedding's length, in another place of a batch


def small(name: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    config, model = MODELS[name]
    return model(config(num_mel_bins=16, embedding_dim=12, **options)).eval()


@pytest.fixture(scope="module")
def se_resnet() -> nn.Module:
    return small("se_resnet", channels=(4, 4, 8, 8), blocks=(1, 1, 1, 1))


@pytest.fixture(scope="module")
def ecapa() -> nn.Module:
    return small("ecapa_tdnn", channels=16, aggregated_channels=24, dilations=(2,))


@pytest.fixture(scope="module")
def campplus() -> nn.Module:
    return small("campplus", head_channels=4, init_channels=8, growth=4, blocks=(1, 1, 1))


@pytest.fixture(scope="module")
def redimnet2() -> nn.Module:
    return small("redimnet2", channels=2, stages=(StageConfig(mel_stride=2, frame_stride=2),), out_channels=None)


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """A cache that the tests of this file share, so that each graph is exported once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder := tmp_path_factory.mktemp("cache")))
        yield folder


def batches(model: nn.Module, way: tuple[str, str]) -> Embedder:
    pytest.importorskip(module_of(way[0]))
    return Embedder(make_network(model, way[1], way[0], FIXED), FIXED.num_frames, FIXED.batch_size)


@pytest.mark.parametrize("way", WAYS)
def test_a_runtime_embeds_as_torch_does_whatever_the_batch(cached, se_resnet, way) -> None:
    embedder, rng = batches(se_resnet, way), np.random.default_rng(0)
    found = embedder.computing
    assert (found.runtime, found.precision) == way or (way[1] == "bf16" and found.precision == "float32")
    features = {f"utt{n}": rng.standard_normal((24 * n, 16)).astype(np.float32) for n in (1, 2, 4)}
    exact = dict(Embedder(se_resnet, 24, 3)(features.items()))
    together, backwards = dict(embedder(features.items())), dict(embedder(reversed(features.items())))
    for utt, expected in exact.items():
        lengths = np.linalg.norm(expected, axis=1)
        cosines = (expected * together[utt]).sum(1) / lengths / np.linalg.norm(together[utt], axis=1)
        assert cosines.min() > (0.98 if way[1] == "bf16" else 1 - 1e-6)  # random weights amplify rounding
        moved = np.linalg.norm(together[utt] - backwards[utt], axis=1) / lengths
        assert moved.max() <= ROUNDING[way[1]]


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "mnn"])
@pytest.mark.parametrize("name", ["ecapa", "campplus", "redimnet2"])
def test_a_graph_of_whole_utterances_reads_any_length(cached, request, name, runtime) -> None:
    pytest.importorskip(module_of(runtime))
    model = request.getfixturevalue(name)
    network = make_network(model, "float32", runtime, Shape(batch_size=1, rows=16, num_frames=None))
    assert network.computing.runtime == runtime
    for length in (31, 150, 300, 501):  # 100 frames of its own are a segment of CAM++
        features = torch.randn(1, 16, length)
        with torch.no_grad():
            torch.testing.assert_close(network.embed(features), model.embed(features), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_exported_is_said_in_one_line(cached, capfd, monkeypatch) -> None:
    def embed(features: torch.Tensor) -> torch.Tensor:  # the exporter cannot tell this length
        return F.conv1d(features[:, :, : features.shape[2] // 4 * 4], torch.ones(12, 16, 3)).mean(dim=2)

    monkeypatch.setattr(model := small("plain_resnet"), "embed", embed)
    network = make_network(model, "float32", "onnxruntime", Shape(batch_size=1, rows=16, num_frames=None))
    assert network.computing.runtime == "torch"
    said = capfd.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1
    assert "WARNING onnxruntime cannot take this network, torch computes it: Could not guard on" in said.err


def test_mnn_writes_nothing_to_standard_output_and_translates_once(cached, se_resnet, capfd, monkeypatch) -> None:
    pytest.importorskip("MNN")
    for translated in cached.glob("sv/runtimes/*.mnn"):
        translated.unlink()
    first = batches(se_resnet, ("mnn", "float32"))
    assert len([*cached.glob("sv/runtimes/*.mnn")]) == 1
    monkeypatch.setattr("sv.embed.mnn_network.subprocess.run", lambda *_, **__: pytest.fail("a second translation"))
    features = {"utt": np.random.default_rng(0).standard_normal((24, 16)).astype(np.float32)}
    np.testing.assert_array_equal(
        *(dict(each(features.items()))["utt"] for each in (first, batches(se_resnet, WAYS[-1])))
    )
    assert capfd.readouterr() == ("", "")


def test_a_graph_that_mnn_cannot_translate_is_left_to_torch(tmp_path, se_resnet, capfd, monkeypatch) -> None:
    pytest.importorskip("MNN")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(runtimes, "_rewritten", lambda *_, **__: b"no graph")
    assert batches(se_resnet, WAYS[-1]).computing.runtime == "torch"
    said = capfd.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1
    assert "WARNING mnn cannot take this network, torch computes it: its converter does not take the graph" in said.err
    assert not [*tmp_path.rglob("*.mnn")]


def test_a_converter_that_is_killed_leaves_the_network_to_torch(tmp_path, se_resnet, monkeypatch) -> None:
    pytest.importorskip("MNN")
    from sv.embed import mnn_network

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(mnn_network, "CONVERT", "import os; os.abort()")
    assert batches(se_resnet, WAYS[-1]).computing.runtime == "torch"


def test_a_graph_is_exported_once_and_anew_for_other_weights(cached, se_resnet, monkeypatch, capsys) -> None:
    batches(se_resnet, WAYS[0])

    def fail(*_: object, **__: object) -> bytes:
        raise RuntimeError("an export")

    monkeypatch.setattr(runtimes, "_rewritten", fail)
    assert batches(se_resnet, WAYS[0]).computing.runtime == "onnxruntime"
    other = small("se_resnet", channels=(4, 4, 8, 8), blocks=(1, 1, 1, 1))
    with torch.no_grad():
        other.conv1.weight[0, 0, 0, 0] += 1
    assert batches(other, WAYS[0]).computing.runtime == "torch"
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].endswith(
        "WARNING onnxruntime cannot take this network, torch computes it: an export"
    )


def test_processes_that_start_together_export_once(tmp_path, se_resnet, monkeypatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    export, times = runtimes._rewritten, []

    def slow(*args: object, **options: object) -> bytes:
        times.append(1)
        time.sleep(0.2)
        return export(*args, **options)

    monkeypatch.setattr(runtimes, "_rewritten", slow)
    with ThreadPoolExecutor(2) as pool:
        paths = set(pool.map(lambda _: runtimes.graph_of(se_resnet, "onnxruntime", FIXED), range(2)))
    assert len(paths) == len(times) == 1


class Drawing(nn.Module):
    """A network that no graph can repeat."""

    def __init__(self) -> None:
        super().__init__()
        self.config, self.weight = MODELS["se_resnet"][0](num_mel_bins=16), nn.Parameter(torch.ones(1))

    def embed(self, features):
        return features.mean(dim=2) * self.weight + torch.randn(len(features), 16)

    def folded(self):
        return self


def test_a_graph_that_computes_something_else_is_not_used(cached, capsys) -> None:
    network = make_network(Drawing(), "float32", "onnxruntime", FIXED)
    assert network.computing.runtime == "torch"
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "embeddings of 24 frames differ from torch's by" in said[0]


@pytest.mark.parametrize(
    ("runtime", "precision"),
    [("torch", "auto"), ("torch", "bf16"), ("openvino", "auto"), ("openvino", "bf16"), ("mnn", "auto")],
)
def test_a_processor_without_bf16_is_spoken_of_once(cached, se_resnet, monkeypatch, capsys, runtime, precision) -> None:
    pytest.importorskip(module_of(runtime))
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    network = make_network(se_resnet, precision, runtime, FIXED)
    said = capsys.readouterr().err.splitlines()
    assert network.computing.runtime == runtime
    if (runtime, precision) == ("openvino", "bf16"):  # which asks the processor itself
        assert len(said) == (network.computing.precision == "float32")
    else:
        assert len(said) == 1
        assert network.computing.precision == ("bf16" if precision == "bf16" else "float32")
    assert network.embed(torch.randn(3, 16, 24)).isfinite().all()


def test_what_is_missing_or_impossible_is_one_line(se_resnet, monkeypatch) -> None:
    for runtime in packages.FLOAT32_ONLY:
        with pytest.raises(ConfigError, match=f"{runtime} computes in float32 only; for bf16 choose openvino or torch"):
            make_network(se_resnet, "bf16", runtime, FIXED)
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "openvino" else "there")
    with pytest.raises(ConfigError, match=r"--runtime openvino needs openvino: pip install '[\w-]+\[openvino\]'"):
        make_network(se_resnet, "auto", "openvino", FIXED)
