"""Noise-robust speaker verification: data, models, losses, training, scoring.

`sv.load` reads a model; what it returns embeds audio and compares voices. Nothing heavy is imported before it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sv.embed.api import SpeakerModel, load

__version__ = "0.1.0"
__all__ = ["SpeakerModel", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name not in ("load", "SpeakerModel"):
        raise AttributeError(f"module 'sv' has no attribute {name!r}")
    # By name: `import sv` alone does not stand for what this reads, for the digests of stages' code either.
    return getattr(import_module("sv.embed.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
