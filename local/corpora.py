"""The table of a corpus, which stands at the head of its local/prepare_<name>.py as CORPUS; all tables by name."""

import ast
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Folders of a corpus, and how to get it.

    Attributes
    ----------
    folders : tuple of str
        Names that its folder may have below --corpora.
    how_to_get : str
        Said when it is missing.
    layouts : tuple of (str, str)
        Patterns below its folder, and what the layout is called in which they match; "packed" is one that cannot be used.
    optional : bool
        A recipe can go without it.
    needed_for : str
        Noise type of test conditions that need it, although it is optional.
    """

    folders: tuple[str, ...]
    how_to_get: str
    layouts: tuple[tuple[str, str], ...] = ()
    optional: bool = False
    needed_for: str = ""

    def layout(self, folder: Path) -> str:
        """Name of the layout of a folder; empty if it is none that we know."""
        return next((name for pattern, name in self.layouts if any(folder.glob(pattern))), "")


def read_corpus(path: Path) -> Corpus:
    """Table of a preparation program, from its text: to import it takes seconds, and what it imports.

    Raises
    ------
    ValueError
        Naming the file, if it has no `CORPUS = Corpus(...)` of literal values.
    """
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if (
            isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "CORPUS"
            and isinstance(node.value, ast.Call)
        ):
            try:
                return Corpus(**{str(word.arg): ast.literal_eval(word.value) for word in node.value.keywords})
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path}:{node.lineno}: CORPUS must be of literal values: {error}") from error
    raise ValueError(f"{path}: begins without a table CORPUS = Corpus(folders=..., how_to_get=...)")


def read_corpora() -> dict[str, Corpus]:
    """Tables of all corpora by name, that of prepare_<name>.py."""
    paths = sorted(Path(__file__).resolve().parent.glob("prepare_*.py"))
    return {path.stem.removeprefix("prepare_"): read_corpus(path) for path in paths}
