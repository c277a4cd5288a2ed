from pathlib import Path

import pytest

from sv.base.config import write_json
from sv.data.challenge_rules import broken_rules, voices_rules
from sv.results.tables import rule_notes
from sv.system.config import load_system, parse_system

ROOT = Path(__file__).parents[3]
BASE = {"features": {"type": "log_mel"}, "model": {"type": "se_resnet"}}


@pytest.mark.parametrize(
    ("augment", "broken"),
    [
        ({}, True),
        ({"noises": ["noise", "music"]}, False),
        ({"noises": ["noise", "crowd"]}, False),
        ({"noises": ["babble"]}, True),
        ({"noises": ["noise", "babble+music"]}, True),
        ({"noises": ["babble"], "noise_prob": 0.0}, False),
    ],
)
def test_musan_speech_in_training_breaks_the_voices_challenges_rules(augment, broken) -> None:
    found = voices_rules(parse_system(BASE | {"augment": augment}, "x.toml").augment)
    assert bool(found) == broken
    assert all("the challenge forbids MUSAN's speech in training" in line for line in found)


@pytest.mark.parametrize("path", sorted((ROOT / "egs" / "voices" / "conf").rglob("*.toml")), ids=lambda path: path.stem)
def test_systems_of_the_voices_recipe_keep_the_rules(path) -> None:
    assert voices_rules(load_system(path).augment) == []


def test_the_report_says_what_is_broken() -> None:
    assert rule_notes([[{"system": "x"}]]) == []
    row = {"system": "x", "rules": "voices", "broken_rules": ["trained with babble"]}
    assert rule_notes([[row]]) == ["x breaks the voices challenge's rules: trained with babble"]


OF_BABBLE = {"augment": {"noises": ["babble"]}}


@pytest.mark.parametrize("tables", [{}, {"published": {}, **OF_BABBLE}, {"parent": {}, **OF_BABBLE}])
def test_a_model_from_elsewhere_is_not_accused(tables, tmp_path) -> None:
    write_json(tmp_path / "config.json", {"name": "x", **tables})
    assert broken_rules("voices", tmp_path / "config.json") is None
    row = {"system": "x", "rules": "voices", "broken_rules": None}
    note = "x was not trained here: whether it keeps the voices challenge's rules is not known"
    assert rule_notes([[row]]) == [note]
