"""Kaldi data directories: write, validate, slice."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path

from sv.base.files import write_text
from sv.kaldi.scp import (
    DataDirError,
    byte_order,
    invert,
    read_spk2utt,
    read_table,
    read_utt2dur,
    read_utt2spk,
    text_rows,
    write_table,
)
from sv.kaldi.segments import Segment, read_segments

UTTERANCE_TABLES = ("wav.scp", "utt2spk", "utt2dur")
DURATION_TOLERANCE = 0.02  # s; other tools count frames


def write_data_dir(
    path: str | Path,
    *,
    wav_scp: Mapping[str, str],
    utt2spk: Mapping[str, str],
    utt2dur: Mapping[str, float],
    spk2gender: Mapping[str, str] | None = None,
    reco2digest: Mapping[str, str] | None = None,
) -> None:
    """Write wav.scp, utt2dur, spk2utt, what is known of spk2gender and reco2digest, and, last, utt2spk.

    Each is written whole and in byte order. reco2digest holds `<recording> <SHA-256 of the file> <file>`, of the file that
    the corpus has, whatever was converted.
    """
    path = Path(path)
    write_table(path / "wav.scp", wav_scp)
    if reco2digest:
        write_table(path / "reco2digest", {key: value for key, value in reco2digest.items() if key in wav_scp})
    else:
        (path / "reco2digest").unlink(missing_ok=True)  # of what was there before
    write_table(path / "utt2dur", {utt: repr(float(seconds)) for utt, seconds in utt2dur.items()})
    write_table(path / "spk2utt", {speaker: " ".join(utts) for speaker, utts in invert(utt2spk).items()})
    if spk2gender:
        speakers = set(utt2spk.values())
        write_table(path / "spk2gender", {spk: gender for spk, gender in spk2gender.items() if spk in speakers})
    else:
        (path / "spk2gender").unlink(missing_ok=True)  # likewise
    write_table(path / "utt2spk", utt2spk)
    if not (path / "quarantine.tsv").exists():
        write_text(path / "quarantine.tsv", "")


def subset_data_dir(source: str | Path, out: str | Path, utts: Iterable[str]) -> None:
    """Write the tables of `utts` alone, those that `write_data_dir` writes, segments and utt2session.

    Raises
    ------
    DataDirError
        If an utterance is not there.
    """
    source, utts = Path(source), list(utts)
    tables = {name: read_table(source / name) for name in UTTERANCE_TABLES}
    if missing := [utt for utt in utts if utt not in tables["utt2spk"]]:
        raise DataDirError(f"{source}/utt2spk: {len(missing)} utterances are not there, e.g. {missing[:3]}")
    genders, digests, segments = source / "spk2gender", source / "reco2digest", source / "segments"
    (Path(out) / "utt2session").unlink(missing_ok=True)  # of what was there before
    if (source / "utt2session").exists():
        sessions = read_table(source / "utt2session", value="session")
        write_table(Path(out) / "utt2session", {utt: sessions[utt] for utt in utts if utt in sessions})
    if segments.exists():
        tables["segments"] = read_table(segments)
        write_table(Path(out) / "segments", {utt: tables["segments"][utt] for utt in utts})
    write_data_dir(
        out,
        wav_scp={key: tables["wav.scp"][key] for key in _recordings_of(tables, utts)},
        utt2spk={utt: tables["utt2spk"][utt] for utt in utts},
        utt2dur={utt: float(tables["utt2dur"][utt]) for utt in utts},
        spk2gender=read_table(genders) if genders.exists() else None,
        reco2digest=read_table(digests) if digests.exists() else None,
    )


def audio_digest(paths: Iterable[str | Path]) -> str:
    """Digest of the recordings of data directories, by reco2digest, wherever they lie; empty if none has that table."""
    digest, tables = hashlib.sha256(), [Path(path) / "reco2digest" for path in paths]
    if not any(table.exists() for table in tables):
        return ""
    for table in tables:
        for key, value in read_table(table).items() if table.exists() else ():
            digest.update(f"{key} {value.split()[0]}\n".encode())
    return digest.hexdigest()


KEYED_BY_SPEAKER = ("spk2gender",)
KEYED_BY_RECORDING = ("reco2dur", "reco2digest", "reco2file_and_channel")
# Tables of a Kaldi data directory whose keys are utterances, besides utt2spk; wav.scp too, if there are no segments.
KEYED_BY_UTTERANCE = (
    "segments", "feats.scp", "vad.scp", "cmvn.scp", "text", "utt2dur", "utt2num_frames", "utt2lang", "utt2uniq",
    "utt2session",
)  # fmt: skip


def _tables(path: Path) -> dict[str, dict[str, str]]:
    """Every table that the directory has, by name; raises DataDirError naming file and line."""
    names = ("utt2spk", "wav.scp", *KEYED_BY_UTTERANCE, *KEYED_BY_SPEAKER, *KEYED_BY_RECORDING)
    return {name: read_table(path / name) for name in names if (path / name).exists()}


def _recordings_of(tables: Mapping[str, Mapping[str, str]], utts: Iterable[str]) -> set[str]:
    """Recordings that the utterances are cut from; without segments, utterances are recordings."""
    segments = tables.get("segments")
    return {segments[utt].split()[0] for utt in utts} if segments else set(utts)


def _write_tables(path: Path, tables: Mapping[str, Mapping[str, str]], utts: set[str]) -> None:
    """Write the tables cut to the utterances, with spk2utt, and utt2spk last."""
    utt2spk = {utt: tables["utt2spk"][utt] for utt in utts}
    kept = {"wav.scp": _recordings_of(tables, utts)} | {key: set(utt2spk.values()) for key in KEYED_BY_SPEAKER}
    kept |= dict.fromkeys(KEYED_BY_RECORDING, kept["wav.scp"])
    for name, table in tables.items():
        if name != "utt2spk":
            keys = kept.get(name, utts)
            write_table(path / name, {key: value for key, value in table.items() if key in keys})
    write_table(path / "spk2utt", {speaker: " ".join(own) for speaker, own in invert(utt2spk).items()})
    write_table(path / "utt2spk", utt2spk)


def cut_data_dir(source: str | Path, out: str | Path, utts: Iterable[str]) -> None:
    """Write the data directory of some utterances, every table that the source has cut to them.

    Raises
    ------
    DataDirError
        If an utterance is not there, or a table of the source cannot be read.
    """
    tables, utts = _tables(Path(source)), list(utts)
    if missing := [utt for utt in utts if utt not in tables["utt2spk"]]:
        raise DataDirError(f"{source}/utt2spk: {len(missing)} utterances are not there, e.g. {missing[:3]}")
    _write_tables(Path(out), tables, set(utts))


def combine_data_dirs(out: str | Path, sources: Sequence[str | Path]) -> list[str]:
    """Write the union of data directories; returns the tables that not all of them have, which are left out.

    Raises
    ------
    DataDirError
        If a key stands in two of them with different values; the same utterance twice, alike, is one.
    """
    all_tables = [_tables(Path(source)) for source in sources]
    names = set.intersection(*(set(tables) for tables in all_tables))
    if "utt2spk" not in names:
        raise DataDirError(f"{', '.join(map(str, sources))}: not all have utt2spk")
    combined: dict[str, dict[str, str]] = {name: {} for name in names}
    for source, tables in zip(sources, all_tables, strict=True):
        for name in names:
            for key, value in tables[name].items():
                if combined[name].setdefault(key, value) != value:
                    raise DataDirError(
                        f"{source}/{name}: {key!r} is {value!r} here, and {combined[name][key]!r} in another directory"
                    )
    _write_tables(Path(out), combined, set(combined["utt2spk"]))
    return sorted(set().union(*all_tables) - names)


def fix_data_dir(path: str | Path) -> list[str]:
    """Sort the tables and keep what stands in all of them; returns a line on each thing that was dropped.

    An utterance stays if utt2spk has it, every table by utterance that is there has it, and its recording is in wav.scp.

    Raises
    ------
    DataDirError
        For a table that cannot be read, a key that appears twice in one, or if nothing would stay; nothing is changed then.
    """
    path = Path(path)
    tables, notes = _tables(path), []
    if "utt2spk" not in tables:
        raise DataDirError(f"{path}/utt2spk: not there")
    utts = set(tables["utt2spk"])
    for name in KEYED_BY_UTTERANCE:
        if name in tables:
            utts &= tables[name].keys()
    if "wav.scp" in tables:
        utts = {utt for utt in utts if _recordings_of(tables, [utt]) <= tables["wav.scp"].keys()}
    if not utts:
        raise DataDirError(f"{path}: no utterance stands in all of {', '.join(sorted(tables))}")
    for name, table in tables.items():
        keys = utts if name in ("utt2spk", *KEYED_BY_UTTERANCE) else table.keys()
        keys = _recordings_of(tables, utts) if name in ("wav.scp", *KEYED_BY_RECORDING) else keys
        if dropped := sorted(table.keys() - keys, key=byte_order):
            notes.append(f"{path}/{name}: dropped {len(dropped)} of {len(table)}, e.g. {dropped[:3]}")
        elif list(table) != sorted(table, key=byte_order):
            notes.append(f"{path}/{name}: sorted")
    _write_tables(path, tables, utts)
    return notes


def split_keys(keys: Sequence[str], num_jobs: int, job: int, weights: Mapping[str, float] | None = None) -> list[str]:
    """The contiguous slice of the byte-sorted keys that job number `job` (from 1) of `num_jobs` works on.

    Slices are of about the same number of keys, or of the same sum of positive weights.
    """
    if not 1 <= job <= num_jobs:
        raise ValueError(f"job must be in 1..{num_jobs}, got {job}")
    ordered = sorted(keys, key=byte_order)
    if weights is None or not ordered:
        return ordered[len(ordered) * (job - 1) // num_jobs : len(ordered) * job // num_jobs]
    ends = list(accumulate(weights[key] for key in ordered))
    middles = ((before + end) / 2 for before, end in pairwise([0.0, *ends]))
    return [key for key, middle in zip(ordered, middles) if int(num_jobs * middle / ends[-1]) == job - 1]


def share_of(path: str | Path, num_jobs: int, job: int) -> list[str]:
    """Utterances of a data directory for job number `job` (from 1): contiguous in byte order, of about the same duration.

    Without utt2dur they are of about the same number.
    """
    utts, durations = list(read_utt2spk(Path(path) / "utt2spk")), Path(path) / "utt2dur"
    known = read_utt2dur(durations) if durations.exists() else {}
    return split_keys(utts, num_jobs, job, known if known.keys() >= set(utts) else None)


def quarantined(path: str | Path) -> set[str]:
    """Utterances that the data directory's quarantine.tsv lists."""
    file = Path(path) / "quarantine.tsv"
    return {line.split("\t")[0] for _, line in text_rows(file)} if file.exists() else set()


