#!/usr/bin/env python3
"""Check the options of a recipe before it does anything: the first value that makes no sense is one line and exit code 2.

local/check_options.py ./run.sh nj=4 stage=0 stop_stage=8 ...        called by utils/parse_options.sh, with every option

OPTIONS is the one table of their types and ranges. An option that is not in it is text. `name=` is an option that was not
given, if its type below is `unset_or`; the recipe sets it later.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from local.check_corpora import candidates
from local.corpora import read_corpora
from local.download_corpora import ARCHIVES
from local.kinds import kinds_of
from local.make_noisy_test import conditions_of, draws
from local.noises import noise_types
from local.own_noise import check, own_noises
from local.voxceleb2 import check_folder
from sv.base.config import ConfigError
from sv.base.numbers import COUNT, COUNT_OR_NONE, POSITIVE, PROBABILITY, SEED, SHARE, count_or_share, whole
from sv.base.packages import RUNTIMES, check_packages
from sv.base.settings import read_settings


def unset_or(read: Callable[[str], object]) -> Callable[[str], object]:
    """The type of an option that has no default here."""
    return lambda text: read(text) if text else None


def one_of(*names: str) -> Callable[[str], object]:
    """The type of a name among a few."""

    def read(text: str) -> str:
        if text not in names:
            raise ValueError(f"takes {', '.join(names[:-1])} or {names[-1]}, got {text[:80]!r}")
        return text

    return read


def several_of(pattern: str, meaning: str) -> Callable[[str], object]:
    """The type of names separated by commas, none of them twice."""

    def read(text: str) -> list[str]:
        names = text.split(",") if text else []
        if not all(re.fullmatch(pattern, name) for name in names) or len(set(names)) < len(names):
            raise ValueError(f"takes {meaning}, separated by commas and each once, got {text[:80]!r}")
        return names

    return read


def settings(text: str) -> dict[str, object]:
    """The type of --set: a setting on each line; what the keys are is for the systems to say."""
    return read_settings(text.split("\n")) if text else {}


def path(text: str) -> Path:
    """The type of a file or folder that need not exist."""
    if text.startswith("-"):
        raise ValueError(f"takes a path, got {text[:80]!r}; ./{text[:80]} is one that begins with a dash")
    return Path(text)


def folders(text: str) -> list[Path]:
    """The type of folders that are there, separated by commas."""
    for place in text.split(","):
        if not path(place).is_dir():
            raise ValueError(f"takes folders that are there, separated by commas, got {text[:200]!r}")
    return [Path(place) for place in text.split(",")]


def folder_to_write(text: str) -> Path:
    """The type of a folder that is made if it is not there."""
    for place in (path(text), *Path(text).parents):
        try:
            if place.exists() and not place.is_dir():
                raise ValueError(f"takes a folder, but {place} is a file")
        except OSError as error:
            raise ValueError(f"takes a folder, got {text[:80]!r}: {error.strerror}") from error
    return Path(text)


OPTIONS: dict[str, Callable[[str], object]] = {
    "stage": whole(0, 8),
    "stop_stage": whole(0, 8),
    "nj": unset_or(whole(1, 10_000)),
    "num_gpus": unset_or(whole(0, 1024)),
    "num_nodes": whole(1, 10_000),
    "num_ranks": unset_or(whole(1, 100_000)),
    "precision": one_of("float32", "bf16", "auto"),
    "runtime": unset_or(one_of(*RUNTIMES)),
    "launcher": one_of("local", "slurm", "sge"),
    "seed": SEED,
    "draws": draws,
    "set": settings,
    "max_bad": SHARE,
    "valid_fraction": unset_or(PROBABILITY),
    "lda_dim": whole(1, 100_000),
    "top_n": COUNT,
    "b_vector": COUNT_OR_NONE,
    "probe": COUNT_OR_NONE,
    "num_targets": COUNT,
    "num_nontargets": COUNT,
    "num_enrol": COUNT,
    "num_test": unset_or(count_or_share),
    "max_targets": COUNT,
    "max_nontargets": COUNT,
    "num_copies": COUNT,
    "vad_top_db": POSITIVE,
    "noises": noise_types,
    "noise": own_noises,
    "conditions": kinds_of,
    "protocol": one_of("exact", "exu_net"),
    "train_set": one_of("vox1", "vox2", "vox1+vox2"),
    "download": several_of("|".join(ARCHIVES), " and ".join(ARCHIVES)),
    "microphones": several_of(r"mc[0-9]{2}", "microphones as in mc01,mc05"),
    "by": several_of("room|distractor|mictype|distance|mic|angle", "room, distractor, mictype, distance, mic, angle"),
    "despite": several_of(r"[a-z][a-z0-9_]*", "names of what systems may differ in"),
    "test_audio": unset_or(folders),
    "data": unset_or(folder_to_write),
    "exp": unset_or(folder_to_write),
}
LINES = ("set",)  # options of several lines
CORPORA = (
    "corpora",
    "voxceleb1",
    "voxceleb2",
    "musan",
    "rirs",
    "nonspeech100",
    "voices",
    "vctk",
    "digits",
    "noisy_vctk",
)
PATHS = (
    *CORPORA,
    "corpus",
    "config",
    "baseline",
    "phrase_config",
    "extractor",
    "initial",
    "large_margin",
    "model",
    "trials",
    "enrolment",
)
SWITCHES = ("mini", "dry_run", "compress", "halves", "verify_audio", "quiet")
OPTIONS |= dict.fromkeys(PATHS, path) | dict.fromkeys(SWITCHES, one_of("true", "false"))


def check_value(name: str, text: str) -> None:
    """Raise ValueError, without the option's name, for a value that its type does not take."""
    lines = text.split("\n") if name in LINES else [text]
    if not all(line.isprintable() for line in lines):
        raise ValueError(f"takes one line of text, got {text[:80]!r}")
    OPTIONS.get(name, str)(text)


