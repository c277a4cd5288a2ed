"""The one door to every kind of model that `--model` and `sv.load` name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from sv.base.config import ConfigError, from_dict, load_json, load_toml, to_dict
from sv.base.files import sha256_of
from sv.base.layout import ModelFolder
from sv.base.packages import RUNTIMES
from sv.embed.command_model import WHOLE as WHOLE_BY_COMMAND
from sv.embed.command_model import CommandDescription, CommandEmbedder
from sv.embed.embedder import Embedder
from sv.embed.onnx_model import WHOLE, OnnxDescription, OnnxFeatures, OnnxModel, check_model
from sv.embed.runtimes import Shape, make_network
from sv.embed.utterances import UtteranceEmbedder
from sv.features.segments import frames_per_segment
from sv.features.waveform import Waveform, WaveformConfig
from sv.models.keyed_noise import redraw
from sv.published.checkpoint import Converted
from sv.published.convert import read_checkpoint
from sv.published.recognise import read_fitting
from sv.published.registry import folder_of, is_there, read_models, system_of
from sv.system.config import SystemConfig, parse_system
from sv.system.folder import assemble, device_of_job, load_model

DESCRIPTIONS = ("model.toml", "model.json")  # of a model that is not ours, in its folder
Kind = Literal["folder", "checkpoint", "onnx", "command"]


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """A model, found but not read.

    Attributes
    ----------
    name : str
        For messages and tables.
    kind : "folder", "checkpoint", "onnx" or "command"
    path : path
        The model folder, the published checkpoint, or the description.
    weights : path
        The file whose hash says which model it is.
    home : path
        Folder in which its calibration lies.
    description : OnnxDescription or CommandDescription, optional
    system : str, optional
        Of a published checkpoint, if it was named.
    """

    name: str
    kind: Kind
    path: Path
    weights: Path
    home: Path
    description: OnnxDescription | CommandDescription | None = None
    system: str | None = None

    def sha256(self) -> str:
        """Hash of the weights; of a program, that of its description."""
        return sha256_of(self.weights)

    def calibration(self, backend: str) -> Path:
        """Place of the calibration of a back end's scores."""
        return ModelFolder(self.home).calibration(backend)


def find_source(model: str | Path, system: str | None = None) -> ModelSource:
    """Find a model by name or path.

    Parameters
    ----------
    model : str or path
        A model folder; an .onnx file with FILE.onnx.toml (or model.toml) beside it; the .toml file of a program or an ONNX
        model; a published checkpoint; or, where there is no such file, a name of `sv models list`.
    system : str, optional
        Of a published checkpoint, which several systems may fit.

    Raises
    ------
    ConfigError
        If it is none of these.
    """
    path = Path(model)
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        if path.suffix == ".onnx":
            return _described(_description_of(path), path)
        if path.suffix in (".toml", ".json"):
            return _described(path)
        if path.parent.name == "checkpoints" and ModelFolder(path.parent.parent).config.is_file():
            raise ConfigError(f"{path}: weights of a model folder; give the folder, {path.parent.parent}")
        return ModelSource(name=path.stem, kind="checkpoint", path=path, weights=path, home=path.parent, system=system)
    if str(model) in read_models():
        folder = folder_of(str(model))
        if not is_there(folder):
            raise ConfigError(f"{model}: not fetched yet; sv models get {model}")
        return _in_folder(folder)
    raise ConfigError(f"{model}: not there; neither a file or folder nor a name of sv models list")


def find_folder(model: str | Path) -> Path:
    """Find a model folder by path or name; raises ConfigError as `find_source`, and for models of other kinds."""
    source = find_source(model)
    if source.kind != "folder":
        raise ConfigError(f"{model}: not a model folder; sv convert makes one of a published checkpoint")
    return source.path


def open_model(
    source: ModelSource | str | Path,
    device: torch.device | str | None = None,
    precision: str = "float32",
    runtime: str | None = None,
    draw: int = 1,
) -> UtteranceEmbedder:
    """Read a model.

    Parameters
    ----------
    source : ModelSource, str or path
        As `find_source` takes it.
    device : torch.device or str, optional
        The first GPU by default, or the CPU. ONNX models and programs do not ask for it.
    precision : "float32", "bf16" or "auto"
        Of systems of ours.
    runtime : str, optional
        Of `sv.base.packages.RUNTIMES`; all but torch compute on the CPU. By default the one that the model is for.
    draw : int
        From 1, of the noise that a model of ours itself draws when it embeds; the others embed alike.

    Raises
    ------
    ConfigError, CheckpointError
        If there are no weights, or they do not fit their description.
    """
    source = source if isinstance(source, ModelSource) else find_source(source)
    check_runtime(source, runtime)
    device = device or device_of_job()
    if source.kind in ("folder", "checkpoint"):
        device = device if runtime in (None, "torch") else torch.device("cpu")
        system, frontend, model = load_source(source, device)
        redraw(model, system.model, draw)
        return _of_system(system, frontend, model, precision, runtime or "torch")
    if precision == "bf16":
        raise ConfigError(f"{source.path}: computed as it is, not in bf16; leave --precision float32 or auto")
    if source.kind == "onnx":
        return _of_onnx(source)
    system = _foreign_system(source, WHOLE_BY_COMMAND)
    return UtteranceEmbedder(system, Waveform(WaveformConfig()), CommandEmbedder(source.path, source.description))


