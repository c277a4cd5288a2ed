"""Models from elsewhere in a recipe's experiments: a folder that the stages read, and nothing that trains."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from sv.base.config import ConfigError, load_json, load_toml, to_dict, write_json
from sv.base.layout import FOREIGN, ModelFolder
from sv.embed.opening import WHOLE_BY_COMMAND, ModelSource, find_source, read_published
from sv.published.checkpoint import write_model_folder

ORIGIN = "linked.json"  # says that a folder was made here, of which model


def source_lines(model: str) -> list[str]:
    """Name of a model, and the absolute paths of itself, of what describes it, and of its weights.

    Raises
    ------
    ConfigError
        If there is no such model.
    """
    source = find_source(model)
    described = ModelFolder(source.path).config if source.kind == "folder" else source.path
    return [source.name, *(str(path.absolute()) for path in (source.path, described, source.weights))]


def link_model(model: str, folder: Path, parts: Sequence[str] = ()) -> None:
    """Make a folder from which stages 5 to 8 read a model: links to a model folder, or a record of another kind of model.

    Parameters
    ----------
    model : str
        As `find_source` takes it.
    folder : path
        New, or one that was made so before, which is made anew.
    parts : sequence of str
        Of a model folder, files and folders to link to as well, if it has them: train.jsonl, backend, calibration.

    Raises
    ------
    ConfigError, CheckpointError
        If there is no such model, the folder holds something else, or is the model's own.
    """
    source = find_source(model)
    if source.kind == "folder" and source.path.resolve() == folder.resolve():
        raise ConfigError(f"--model {model}: that is the folder to write; give another --exp")
    if (folder / "config.json").exists() and not (folder / ORIGIN).is_file():
        raise ConfigError(f"{folder}: holds a system of that name that was made here; give another --exp")
    for name in ("config.json", "checkpoints", "train.jsonl", "model.json", *FOREIGN):
        _remove(folder / name)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / ORIGIN, {"model": str(source.path.absolute()), "sha256": source.sha256()})
    if source.kind == "folder":
        for part in ("checkpoints", "train.jsonl", *parts, "config.json"):
            if (source.path / part).exists():
                _remove(folder / part)
                (folder / part).symlink_to((source.path / part).resolve())
    elif source.kind == "checkpoint":
        name, found = read_published(source)
        write_model_folder(folder, name, found, source.path)
    else:
        _describe(source, folder)


def _describe(source: ModelSource, folder: Path) -> None:
    """Write the record of an ONNX file, which the folder then can stand for, or of a program."""
    extract = WHOLE_BY_COMMAND
    if source.kind == "onnx":
        table = load_json(source.path) if source.path.suffix == ".json" else load_toml(source.path)
        write_json(folder / "model.json", table | {"file": "model.onnx"})
        extract = source.description.extract
    (folder / ("model.onnx" if source.kind == "onnx" else "program")).symlink_to(source.weights.resolve())
    published = {"system": source.kind, "source": source.path.name, "file_sha256": source.sha256()}
    tables = {"features": {"type": "waveform"}, "model": {"type": source.kind}, "extract": to_dict(extract)}
    write_json(folder / "config.json", {"name": source.name, "published": published, **tables})


def _remove(path: Path) -> None:
    """Remove a link, a file, or a folder that was made here."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
