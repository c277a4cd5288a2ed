"""Published models by name: one table of sources, hashes, licences and figures, and where they lie once fetched."""

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from sv.base.config import ConfigError, from_dict, load_json, load_toml

TABLE = Path(__file__).with_name("models.toml")
ORIGIN = "origin.json"  # in the folder of a fetched model: where it came from, and the hashes of what came


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """An entry of the table.

    Attributes
    ----------
    name, title : str
    system : str, optional
        Of `sv convert`; None for an .onnx file, which `description` describes.
    options : dict
        Of the system's reader.
    description : dict
        What would lie beside an .onnx file.
    package : str, optional
        `NAME==VERSION` in the package index.
    python, abi, platform : str, optional
        Tags of the wheel, if it is not for every machine.
    url : str, optional
        Address of the file. A model without package and url has no address; its authors give the file on request.
    member : str, optional
        The file within the wheel or zip archive.
    sha256, member_sha256 : str, optional
        Hexadecimal, of what is fetched and of the member; None if nobody published it.
    bytes, member_bytes : int, optional
    licence, paper, homepage : str
    figures : tuple of str
        Published error rates, each with its protocol.
    """

    name: str
    title: str
    licence: str
    paper: str
    homepage: str
    system: str | None = None
    options: dict = field(default_factory=dict)
    description: dict = field(default_factory=dict)
    package: str | None = None
    python: str | None = None
    abi: str | None = None
    platform: str | None = None
    url: str | None = None
    member: str | None = None
    sha256: str | None = None
    member_sha256: str | None = None
    bytes: int | None = None
    member_bytes: int | None = None
    figures: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.system is None) == (not self.description):
            raise ValueError("give a system of sv convert, or the description of an .onnx file")
        if self.package and (self.url or not self.member):
            raise ValueError("a package needs a member and no url")

    @property
    def source(self) -> str:
        """Place of the weights, in words."""
        if self.package:
            return f"{self.package} of the package index, {self.member}"
        return self.url or "no published address; get it from its authors"

    @property
    def weights_sha256(self) -> str | None:
        """Hash of the file of weights; None if it is not known."""
        return self.member_sha256 if self.member else self.sha256


@cache
def read_models(table: Path = TABLE) -> dict[str, PublishedModel]:
    """Read the table of models; raises ConfigError naming file and model."""
    return {
        name: from_dict(PublishedModel, {"name": name, **entry}, str(table), f"{name}.")
        for name, entry in load_toml(table).items()
    }


def find_model(name: str) -> PublishedModel:
    """Look a model up; raises ConfigError with the nearest name."""
    models = read_models()
    if name not in models:
        close = difflib.get_close_matches(name, models, n=1)
        hint = f"did you mean {close[0]}?" if close else "sv models list shows them"
        raise ConfigError(f"{name!r} is not a published model that is known here; {hint}")
    return models[name]


def cache_dir() -> Path:
    """Folder of fetched models, $XDG_CACHE_HOME/sv or ~/.cache/sv; raises ConfigError if neither variable is set."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if given.startswith("/"):  # a relative one is to be ignored, says the specification of the variable
        return Path(given) / "sv"
    if home := os.environ.get("HOME", ""):
        return Path(home) / ".cache" / "sv"
    raise ConfigError(
        "no folder for fetched models: neither XDG_CACHE_HOME nor HOME is set; set one, or give --out DIR"
    )


def folder_of(name: str) -> Path:
    """Folder that holds a model once it was fetched."""
    return cache_dir() / "models" / name


def is_here(name: str) -> bool:
    """True if a model was fetched into the cache; False without a cache."""
    try:
        return is_there(folder_of(name))
    except ConfigError:
        return False


def is_there(folder: Path) -> bool:
    """True if a folder holds a fetched model; it appears whole, with its origin."""
    return (folder / ORIGIN).is_file()


def read_origin(folder: Path) -> dict[str, Any]:
    """Read where a fetched model came from."""
    return load_json(folder / ORIGIN)


def list_lines() -> Iterator[str]:
    """Yield a line for each model: name, size, whether it is here, title."""
    models = read_models()
    width = max(map(len, models))
    for name, model in models.items():
        size = f"{model.bytes / 1e6:.0f} MB" if model.bytes else ""
        here = "here" if is_here(name) else ""
        yield f"{name:{width}s}  {size:>6s}  {here:4s}  {model.title}"


def card_lines(model: PublishedModel) -> Iterator[str]:
    """Yield what is known of a model, one fact per line."""
    yield f"{model.name}: {model.title}"
    converter = f"sv convert {model.system}" if model.system else "none: an .onnx file"
    facts = {
        "source": model.source,
        "size": f"{model.bytes / 1e6:.1f} MB" if model.bytes else "not known",
        "sha256": model.sha256 or "not known",
        "weights' sha256": model.weights_sha256 or "not known",
        "licence": model.licence,
        "paper": model.paper,
        "homepage": model.homepage,
        "converter": converter,
    }
    for name, value in facts.items():
        yield f"  {name:16s} {value}"
    for figure in model.figures or ("none recorded here",):
        yield f"  {'published':16s} {figure}"
    if is_here(model.name):
        yield f"  {'here':16s} {folder_of(model.name)}"
        yield f"  {'file sha256':16s} {read_origin(folder_of(model.name))['weights_sha256']}"
    else:
        yield f"  {'here':16s} no; sv models get {model.name}"