def check_corpus(root: Path) -> None:
    """Raise ValueError, in one line, for a folder or table that stage 0 could not make a data directory of."""
    from local.prepare_folder import recordings_at  # late: it can read audio, which takes a second to import

    if not root.is_dir() and not root.is_file():
        raise ValueError(f"takes a folder of speakers or a table that is there, got {str(root)[:200]!r}")
    recordings_at(root)


def check_voxceleb2(options: dict[str, str]) -> None:
    """Raise ValueError, in one line that begins with an option, if VoxCeleb2 is to be trained on and cannot be prepared."""
    given, corpora, wanted = options.get("voxceleb2", ""), options.get("corpora", ""), options["train_set"]
    places = candidates(read_corpora()["voxceleb2"], given, corpora)
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        looked = (
            f"looked for {', '.join(map(str, places))}" if places else "neither --voxceleb2 nor --corpora was given"
        )
        raise ValueError(f"--train-set {wanted} needs VoxCeleb2: {looked}; --voxceleb2 DIR names its folder")
    try:
        check_folder(folder)
    except (OSError, ValueError) as error:
        raise ValueError(f"{'--voxceleb2' if given else f'--train-set {wanted}'} {error}") from error


def problem(options: dict[str, str]) -> str:
    """The first thing wrong with the options of a recipe, in a line that begins with the option's name; empty if they are right."""
    for name, text in options.items():
        option = f"--{name.replace('_', '-')}"
        try:
            check_value(name, text)
        except ValueError as error:
            return f"{option} {str(error).removeprefix(f'{option}: ')}"
    try:
        check_packages(options.get("runtime", ""), options.get("precision", "float32"))
    except ConfigError as error:
        return str(error)
    if int(options.get("stop_stage", 8)) < int(options.get("stage", 0)):
        return f"--stop-stage {options['stop_stage']} comes before --stage {options.get('stage', 0)}"
    if "snrs" in options:
        try:
            conditions_of(options["noises"], options["snrs"], options.get("noise", ""))
        except ValueError as error:
            return str(error).replace(": ", " ", 1)
    if options.get("noise") and options.get("stage", "0") == "0":
        try:
            check(options["noise"], int(options.get("seed", 0)))
        except (OSError, ValueError) as error:
            return str(error)
    prepares = options.get("stage", "0") == "0" and options.get("mini") != "true"
    if prepares and options.get("corpus"):
        try:
            check_corpus(Path(options["corpus"]))
        except (OSError, ValueError) as error:
            return f"--corpus {error}"
    if options.get("mini") == "true" and options.get("train_set", "vox1") != "vox1":
        return f"--train-set {options['train_set']} is of the real corpora; --mini has VoxCeleb1's likeness alone"
    for name in CORPORA:
        given = options.get(name)
        awaited = name == "corpora" and options.get("download")  # the downloads make the folder
        if prepares and given and not awaited and not Path(given).is_dir():
            return f"--{name.replace('_', '-')} takes a folder that is there, got {given[:200]!r}"
    if prepares and options.get("train_set", "vox1") != "vox1":
        try:
            check_voxceleb2(options)
        except ValueError as error:
            return str(error)
    return ""


def main(words: list[str]) -> None:
    """Check `name=value` words; the first word is the recipe, for the message."""
    recipe, *pairs = words
    if wrong := problem(dict(pair.split("=", 1) for pair in pairs)):
        sys.stderr.write(f"{recipe}: option {wrong}\n")
        sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
