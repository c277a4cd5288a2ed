#!/usr/bin/env python3
"""Answer a recipe's questions about a system, one line per question, so that no shell reads TOML.

    utils/system_info.py conf/exu_net.toml features             folder of its stored features; an empty line if it has none
    utils/system_info.py conf/exu_net.toml reads                features, waveforms or embeddings
    utils/system_info.py conf/exu_net.toml noises               types of noise that it trains with, separated by commas
    utils/system_info.py conf/diff_sv.toml samples              true if it draws noise when it embeds, else false
    utils/system_info.py conf/embedding_mlp.toml reads loss.noisy_copies=0    value of a key, or what to print without it

The file may be a TOML file or the config.json of a model folder.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sv.base.config import ConfigError, load_json, load_toml
from sv.base.layout import CROWD, feature_set

NOISES = ("noise", "music", "babble")  # of a system that does not say, as AugmentConfig has it
SAMPLERS = ("diff_sv", "embedding_diffusion")  # models that draw noise when they embed, unless they are told not to
READS = {"waveform": "waveforms", "embedding": "embeddings"}  # by type of the front end; all others: features


def lookup(tables: Mapping[str, Any], key: str, default: str) -> Any:
    """Look up the value under a dotted key."""
    value: Any = tables
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return default
        value = value[part]
    return value


def noises(augment: Mapping[str, Any]) -> list[str]:
    """Types of noise of an [augment] table that have folders, each once; of a sum like "babble+music" its parts."""
    if augment.get("noise_prob", 1) == 0:
        return []
    named = augment.get("noises", NOISES)
    parts = dict.fromkeys(part for name in named for part in str(name).split("+"))
    return [part for part in parts if part != CROWD]


def answer(tables: Mapping[str, Any], question: str) -> str:
    """Answer to `features`, `reads`, `noises`, `samples`, `key` or `key=default`."""
    if question == "features":
        return feature_set(tables) or ""
    if question == "reads":
        return READS.get(lookup(tables, "features.type", "waveform"), "features")
    if question == "samples":
        starts = lookup(tables, "model.sampling.start", "draw")
        return str(lookup(tables, "model.type", "") in SAMPLERS and starts == "draw").lower()
    if question == "noises":
        return ",".join(noises(tables.get("augment", {})))
    key, _, default = question.partition("=")
    value = lookup(tables, key, default)
    return str(value).lower() if isinstance(value, bool) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help="TOML file of a system, or config.json of a model folder")
    parser.add_argument(
        "questions", nargs="+", metavar="QUESTION", help="features, reads, noises, samples, or a dotted KEY[=DEFAULT]"
    )
    args = parser.parse_args()
    try:
        tables = (load_json if args.config.suffix == ".json" else load_toml)(args.config)
        for question in args.questions:
            print(answer(tables, question))
    except ConfigError as error:
        sys.exit(f"system_info.py: {error}")
    except OSError as error:
        sys.exit(f"system_info.py: {args.config}: {error.strerror}")


if __name__ == "__main__":
    main()