def load_source(
    source: ModelSource, device: torch.device | str = "cpu"
) -> tuple[SystemConfig, torch.nn.Module, torch.nn.Module]:
    """Read a model folder or a published checkpoint: record, front end and network, as `sv.system.folder.load_model`."""
    return load_model(source.path, device) if source.kind == "folder" else _published(source, device)


def check_runtime(source: ModelSource, runtime: str | None) -> None:
    """Raise ConfigError for a runtime that a model is not for."""
    own = {"onnx": ("onnxruntime",), "command": ()}.get(source.kind, RUNTIMES)
    if runtime is None or runtime in own:
        return
    if not own:
        raise ConfigError(f"{source.path}: a program has no runtime")
    known = " or ".join(filter(None, (", ".join(own[:-1]), own[-1])))
    raise ConfigError(f"{source.path}: runtime must be {known}, got {runtime!r}")


def _of_system(system: SystemConfig, frontend: Any, model: Any, precision: str, runtime: str) -> UtteranceEmbedder:
    num_frames = frames_per_segment(frontend, system.extract)
    batch_size, rows = system.extract.batch_size if num_frames else 1, model.config.num_mel_bins or 1
    shape = Shape(batch_size=batch_size, rows=rows, num_frames=num_frames)
    network = make_network(model, precision, runtime, shape)
    return UtteranceEmbedder(system, frontend, Embedder(network, num_frames, batch_size))


def _in_folder(path: Path) -> ModelSource:
    folder = ModelFolder(path)
    name = path.resolve().name
    described = [path / file for file in DESCRIPTIONS if (path / file).is_file()]
    if described:
        source = _described(described[0])
        if source.kind == "command":  # a folder may come from anywhere; it does not run programs by being named
            raise ConfigError(f"{described[0]}: it runs a program; if you trust it, give the file itself")
        return source
    return ModelSource(name=name, kind="folder", path=path, weights=folder.best, home=path)


def _description_of(onnx: Path) -> Path:
    places = [onnx.with_name(f"{onnx.name}{suffix}") for suffix in (".toml", ".json")]
    places += [onnx.with_name(name) for name in DESCRIPTIONS]
    for place in places:
        if place.is_file():
            return place
    raise ConfigError(
        f'{onnx}: no description; write {places[0].name} beside it, with at least: input = "fbank" or "waveform", '
        "embedding_dim = 192"
    )


def _described(path: Path, onnx: Path | None = None) -> ModelSource:
    table = load_json(path) if path.suffix == ".json" else load_toml(path)
    if not isinstance(table, dict) or {"model", "features"} & table.keys():
        raise ConfigError(f"{path}: not a description of a model; of a system of ours, give the model folder")
    if "command" in table and onnx is None:
        description: Any = from_dict(CommandDescription, table, str(path))
        return ModelSource(
            name=path.stem, kind="command", path=path, weights=path, home=path.parent, description=description
        )
    if isinstance(table.get("extract"), dict):
        table = {**table, "extract": {**to_dict(WHOLE), **table["extract"]}}
    description = from_dict(OnnxDescription, table, str(path))
    weights = onnx or path.parent / (description.file or path.stem)
    if not weights.is_file():
        raise ConfigError(f"{path}: {weights} is not there; 'file' names the .onnx file")
    if onnx and description.file and (path.parent / description.file).resolve() != onnx.resolve():
        raise ConfigError(f"{path}: describes {description.file}, not {onnx.name}")
    return ModelSource(
        name=weights.stem, kind="onnx", path=path, weights=weights, home=path.parent, description=description
    )


def read_published(source: ModelSource) -> tuple[str, Converted]:
    """Read a published checkpoint: the system's name, as given, by the file's hash or by its weights, and the content.

    Raises
    ------
    CheckpointError
        As `read_fitting` and `read_checkpoint`.
    """
    if system := source.system or system_of(source.sha256()):
        return system, read_checkpoint(system, source.path)
    return read_fitting(source.path)


def _published(source: ModelSource, device: torch.device | str) -> tuple[Any, ...]:
    name, found = read_published(source)
    system = parse_system({"name": name, **found.tables}, str(source.path))
    return assemble(system, found.weights, str(source.path), device)


def _of_onnx(source: ModelSource) -> UtteranceEmbedder:
    description = source.description
    frontend, model = OnnxFeatures(description), OnnxModel(source.weights, description)
    check_model(frontend, model, description.extract)
    num_frames = frames_per_segment(frontend, description.extract)
    embedder = Embedder(model, num_frames, description.extract.batch_size)
    return UtteranceEmbedder(_foreign_system(source, description.extract), frontend, embedder)


def _foreign_system(source: ModelSource, extract: Any) -> SystemConfig:
    """Record of a model that is not ours: it reads waveforms, since its front end is its own."""
    return SystemConfig(
        name=source.name,
        features_type="waveform",
        features=WaveformConfig(),
        model_type=source.kind,
        model=source.description,
        extract=extract,
    )
