"""Kaldi data directories: write, validate, slice."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from sv.files import write_text
from sv.kaldi.scp import (
    DataDirError,
    byte_order,
    invert,
    read_spk2utt,
    read_table,
    read_utt2dur,
    read_utt2spk,
    write_table,
)

UTTERANCE_TABLES = ("wav.scp", "utt2spk", "utt2dur")


def write_data_dir(
    path: str | Path,
    *,
    wav_scp: Mapping[str, str],
    utt2spk: Mapping[str, str],
    utt2dur: Mapping[str, float],
    spk2gender: Mapping[str, str] | None = None,
) -> None:
    """Write wav.scp, utt2dur, spk2utt, spk2gender (if known) and, last, utt2spk; each whole and in byte order."""
    path = Path(path)
    write_table(path / "wav.scp", wav_scp)
    write_table(path / "utt2dur", {utt: repr(float(seconds)) for utt, seconds in utt2dur.items()})
    write_table(path / "spk2utt", {speaker: " ".join(utts) for speaker, utts in invert(utt2spk).items()})
    if spk2gender:
        speakers = set(utt2spk.values())
        write_table(path / "spk2gender", {spk: gender for spk, gender in spk2gender.items() if spk in speakers})
    write_table(path / "utt2spk", utt2spk)
    if not (path / "quarantine.tsv").exists():
        write_text(path / "quarantine.tsv", "")


def subset_data_dir(source: str | Path, out: str | Path, utts: Iterable[str]) -> None:
    """Write the data directory of `utts` alone; raises DataDirError if `source` lacks one of them."""
    source, utts = Path(source), list(utts)
    tables = {name: read_table(source / name) for name in UTTERANCE_TABLES}
    if missing := [utt for utt in utts if utt not in tables["utt2spk"]]:
        raise DataDirError(f"{source}/utt2spk: {len(missing)} utterances are not there, e.g. {missing[:3]}")
    genders = source / "spk2gender"
    write_data_dir(
        out,
        wav_scp={utt: tables["wav.scp"][utt] for utt in utts},
        utt2spk={utt: tables["utt2spk"][utt] for utt in utts},
        utt2dur={utt: float(tables["utt2dur"][utt]) for utt in utts},
        spk2gender=read_table(genders) if genders.exists() else None,
    )


def split_keys(keys: Sequence[str], num_jobs: int, job: int) -> list[str]:
    """The contiguous slice of the byte-sorted keys that job number `job` (from 1) of `num_jobs` works on."""
    if not 1 <= job <= num_jobs:
        raise ValueError(f"job must be in 1..{num_jobs}, got {job}")
    ordered = sorted(keys, key=byte_order)
    return ordered[len(ordered) * (job - 1) // num_jobs : len(ordered) * job // num_jobs]


def quarantined(path: str | Path) -> set[str]:
    """Utterances that the data directory's quarantine.tsv lists."""
    file = Path(path) / "quarantine.tsv"
    return {line.split("\t")[0] for line in file.read_text(encoding="utf-8").splitlines()} if file.exists() else set()


def validate_data_dir(path: str | Path) -> list[str]:
    """Every rule that the data directory breaks, one line each with file and line; empty if it is sound.

    The rules are those of Kaldi's utils/validate_data_dir.sh for wav.scp, utt2spk, spk2utt, utt2dur and spk2gender:
    byte order, one line a key, the same utterances everywhere, the speaker as a prefix of the utterance; and that the
    files exist, which Kaldi does not check.
    """
    path = Path(path)
    problems: list[str] = []
    tables: dict[str, dict] = {}
    for name, read in (
        ("utt2spk", read_utt2spk),
        ("spk2utt", read_spk2utt),
        ("wav.scp", read_table),
        ("utt2dur", read_utt2dur),
    ):
        try:
            tables[name] = read(path / name)
        except (DataDirError, OSError) as error:
            problems.append(str(error))
    if problems:
        return problems
    if not tables["utt2spk"]:
        return [f"{path}/utt2spk: no utterances"]
    for name, table in tables.items():
        problems += _order_problems(path / name, list(table))
    utt2spk = tables["utt2spk"]
    for name in ("wav.scp", "utt2dur"):
        problems += _difference(path / name, tables[name].keys(), path / "utt2spk", utt2spk.keys())
    if tables["spk2utt"] != invert(utt2spk):
        problems.append(f"{path}/spk2utt: does not agree with utt2spk")
    for number, (utt, speaker) in enumerate(utt2spk.items(), start=1):
        if not utt.startswith(speaker):
            problems.append(f"{path}/utt2spk:{number}: speaker {speaker!r} is not a prefix of utterance {utt!r}")
    for number, (utt, file) in enumerate(tables["wav.scp"].items(), start=1):
        if not file.endswith("|") and not Path(file).is_file():
            problems.append(f"{path}/wav.scp:{number}: the file of {utt!r} is missing: {file}")
    return problems


def _order_problems(file: Path, keys: list[str]) -> list[str]:
    for number, (before, after) in enumerate(pairwise(keys), start=2):
        if byte_order(after) <= byte_order(before):
            return [f"{file}:{number}: {after!r} after {before!r}; sort with LC_ALL=C"]
    return []


def _difference(file: Path, keys: Iterable[str], other: Path, other_keys: Iterable[str]) -> list[str]:
    extra, missing = set(keys) - set(other_keys), set(other_keys) - set(keys)
    problems = []
    if extra:
        problems.append(f"{file}: {len(extra)} utterances are not in {other.name}, e.g. {min(extra)!r}")
    if missing:
        problems.append(f"{file}: {len(missing)} utterances of {other.name} are missing, e.g. {min(missing)!r}")
    return problems
