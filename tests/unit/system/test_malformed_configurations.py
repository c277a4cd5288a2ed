"""Ten thousand configurations of real systems with odd values in them: the very record, or one line that names file and key."""

import copy
import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv.base.config import ConfigError, load_json, load_toml
from sv.system.config import parse_system, system_to_dict

ROOT = Path(__file__).parents[3]
ten_thousand = settings(
    max_examples=10_000, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
TABLES = [load_toml(path) for path in sorted(ROOT.glob("egs/*/conf/*.toml"))]
SYSTEMS = [table for table in TABLES if {"features", "model"} <= table.keys()]
RESOLVED = [system_to_dict(parse_system(table, "x.toml")) for table in SYSTEMS]
VALUES = [
    None, True, False, 0, 1, 2, -1, 3, 16_000, 2**62, 2**63, 10**400, 1 << 20_000, 0.0, 0.5, -0.5, 1e-300, 1e308, math.nan,
    math.inf, -math.inf, "", "x", "none", "a\nb", "x" * 10_000, "\ud800", [], [1], [1, 2], [0.5, "x"], [None], {}, {"x": 1},
    {"type": "x"}, {"type": []}, [[[[[]]]]], {"a": {"b": {"c": {}}}}, [1 << 20_000], [math.nan, 1],
]  # fmt: skip
NAMES = ["cuont", "type", "", "a.b", "a\nb", "name", "seed", "num_speakers", "loss", "model", "train", "x" * 300]


def mutated(table: dict, program: bytes) -> dict:
    """The table with one to three values changed, left out or added."""
    table = copy.deepcopy(table)
    for wound in range(1 + program[0] % 3):
        kind, one, two, three = program[1 + 4 * wound :][:4]
        at, value = table, copy.deepcopy(VALUES[three % len(VALUES)])
        if kind % 3 and isinstance(section := table.get(sorted(table)[one % len(table)] if table else ""), dict):
            at = section
        keys = sorted(at)
        if kind % 8 == 7 and keys:
            del at[keys[two % len(keys)]]
        elif kind % 8 == 6 or not keys:
            at[NAMES[two % len(NAMES)]] = value
        else:
            at[keys[two % len(keys)]] = value
    return table


def tells(record, value) -> bool:
    """True if the record has the very value, with the defaults of what tables do not name."""
    if isinstance(value, dict):
        return isinstance(record, dict) and all(key in record and tells(record[key], value[key]) for key in value)
    if isinstance(value, (list, tuple)):
        return len(record) == len(value) and all(map(tells, record, value))
    return record == value and isinstance(record, bool) == isinstance(value, bool)


@ten_thousand
@given(program=st.binary(min_size=16, max_size=16))
def test_systems(program):
    known = (SYSTEMS + RESOLVED)[program[-1] % (2 * len(SYSTEMS))]
    table = VALUES[program[0] % len(VALUES)] if program[-2] == 0 else mutated(known, program)
    try:
        system = parse_system(table, "x.toml")
    except ConfigError as error:
        message = str(error)
        assert message.startswith("x.toml: ") and "\n" not in message and len(message) < 2500, message
        return
    assert tells(json.loads(json.dumps(system_to_dict(system), allow_nan=False)), table)
    assert parse_system(system_to_dict(system), "x.toml") == system


DEEP = 20_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.json", "[" * DEEP + "]" * DEEP), ("x.json", '{"a":' * 900 + "1" + "}" * 900), ("x.json", "[" * 100 + "]" * 100),
        ("x.toml", "a = " + "[" * DEEP + "]" * DEEP), ("x.toml", "a = " + "[" * 200 + "]" * 200),
        ("x.toml", ".".join("a" * 300) + " = 1"), ("x.toml", "[" + ".".join("a" * 300) + "]"),
    ],
)  # fmt: skip
def test_what_is_nested_too_deeply_is_refused_in_one_line(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=r"nested too deeply\Z"):
        (load_json if name.endswith("json") else load_toml)(tmp_path / name)