def validate_data_dir(path: str | Path) -> list[str]:
    """Every rule that the data directory breaks, one line each with file and line; empty if it is sound.

    The rules are those of Kaldi's utils/validate_data_dir.sh for wav.scp, segments, utt2spk, spk2utt and utt2dur: byte
    order, one line a key, the same utterances everywhere, the speaker as a prefix of the utterance, and utterances in the
    order of their speakers. Besides, that the files exist, which Kaldi does not check, that segments have their recordings,
    and utt2dur their durations.
    """
    path = Path(path)
    problems: list[str] = []
    tables: dict[str, dict] = {}
    readers = {"utt2spk": read_utt2spk, "spk2utt": read_spk2utt, "wav.scp": read_table, "utt2dur": read_utt2dur}
    if (path / "segments").exists():
        readers["segments"] = read_segments
    for name, read in readers.items():
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
    segments = tables.get("segments")
    for name in ("segments" if segments else "wav.scp", "utt2dur"):
        problems += _difference(path / name, tables[name].keys(), path / "utt2spk", utt2spk.keys())
    if segments:
        problems += _segment_problems(path, segments, tables["wav.scp"], tables["utt2dur"])
    if tables["spk2utt"] != invert(utt2spk):
        problems.append(f"{path}/spk2utt: does not agree with utt2spk")
    problems += speaker_order_problems(path / "utt2spk", utt2spk)
    for number, (utt, speaker) in enumerate(utt2spk.items(), start=1):
        if not utt.startswith(speaker):
            problems.append(f"{path}/utt2spk:{number}: speaker {speaker!r} is not a prefix of utterance {utt!r}")
    for number, (utt, file) in enumerate(tables["wav.scp"].items(), start=1):
        if not file.endswith("|") and not _is_file(file):
            problems.append(f"{path}/wav.scp:{number}: the file of {utt!r} is missing: {file[:200]}")
    return problems


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except OSError:  # a name that no file can have
        return False


