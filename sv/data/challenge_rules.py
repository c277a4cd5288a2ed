"""Rules that a benchmark sets for training, checked on what a model was trained with."""

from collections.abc import Callable
from pathlib import Path

from sv.base.config import from_dict, load_json_table
from sv.data.augment import AugmentConfig, parts_of


def voices_rules(augment: AugmentConfig) -> list[str]:
    """Rules of the VOiCES from a Distance Challenge 2019 that this augmentation breaks; empty if none.

    MUSAN's speech may not be mixed into training speech as babble: it is from LibriVox, as VOiCES is (evaluation plan,
    arXiv:1902.10828). The recipes make "babble" of MUSAN's speech and of nothing else,
    and "crowd" of the training set.
    """
    with_babble = [category for category in augment.noises if "babble" in parts_of(category)]
    if augment.noise_prob > 0 and with_babble:
        return [f"trained with {' and '.join(with_babble)}: the challenge forbids MUSAN's speech in training"]
    return []


RULES: dict[str, Callable[[AugmentConfig], list[str]]] = {"voices": voices_rules}


def broken_rules(benchmark: str, config: Path) -> list[str] | None:
    """List the rules of a benchmark, one of `RULES`, that the training which a model's config.json describes breaks.

    None means that it is not known: a model that was not trained here, or started from one,
    does not tell how.
    """
    tables = load_json_table(config)
    if "augment" not in tables or "published" in tables or "parent" in tables:
        return None
    return RULES[benchmark](from_dict(AugmentConfig, tables["augment"], str(config), "augment."))
