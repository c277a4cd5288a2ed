"""The built wheel: its name, ranges, extras and files; and the library and daily commands without any extra's packages."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import yaml

from sv import __version__
from sv.base.config import ConfigError
from sv.base.packages import DISTRIBUTION, lacking, require

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Modules that only an extra's packages bring, whose import fails in the program below.
BLOCKED = """matplotlib tensorboard jinja2 markupsafe espeakng_loader torchaudio silero_vad h5py
    onnx onnxscript onnxruntime openvino MNN""".split()
PROGRAM = f"""
import importlib, sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, *more):
        return None if name.partition(".")[0] in {BLOCKED} else self.finder.find_spec(name, *more)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""


def without_extras(program: str, *argv: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", PROGRAM + program, *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "sv", source / "sv", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(source / 'dist')!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (path,) = (source / "dist").glob("*.whl")
    assert path.name.startswith(f"{DISTRIBUTION.replace('-', '_')}-")
    with zipfile.ZipFile(path) as archive:
        yield archive


def read(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = (path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def test_the_wheel_is_the_project_by_its_free_name_and_the_command_is_sv(wheel) -> None:
    said = Parser().parsestr(read(wheel, "METADATA"))
    assert said["Name"] == PROJECT["name"] == DISTRIBUTION != "sv"
    assert (
        set(said.get_all("Provides-Extra"))
        == set(EXTRAS)
        >= {"recipes", "vad", "keras", "onnx", "openvino", "mnn", "dev"}
    )
    assert read(wheel, "entry_points.txt").split("\n")[:2] == ["[console_scripts]", "sv = sv.__main__:main"]
    assert "LICENSE" in " ".join(wheel.namelist())


def test_the_wheel_needs_ranges_and_nothing_that_only_recipes_use(wheel) -> None:
    needs = Parser().parsestr(read(wheel, "METADATA")).get_all("Requires-Dist")
    assert not [need for need in needs if "==" in need.partition(";")[0]]
    core = {re.match(r"[\w-]+", need)[0] for need in needs if "extra ==" not in need}
    assert core == {"torch", "lhotse", "urllib3", "kaldiio", "numpy", "scipy", "soundfile", "av", "tqdm"}


def test_the_wheel_holds_every_file_of_the_library(wheel) -> None:
    own = {str(path.relative_to(ROOT)) for path in (ROOT / "sv").rglob("*") if path.is_file()}
    own = {name for name in own if "__pycache__" not in name}
    assert {"sv/py.typed", "sv/published/models.toml"} < own and any(name.endswith(".j2") for name in own)
    assert own == {name for name in wheel.namelist() if ".dist-info/" not in name}


def test_the_library_and_the_commands_import_without_the_extras() -> None:
    done = without_extras("""
import sv
from sv.__main__ import COMMANDS, STAGE_COMMANDS
for command in COMMANDS | STAGE_COMMANDS:
    importlib.import_module("sv.bin." + command.replace("-", "_"))
sv.load, sv.SpeakerModel
from sv.data.manifests import import_lhotse
import_lhotse()
print(*sorted(name for name in sys.modules if name.partition(".")[0] in sys.argv[1:]))
""", *BLOCKED)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("from sv.bin import report; report.main(sys.argv[1:])", "a report needs matplotlib, jinja2: [recipes]"),
        ("from sv.bin import train; train.main(sys.argv[1:])", "training needs tensorboard: [recipes]"),
    ],
)
def test_a_command_names_the_extra_that_it_needs(program, line, tmp_path) -> None:
    train = ["--config", "a.toml", "--train-dir", "a", "--valid-dir", "a", "--exp-dir", "a"]
    done = without_extras(program, *(train if "train" in program else ["--data", tmp_path, "--out", "a", "b"]))
    what, extra = line.split(": ")
    assert (done.returncode, done.stderr) == (1, f"error: {what}: pip install '{DISTRIBUTION}{extra}'\n")


@pytest.mark.parametrize("extra", sorted(set(EXTRAS) - {"dev", "docs"}))
def test_every_extra_is_named_where_something_needs_it(extra) -> None:
    sources = "".join(path.read_text() for folder in ("sv", "local") for path in (ROOT / folder).rglob("*.py"))
    assert f'"{extra}"' in sources


def test_what_is_there_is_not_asked_for() -> None:
    assert lacking("reading", "recipes", "json", "no_such_module") == (
        f"reading needs no-such-module: pip install '{DISTRIBUTION}[recipes]'"
    )
    assert lacking("reading", "recipes", "json") == ""
    with pytest.raises(ConfigError, match=r"^reading needs no-such-module: "):
        require("reading", "recipes", "no_such_module")


def test_citation_has_what_its_format_demands_and_the_packages_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation.keys() >= {"cff-version", "message", "title", "authors"}
    assert (citation["cff-version"], citation["version"], citation["license"]) == ("1.2.0", __version__, "MIT")
    assert all(author.keys() == {"name"} for author in citation["authors"])  # entities


def test_lower_bounds_are_what_the_oldest_environment_installs() -> None:
    script = (ROOT / "utils" / "test_versions.sh").read_text()
    (expression,) = re.findall(r"sed -n '(s/\^ \*.*?)' pyproject.toml", script)
    said = subprocess.run(
        ["sed", "-n", expression, ROOT / "pyproject.toml"], capture_output=True, text=True, check=True
    )
    bounds = {re.match(r"[\w-]+", need)[0]: need for need in [*PROJECT["dependencies"], *EXTRAS["recipes"]]}
    names = ("torch", "torchaudio", "lhotse", "kaldiio")
    assert sorted(said.stdout.split()) == sorted(bounds[name].replace(">=", "==") for name in names)


def test_forms_for_issues_are_forms() -> None:
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) == 3
    for path in forms:
        form = yaml.safe_load(path.read_text())
        assert form.keys() == {"name", "description", "body"}
        ids = [field["id"] for field in form["body"]]
        assert len(set(ids)) == len(ids) and all(field["attributes"]["label"] for field in form["body"])
        assert {field["type"] for field in form["body"]} <= {"textarea", "dropdown", "input"}