def _segment_problems(
    path: Path, segments: Mapping[str, Segment], recordings: Mapping[str, str], utt2dur: Mapping[str, float]
) -> list[str]:
    problems = []
    for number, (utt, segment) in enumerate(segments.items(), start=1):
        if segment.recording not in recordings:
            problems.append(f"{path}/segments:{number}: recording {segment.recording!r} of {utt!r} is not in wav.scp")
        length = segment.end - segment.start
        if utt in utt2dur and abs(utt2dur[utt] - length) > DURATION_TOLERANCE:
            problems.append(f"{path}/segments:{number}: {utt!r} lasts {length:g} s, by utt2dur {utt2dur[utt]:g} s")
    return problems


def speaker_order_problems(file: Path, utt2spk: Mapping[str, str]) -> list[str]:
    """A line on the first utterance that is not in the order of its speaker, as Kaldi wants: `LC_ALL=C sort -k2` changes nothing.

    That the speaker is a prefix is not enough: 13_1 of 13 comes before 1_2 of 1. With `-`, which is lower than letters and
    digits, after the speaker it does.

    Parameters
    ----------
    file : Path
        Named in the line.
    utt2spk : mapping of str to str
        In byte order.
    """
    rows = enumerate(pairwise(utt2spk.items()), start=2)
    for number, ((before, first), (after, second)) in rows:
        if byte_order(second) < byte_order(first):
            return [
                f"{file}:{number}: not sorted by speaker, as Kaldi wants it: "
                f"{after!r} of {second!r} after {before!r} of {first!r}; "
                "begin utterance ids with the speaker and '-'"
            ]
    return []


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
