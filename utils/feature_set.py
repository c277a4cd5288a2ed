#!/usr/bin/env python3
"""Print the name under which a system's stored features lie: `<type>-<digest>`, or what it reads: `none` or `embeddings`.

    utils/feature_set.py conf/exu_net.toml

Systems with the same [features] section and the same test-time segments share one folder of features.
"""

import argparse
import hashlib
import json
import sys
import tomllib
from pathlib import Path

SEGMENT_KEYS = ("segment_samples", "scheme", "num_segments", "step_samples", "raise_to_dbfs")


def feature_set(system: dict) -> str:
    """Return the folder name for the system's [features] table and [extract] segment length."""
    features = system.get("features", {})
    if features.get("type") in (None, "waveform"):
        return "none"
    if features["type"] == "embedding":
        return "embeddings"
    extract = system.get("extract", {})
    key = {"features": features} | {name: extract.get(name) for name in SEGMENT_KEYS}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return f"{features['type']}-{digest[:6]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("config", type=Path, help="TOML file of a system, or config.json of a model folder")
    config = parser.parse_args().config
    parse = json.loads if config.suffix == ".json" else tomllib.loads
    try:
        print(feature_set(parse(config.read_text(encoding="utf-8"))))
    except (OSError, ValueError) as error:
        sys.exit(f"{config}: {error}")


if __name__ == "__main__":
    main()
