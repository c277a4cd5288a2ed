"""Imports point one way, read from the sources themselves."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What each room may import besides itself and sv.base. A room is the longest prefix of a module's name here.
MAY_IMPORT = {
    "sv.base": (),
    "sv.kaldi": (),
    "sv.features": (),
    "sv.models": (),
    "sv.losses": (),
    "sv.data": ("sv.kaldi",),
    "sv.scoring": ("sv.kaldi",),
    "sv.scoring.backends": ("sv.scoring", "sv.kaldi", "sv.train"),  # the last to learn with, inside fit
    "sv.train": ("sv.models", "sv.losses", "sv.features"),
    "sv.system": ("sv.features", "sv.models", "sv.train", "sv.data"),
    "sv.embed": (
        "sv.system",
        "sv.published",
        "sv.train",
        "sv.data",
        "sv.features",
        "sv.models",
        "sv.scoring",
        "sv.kaldi",
    ),
    "sv.enhancement": ("sv.system", "sv.train", "sv.data", "sv.scoring", "sv.kaldi"),
    "sv.adaptation": (
        "sv.embed",
        "sv.system",
        "sv.train",
        "sv.data",
        "sv.features",
        "sv.scoring",
        "sv.kaldi",
    ),
    "sv.published": ("sv.features", "sv.models"),
    "sv.results": ("sv.scoring", "sv.kaldi"),
    "sv.report": ("sv.results", "sv.scoring", "sv.data", "sv.kaldi"),
    "sv.bin": ("sv",),
    "sv.__main__": (),
    "local": ("sv.data", "sv.kaldi"),
    "utils": ("sv.kaldi",),
}
NO_TORCH = ("sv.base", "sv.kaldi", "sv.scoring", "sv.scoring.backends", "sv.results", "utils")
SLOW = ("lhotse", "matplotlib.pyplot")  # import takes seconds, or has side effects


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {module_name(path): path for part in ("sv", "local", "utils") for path in sorted((ROOT / part).rglob("*.py"))}
BENCHMARKS = {module_name(path): path for path in sorted((ROOT / "benchmarks").glob("*.py"))}


def imported(module: str, at_import_time_only: bool = False) -> set[str]:
    """Full names of what a source file imports; of `from a import b` both a and a.b, as b may be a module."""
    tree = ast.parse((SOURCES | BENCHMARKS)[module].read_text(encoding="utf-8"))
    not_run = {  # at import time: functions, and what only type checkers read
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        or (isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING")
        for node in ast.walk(block)
    }
    names = set()
    for node in ast.walk(tree):
        if at_import_time_only and id(node) in not_run:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import, line {node.lineno}"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def within(name: str, parts: tuple[str, ...]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def part_of(module: str) -> str:
    parts = [part for part in MAY_IMPORT if within(module, (part,))]
    assert parts, f"{module} belongs to no room of the list; add it"
    return max(parts, key=len)


def own_modules(names: set[str]) -> set[str]:
    """Modules of the project among the names, each by its own full name."""
    return {name for name in names if name in SOURCES and name not in ("sv",)}


@pytest.mark.parametrize("module", [name for name in SOURCES if name not in ("sv",)])
def test_imports_point_one_way(module) -> None:
    part = part_of(module)
    allowed = (part, *MAY_IMPORT[part], "sv.base")
    wrong = sorted(name for name in own_modules(imported(module)) if not within(name, allowed))
    assert not wrong, f"{module} imports {wrong}; {part} may import {MAY_IMPORT[part]}"


def test_no_part_imports_itself_in_a_circle() -> None:
    waiting, done = {name: own_modules(imported(name, at_import_time_only=True)) - {name} for name in SOURCES}, set()
    while ready := [name for name, needs in waiting.items() if needs <= done]:
        done |= set(ready)
        waiting = {name: needs for name, needs in waiting.items() if name not in done}
    # `from sv.kaldi import ...` inside sv.kaldi's own modules would show here.
    assert not waiting, f"circular: {sorted(waiting)}"


def everything_imported(module: str) -> set[str]:
    """Names that importing a module imports, at first and second hand, before any of its functions is called."""
    seen, todo = set(), [module]
    while todo:
        names = imported(todo.pop(), at_import_time_only=True)
        packages = {name.rpartition(".")[0] for name in own_modules(names)} & SOURCES.keys()
        todo += (own_modules(names) | packages) - seen
        seen |= names | packages
    return seen


@pytest.mark.parametrize("module", [name for name in SOURCES if within(name, NO_TORCH) and part_of(name) in NO_TORCH])
def test_scoring_and_formats_need_no_torch(module) -> None:
    assert not [name for name in everything_imported(module) if within(name, ("torch", "torchaudio", "lhotse"))]


@pytest.mark.parametrize("module", [name for name in SOURCES if within(name, ("sv.scoring",))])
def test_scoring_needs_numpy_and_scipy_alone(module) -> None:
    others = {name.partition(".")[0] for name in imported(module)} - sys.stdlib_module_names
    assert others <= {"numpy", "scipy", "sv"}


@pytest.mark.parametrize("module", list(SOURCES))
def test_slow_imports_happen_where_they_are_needed(module) -> None:
    assert not [name for name in imported(module, at_import_time_only=True) if within(name, SLOW)]


def test_torchaudio_has_at_most_one_importer() -> None:
    assert sum(any(within(name, ("torchaudio",)) for name in imported(module)) for module in SOURCES) <= 1


@pytest.mark.parametrize("module", list(SOURCES | BENCHMARKS))
def test_nobody_imports_a_command(module) -> None:
    shared = (
        ("sv.bin.common", "sv.bin.options", "sv.bin.training", "sv.bin.calibration")
        if within(module, ("sv.bin",))
        else ()
    )
    names = {name for name in imported(module) if within(name, ("sv.bin",)) and name != "sv.bin"}
    assert not [name for name in names if not within(name, shared)]


@pytest.mark.parametrize("command", [name for name in SOURCES if name.startswith("sv.bin.")])
def test_a_command_parses_calls_and_writes_in_80_lines(command) -> None:
    assert len(SOURCES[command].read_text(encoding="utf-8").splitlines()) <= 80


def test_models_never_see_a_path() -> None:
    for module in SOURCES:
        if within(module, ("sv.models", "sv.losses", "sv.features")):
            assert not within("pathlib", tuple(imported(module))), module
