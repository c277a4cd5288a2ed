"""Find the weights within what a checkpoint file holds: containers around them, prefixes before their names."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sv.published.checkpoint import CheckpointError, Converted, MisfitError

# Places of the weights within a training state; of several that fit, the first is taken.
ENTRIES = ("model", "state_dict", "model_state_dict", "model_state", "net", "network", "weights", "state")
# Modules around a network; names without the prefix are then left out. One prefix before all names is dropped anyhow.
WRAPPERS = (
    "module",
    "_orig_mod",
    "model",
    "net",
    "network",
    "encoder",
    "backbone",
    "embedding_model",
    "speaker_encoder",
    "speaker_model",
    "__S__",
)
# Errors of a translation of other weights; the last three of sizes that they imply.
MISFITS = (CheckpointError, KeyError, IndexError, ValueError, ZeroDivisionError)
MAX_DEPTH = 8  # of containers, and of prefixes


@dataclass(frozen=True, kw_only=True)
class Source:
    """One reading of a file.

    Attributes
    ----------
    weights : mapping of str to torch.Tensor
        By their names, containers and prefixes taken away.
    content : object
        All that the file holds.
    prefix : str
        Dropped from the names.
    left_out : tuple of str
        Names in the same container that do not begin with the prefix.
    """

    weights: Mapping[str, Tensor]
    content: Any
    prefix: str = ""
    left_out: tuple[str, ...] = ()


def is_state_dict(content: Any) -> bool:
    """True for a mapping from names to tensors, and nothing else."""
    return (
        isinstance(content, Mapping)
        and len(content) > 0
        and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items())
    )


def sources(content: Any) -> Iterator[Source]:
    """Yield every reading of a file's content, the plainest first.

    Raises
    ------
    CheckpointError
        If there is no mapping from names to tensors in it.
    """
    found = False
    for weights in _state_dicts(content, MAX_DEPTH, set()):
        found = True
        yield from _without_prefixes(Source(weights=weights, content=content), MAX_DEPTH)
    if not found:
        raise CheckpointError(f"expected a mapping from parameter names to tensors, got {_described(content)}")


def _described(content: Any) -> str:
    kind = type(content).__name__
    if not isinstance(content, Mapping):
        return kind
    odd = next(((k, v) for k, v in content.items() if not (isinstance(k, str) and isinstance(v, Tensor))), None)
    return f"an empty {kind}" if odd is None else f"{kind} whose {odd[0]!r} is {_described(odd[1])}"


def _state_dicts(content: Any, depth: int, seen: set[int]) -> Iterator[dict[str, Tensor]]:
    """The content itself, what its entries hold, and a nested mapping of tensors alone by its joined names.

    `seen` holds the identities of the mappings that were looked into: a file may hold one of them many times over.
    """
    if is_state_dict(content):
        yield dict(content)
    elif isinstance(content, Mapping) and depth and id(content) not in seen:
        seen.add(id(content))
        for key in (*(key for key in ENTRIES if key in content), *(key for key in content if key not in ENTRIES)):
            yield from _state_dicts(content[key], depth - 1, seen)
        if is_state_dict(joined := _joined(content, "", set())):
            yield joined


def _joined(content: Mapping[str, Any], prefix: str, seen: set[int]) -> dict[str, Any]:
    """What the leaves of nested mappings hold, by their joined names; None among it for what is no tree of names."""
    if id(content) in seen or not all(isinstance(key, str) for key in content):
        return {prefix: None}
    seen.add(id(content))
    names: dict[str, Any] = {}
    for key, value in content.items():
        is_branch = isinstance(value, Mapping)
        names |= _joined(value, f"{prefix}{key}.", seen) if is_branch else {f"{prefix}{key}": value}
    return names


def _without_prefixes(source: Source, depth: int) -> Iterator[Source]:
    yield source
    first = dict.fromkeys(name.partition(".")[0] for name in source.weights)
    for word in first if depth else ():
        kept = {name: value for name, value in source.weights.items() if name.startswith(f"{word}.")}
        if kept and (len(kept) == len(source.weights) or word in WRAPPERS):
            stripped = Source(
                weights={name.removeprefix(f"{word}."): value for name, value in kept.items()},
                content=source.content,
                prefix=f"{source.prefix}{word}.",
                left_out=(*source.left_out, *(source.prefix + name for name in source.weights if name not in kept)),
            )
            yield from _without_prefixes(stripped, depth - 1)


def first_fit(content: Any, translate: Callable[[Source], Converted]) -> tuple[Source, Converted]:
    """Translate the first reading of a content that fits.

    Returns
    -------
    source, converted

    Raises
    ------
    any of `MISFITS`
        That of the plainest reading; if that has other names, of the first whose names give a network.
    """
    misfits: list[Exception] = []
    for source in sources(content):
        try:
            converted = translate(source)
        except MISFITS as error:
            misfits.append(error)
        else:
            refuse_non_finite(source.weights)
            return source, converted
    if not isinstance(misfits[0], CheckpointError):  # perhaps under a prefix: a later reading may say more
        raise next((error for error in misfits if isinstance(error, MisfitError)), misfits[0])
    raise misfits[0]


def refuse_non_finite(weights: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError naming the first tensor that holds a NaN or an infinite value."""
    for name, value in weights.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise CheckpointError(f"{name} holds values that are not finite (NaN or infinite)")


def notes_of(source: Source) -> list[str]:
    """Say what was dropped from the names, and what was left out."""
    if not source.prefix:
        return []
    notes = [f"names read without their prefix {source.prefix}"]
    if source.left_out:
        notes.append(f"left out: {len(source.left_out)} tensors without it, e.g. {source.left_out[0]}")
    return notes
