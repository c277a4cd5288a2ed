from dataclasses import dataclass, field
from typing import Literal

import pytest

from sv.base.config import (
    ConfigError,
    flatten,
    from_dict,
    load_json,
    load_json_table,
    load_toml,
    require,
    to_dict,
    write_json,
)


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 1.0
    kind: Literal["a", "b"] = "a"

    def __post_init__(self):
        if self.rate < 0:
            raise ValueError(f"rate must not be negative, got {self.rate}")


@dataclass(frozen=True, kw_only=True)
class Outer:
    count: int
    flag: bool = False
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[float, float] = (0.0, 1.0)
    limit: float | None = None
    inner: Inner = field(default_factory=Inner)


def test_values_defaults_and_nesting():
    made = from_dict(Outer, {"count": 3, "sizes": [4], "pair": [1, 2.5], "limit": 2, "inner": {"kind": "b"}}, "f.toml")
    assert made == Outer(count=3, sizes=(4,), pair=(1.0, 2.5), limit=2.0, inner=Inner(kind="b"))
    assert from_dict(Outer, to_dict(made), "again") == made


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"cuont": 3}, "f.toml: unknown key 'cuont'; did you mean 'count'\\? known here: count, flag"),
        ({"count": 3, "inner": {"rat": 1}}, "unknown key 'inner.rat'; did you mean 'rate'"),
        ({"count": "3"}, "f.toml: 'count' must be int, got '3'"),
        ({"count": True}, "'count' must be int, got True"),
        ({"count": 1.5}, "'count' must be int"),
        ({"count": 3, "flag": 1}, "'flag' must be bool"),
        ({"count": 3, "pair": [1]}, "'pair' must have 2 values"),
        ({"count": 3, "sizes": [1, "x"]}, "'sizes\\[1\\]' must be int"),
        ({"count": 3, "limit": "no"}, "'limit' must be float or NoneType"),
        ({"count": 3, "inner": {"kind": "c"}}, "'inner.kind' must be one of 'a', 'b', got 'c'"),
        ({"count": 3, "inner": {"rate": -1}}, "\\[inner\\] rate must not be negative"),
        ({}, "\\[top level\\].*count"),
    ],
)
def test_mistakes_name_file_and_key(table, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(Outer, table, "f.toml")


def test_files_that_do_not_parse_are_named_with_the_line(tmp_path):
    (tmp_path / "bad.toml").write_text("a = 1\nb = = 2\n")
    with pytest.raises(ConfigError, match=r"bad.toml: .*line 2"):
        load_toml(tmp_path / "bad.toml")
    (tmp_path / "bad.json").write_text('{"a": }')
    with pytest.raises(ConfigError, match=r"bad.json: .*line 1"):
        load_json(tmp_path / "bad.json")


def test_json_round_trip(tmp_path):
    write_json(tmp_path / "c.json", Outer(count=2))
    assert from_dict(Outer, load_json(tmp_path / "c.json"), "c.json") == Outer(count=2)


@pytest.mark.parametrize(
    ("rules", "value", "message"),
    [
        ({"at_least_one": ("count",)}, 0, "count must be at least 1, got 0"),
        ({"not_negative": ("flag", "count")}, -1, "count must not be negative, got -1"),
        ({"positive": ("count",)}, 0, "count must be positive, got 0"),
        ({"positive": ("count",)}, float("nan"), "count must be positive, got nan"),
    ],
)
def test_fields_out_of_range_are_named(rules, value, message):
    with pytest.raises(ValueError, match=message):
        require(Outer(count=value), **rules)


def test_fields_within_range_pass():
    require(Outer(count=1, limit=0.0), at_least_one=("count",), not_negative=("limit",), positive=("count",))


def test_nested_keys_become_dotted_ones():
    assert flatten({"a": 1, "b": {"c": [2], "d": {"e": None}}, "f": {}}) == {"a": 1, "b.c": [2], "b.d.e": None}


@pytest.mark.parametrize("load", [load_json, load_toml])
def test_garbage_is_one_line_that_names_the_file(tmp_path, load):
    deep = {load_json: "[" * 100_000, load_toml: "a = " + "[" * 100_000}[load]
    for text in (b"\xff\xfe", b"{", deep.encode(), b"\0", b"a = " + b"9" * 5000 + b"x"):
        (tmp_path / "x").write_bytes(text)
        with pytest.raises(ConfigError, match="/x: "):
            load(tmp_path / "x")


@pytest.mark.parametrize("text", ["[]", "3", "null", '"text"'])
def test_what_is_no_object_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ConfigError, match=r"x\.json: expected a JSON object, got (list|int|NoneType|str)"):
        load_json_table(tmp_path / "x.json")
