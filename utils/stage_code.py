"""Digests of the code of a stage: its shell lines, and the Python files that they reach, whatever these are called.

A file counts by its syntax tree without docstrings, comments and the paths of imports: a module that is renamed, or moved
into a package, stays the same. So that two functions of one name are not taken for each other, each import also counts by
the content of the file that defines what it imports.
"""

import ast
import fnmatch
import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parent.parent
MODULE = r"(?P<option>-m )(?P<module>[\w.]+)(?P<command> [a-z]\w*)?"  # -m sv.bin.train, -m sv backend
SCRIPT = r"\b(?P<script>(?:local|utils)/[\w$.{}]+\.(?:py|sh))\b"  # local/prepare_$corpus.py
PROGRAM = re.compile(f"{MODULE}|{SCRIPT}")
TEMPLATE = ".j2"
MACHINERY = ("stage.sh", "parse_options.sh", "options.sh")  # of which no stage is made

Code = dict[str, tuple[str, str]]  # by file or function: digests of its content, and of what its names mean


class Memory(Protocol):
    """A memory of what `describe` says of files."""

    def code(self, path: Path) -> dict[str, Any]:
        """`describe(path)`."""


def digest_of_text(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def describe(path: Path) -> dict[str, Any]:
    """Content of a program, free of names of modules.

    Returns
    -------
    dict
        `digest` of the content, empty if it defines and does nothing; `imports`, lists of (local name, module, name in the
        module; empty for a whole module) of the project's modules; `templates`, names of the templates beside it.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        code = text if path.suffix == TEMPLATE else "\n".join(bare_lines(text))
        return {"digest": digest_of_text(code), "imports": [], "templates": []}
    tree = WithoutTypes().visit(ast.parse(text))
    bound = {entry for node in ast.walk(tree) for entry in bindings(node)}
    ours = {entry for entry in bound if module_file(entry[1], path.parent)}
    modules = {entry[0]: full_name(*entry[1:]) for entry in ours if module_file(full_name(*entry[1:]), path.parent)}
    nameless = Nameless(modules)
    body, foreign = ast.dump(nameless.visit(tree)), sorted(bound - ours)
    imports = [
        (nameless.labels.get(name, ""), modules[name], "") if name in modules else (name, module, part)
        for name, module, part in sorted(ours)
    ]
    return {
        "digest": digest_of_text(f"{body}{foreign}") if tree.body or foreign else "",
        "imports": imports,
        "templates": templates_of(tree),
    }


def templates_of(tree: ast.AST) -> list[str]:
    """Names of the templates that a program names: they are code as well."""
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return sorted(text for text in texts if re.fullmatch(rf"\w[\w.]*{re.escape(TEMPLATE)}", text))


def bindings(node: ast.AST) -> Iterator[tuple[str, str, str]]:
    """Names that an import statement binds: (local name, module, name in the module)."""
    if isinstance(node, ast.Import):
        yield from ((alias.asname or alias.name, alias.name, "") for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            module, name = (node.module, alias.name) if node.module else (alias.name, "")
            yield alias.asname or alias.name, module, name


def full_name(module: str, name: str) -> str:
    """Full name of what is imported from a module."""
    return f"{module}.{name}" if name else module


class WithoutTypes(ast.NodeTransformer):
    """Leaves out what only checkers of types read."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING") else self.generic_visit(node)


class Nameless(ast.NodeTransformer):
    """Remove docstrings, imports and `__all__`, and call modules by the order of their first use.

    Parameters
    ----------
    modules : mapping of str to str
        Local names, dotted ones among them, of the project's modules.

    Attributes
    ----------
    labels : dict
        By local name, what a module is called instead.
    """

    def __init__(self, modules: Mapping[str, str]) -> None:
        self.modules = modules
        self.labels: dict[str, str] = {}

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Visit what a node holds, without its docstring."""
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and is_text(body[0]):
            del body[0]
        return super().generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        is_all = isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"
        return None if is_all else self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self.renamed(node.id) or node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self.renamed(dotted(node)) or self.generic_visit(node)

    def renamed(self, name: str) -> ast.Name | None:
        """A module under its label; None for any other name."""
        if name not in self.modules:
            return None
        return ast.Name(id=self.labels.setdefault(name, f"module {len(self.labels)}"), ctx=ast.Load())


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an attribute of a name; begins with a dot if it is one of something else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def is_text(node: ast.AST) -> bool:
    """True for a statement that is a string, as docstrings are."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@functools.cache
def module_file(name: str, near: Path) -> Path | None:
    """File of a module of this project, or of a neighbour of the file, or the package, that imports it."""
    folders = [ROOT, near]
    while (folders[-1] / "__init__.py").is_file():
        folders.append(folders[-1].parent)
    for folder in folders:
        path = folder / name.replace(".", "/")
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def definition(module: str, name: str, near: Path, memory: Memory) -> Path | None:
    """File that defines a name of a module: a package may only pass it on."""
    if name and (whole := module_file(full_name(module, name), near)):
        return whole
    path = module_file(module, near)
    for label, other, part in memory.code(path)["imports"] if path and name else ():
        if label == name:
            return definition(other, part, path.parent, memory)
    return path


