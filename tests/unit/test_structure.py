"""The shape of the code: small functions, short commands, nothing loose, and first lines that a search would find."""

import ast
import re
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [path for part in ("sv", "local", "utils", "benchmarks") for path in sorted((ROOT / part).rglob("*.py"))]
QUESTION = re.compile(r"(What|Which|Where|How|Whether|When|Why|Who)\b")
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    first = function.body[0]
    is_docstring = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    without = first.end_lineno - first.lineno + 1 if is_docstring else 0
    return function.end_lineno - function.lineno + 1 - without


def functions() -> list[tuple[str, int]]:
    return [
        (f"{name_of(path)}: {node.name}", length_of(node))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]


def test_functions_are_short() -> None:
    lengths = functions()
    assert not [f"{name} has {length} lines" for name, length in lengths if length > 45]
    assert median(length for _, length in lengths) <= 7


def test_modules_are_no_longer_than_400_lines() -> None:
    assert not [name_of(path) for path in SOURCES if len(path.read_text(encoding="utf-8").splitlines()) > 400]


def test_nothing_lies_loose_in_the_library() -> None:
    assert sorted(path.name for path in (ROOT / "sv").glob("*.py")) == ["__init__.py", "__main__.py"]


@pytest.mark.parametrize("path", sorted(ROOT.glob("egs/*/run.sh")), ids=lambda path: path.parent.name)
def test_recipes_are_130_lines_of_120_columns_at_most(path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 130 and max(map(len, lines)) <= 120


def test_no_docstring_begins_with_a_question_word() -> None:
    found = [
        f"{name_of(path)}:{getattr(node, 'lineno', 1)}: {text.splitlines()[0]}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, DEFINITIONS) and (text := ast.get_docstring(node)) and QUESTION.match(text)
    ]
    assert not found, "\n".join(found)
