"""Settings of single keys, and tables as TOML."""

import tomllib
from pathlib import Path

import pytest

from sv.base.config import ConfigError
from sv.base.settings import read_settings, toml_text, with_settings

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=1", 1),
        ("a.b=1e-4", 1e-4),
        ("a.b = 1".replace(" ", ""), 1),
        ("a.b=true", True),
        ("a.b=step", "step"),
        ('a.b="step"', "step"),
        ("a.b=", ""),
        ('a.b=["noise", "babble+music"]', ["noise", "babble+music"]),
        ("a.b=x=y", "x=y"),
        ("a.b=1\nc = 2", "1\nc = 2"),  # one value, never a second key
        ("a.b=" + 9999 * "[", 9999 * "["),
        ("a.b.c=[1, 2]", [1, 2]),
    ],
)
def test_values_are_as_in_toml_and_text_needs_no_quotes(text, value) -> None:
    (found,) = read_settings([text]).values()
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "text", ["", "a.b", "ab=1", "a.=1", ".b=1", "a b.c=1", "a.b c=1", "=1", "a..b=1", "a.é=1", "a.1=2"]
)
def test_another_form_is_refused(text) -> None:
    with pytest.raises(ConfigError, match=r"^takes SECTION\.KEY=VALUE, got "):
        read_settings([text])


def test_order_does_not_matter_but_two_values_do() -> None:
    assert list(read_settings(["b.x=1", "a.y=2", "b.x=1"]).items()) == [("a.y", 2), ("b.x", 1)]
    with pytest.raises(ConfigError, match=r"^has two values for a\.b, 1 and 'one'$"):
        read_settings(["a.b=1", "a.b=one"])


def test_tables_are_copied() -> None:
    tables = {"train": {"lr": 1, "more": {"x": 1}}, "seed": 1}
    assert with_settings(tables, {"train.lr": 2, "train.more.y": 3, "model.a": 4}, "f") == {
        "train": {"lr": 2, "more": {"x": 1, "y": 3}},
        "seed": 1,
        "model": {"a": 4},
    }
    assert tables == {"train": {"lr": 1, "more": {"x": 1}}, "seed": 1}
    with pytest.raises(ConfigError, match=r"^f: 'train\.lr' is no table, so there is no 'train\.lr\.x'$"):
        with_settings(tables, {"train.lr.x": 2}, "f")


def test_toml_reads_back() -> None:
    text = '"\\\t\n\x7f\x01é😀'
    tables = {
        "name": text, "a b": 1, text: [1, -2.5e-7, 1e22, True, [], [{"x": "y", "z": {}}]],
        "one": {"two": {"three": {}, "x.y": {"k": 0.1}}, "after": False}, "empty": {},
    }  # fmt: skip
    assert tomllib.loads(toml_text(tables)) == tables
    dates = tomllib.loads("a = 2020-01-02\nb = 2020-01-02T03:04:05Z\nc = 03:04:05\nd = inf\n")
    assert tomllib.loads(toml_text(dates)) == dates


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("egs/*/conf/**/*.toml")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_configuration_reads_back(path) -> None:
    tables = tomllib.loads(path.read_text())
    assert tomllib.loads(toml_text(tables)) == tables