def bare_lines(text: str) -> list[str]:
    """Lines of a shell script without comments and layout."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def stage_lines(recipe: str, number: int) -> list[str]:
    """The recipe's lines of a stage, from `if stage_needs_run NUMBER` to `mark_done NUMBER`, without comments."""
    inside, lines = False, []
    for line in bare_lines(recipe):
        inside = inside or re.match(rf"if stage_needs_run {number}\b", line) is not None
        if inside:
            lines.append(line)
        if re.match(rf"mark_done {number}\b", line):
            inside = False
    return lines


def functions(folder: Path) -> dict[str, tuple[str, list[str]]]:
    """Shell functions of a recipe and of utils/: by name, the file's name and the lines."""
    found: dict[str, tuple[str, list[str]]] = {}
    for path in [*sorted(folder.glob("utils/*.sh")), *sorted(folder.glob("*.sh"))]:
        name = ""
        for line in path.read_text(encoding="utf-8").splitlines() if path.name not in MACHINERY else ():
            if match := re.match(r"(\w+)\(\) \{", line):
                name, found[match[1]] = match[1], (path.name, [])
            code = re.sub(r"\s#.*", "", line) if match else line  # the comment beside the name
            if name:
                found[name][1].extend(bare_lines(code))
            if line.startswith("}") or (match and code.endswith("; }")):
                name = ""
    return found


def shell_code(recipe: Path, folder: Path, number: int, function: str) -> dict[str, list[str]]:
    """Lines of a stage and of the functions that it calls, by where they are; those of a function begin with its name."""
    known = functions(folder)
    if function in known:
        found, todo = {}, [function]
    else:
        lines = stage_lines(recipe.read_text(encoding="utf-8"), number)
        found, todo = {f"{recipe.name}, stage {number}": lines}, called(lines, known)
    while todo:
        name = todo.pop()
        file, lines = known[name]
        if f"{file}, {name}" not in found:
            found[f"{file}, {name}"] = lines
            todo += called(lines, known)
    return found


def called(lines: list[str], known: dict[str, Any]) -> list[str]:
    """Names of functions among the words of the lines."""
    return sorted(set(re.findall(r"\w+", "\n".join(lines))) & known.keys())


def programs(match: re.Match[str], folder: Path) -> list[Path]:
    """Files of the project that a match of PROGRAM in a recipe's shell lines names."""
    if match["module"]:
        names = [match["module"]]
        if names == ["sv"]:  # `python -m sv backend` imports sv.bin.backend by its name
            names = ["sv.__main__", f"sv.bin.{(match['command'] or '').strip()}"]
        return [path for name in names if (path := module_file(name, ROOT))]
    part, _, pattern = re.sub(r"\$\{?\w+\}?", "*", match["script"]).partition("/")
    files = sorted((folder / part).iterdir()) if (folder / part).is_dir() else []
    return [path.resolve() for path in files if fnmatch.fnmatch(path.name, pattern)]


def nameless_lines(lines: list[str], folder: Path) -> tuple[str, list[Path]]:
    """Shell lines without the names of the project's programs; those programs, in order."""
    found: list[Path] = []

    def replace(match: re.Match[str]) -> str:
        files = programs(match, folder)
        found.extend(files)
        return f"a program{match['command'] or ''}" if files else match[0]

    return PROGRAM.sub(replace, "\n".join(lines)), found


def code_of_stage(recipe: Path, folder: Path, number: int, function: str, memory: Memory) -> Code:
    """Digests of the stage's own lines and of every file of the project that its programs, named from `folder`, reach.

    Parameters
    ----------
    recipe, folder : Path
        The file that holds the stage's lines, and the recipe's folder.
    number : int
    function : str
        The shell function that the stage's lines are in; `main` if they are in none.
    memory : Memory

    Returns
    -------
    dict
        By a name for messages: the digest of the content, and that of what the names in it mean.
    """
    found: Code = {}
    todo: list[Path] = []
    for name, lines in shell_code(recipe, folder, number, function).items():
        text, named = nameless_lines(lines, folder)
        found[name] = digest_of_text(text), digest_of_text(",".join(memory.code(path)["digest"] for path in named))
        todo += named
    seen: set[Path] = set()
    while todo:
        path = todo.pop().resolve()
        if path in seen:
            continue
        seen.add(path)
        code = memory.code(path)
        if code["digest"]:
            name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
            found[name] = code["digest"], digest_of_text("\n".join(sorted(meanings_of(path, memory))))
        todo += reached(path, memory)
        todo += [file for name in code["templates"] if (file := path.with_name(name)).is_file()]
    return found


def meanings_of(path: Path, memory: Memory) -> Iterator[str]:
    """Local names of a file's imports, each with the content of the file that defines it."""
    for label, module, name in memory.code(path)["imports"]:
        if file := definition(module, name, path.parent, memory):
            yield f"{label} {name} {memory.code(file.resolve())['digest']}"


def reached(path: Path, memory: Memory) -> Iterator[Path]:
    """Files that importing a file's imports runs: the modules and the packages that they are in."""
    for _, module, name in memory.code(path)["imports"]:
        full = full_name(module, name)
        parents = [full.rsplit(".", level)[0] for level in range(full.count(".") + 1)]
        yield from filter(None, (module_file(parent, path.parent) for parent in parents))
