"""Preparation of any corpus: check each file once in parallel, convert what needs it, write a data directory."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from sv.base.files import atomic_write, sha256_of, write_text
from sv.base.layout import SAMPLING_RATE, file_stem
from sv.base.log import get_logger
from sv.base.notes import Notes
from sv.base.progress import counted
from sv.data.audio import BadAudio, can_be_cropped, check_speech, load_speech
from sv.data.manifests import write_manifests
from sv.kaldi.data_dir import write_data_dir
from sv.kaldi.scp import DataDirError, byte_order

AUDIO_SUFFIXES = (".wav", ".flac", ".m4a")
CHUNK = 32  # files a process takes at a time
NOTED = ("num_samples", "path", "converted", "averaged", "digest", "problem")  # of a result, for a check that goes on
Edit = Callable[["Source", np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One file of a corpus, its names, and the channel to take of it (the mean of all if None)."""

    utterance: str
    speaker: str
    path: str
    channel: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A source after the check: `problem` is empty if it can be used, from `path`; `averaged` over several channels.

    `digest` is the SHA-256 of the source's file, and that file, or, if it is a pipe, of what was made of it.
    """

    source: Source
    path: str = ""
    num_samples: int = 0
    converted: bool = False
    averaged: bool = False
    digest: str = ""
    problem: str = ""


def audio_files(folder: str | Path, suffixes: tuple[str, ...] = AUDIO_SUFFIXES) -> list[Path]:
    """Audio files anywhere below a folder, in byte order; symbolic links to folders are followed, but not upwards."""
    found = []
    for root, folders, names in os.walk(folder, followlinks=True):
        links = [name for name in folders if Path(root, name).is_symlink()]
        above = {Path(root).resolve(), *Path(root).resolve().parents} if links else set()
        for name in links:
            if Path(root, name).resolve() in above:
                folders.remove(name)
        found += [Path(root, name) for name in names if name.lower().endswith(suffixes) and not name.startswith("._")]
    return sorted(found, key=os.fsencode)  # as byte_order, for names that are not UTF-8, too


def check_source(
    source: Source,
    converted_dir: str,
    edit: Edit | None = None,
    allow_pipes: bool = False,
    by_speaker: bool = False,
) -> Checked:
    """Decode the file; write a 16 kHz mono wav of it into `converted_dir` if training could not read it as it is.

    With `by_speaker`, into a folder of its speaker there.
    """
    try:
        speech = load_speech(source.path, allow_pipes, source.channel)
        if not edit and speech.as_stored and can_be_cropped(source.path):
            return Checked(
                source=source, path=source.path, num_samples=len(speech.samples), digest=digest_of(source.path)
            )
        samples = edit(source, speech.samples) if edit else speech.samples
        check_speech(samples)
    except (BadAudio, OSError) as error:
        return Checked(source=source, problem=str(error))
    samples = samples / max(1.0, float(np.abs(samples).max()))  # PCM would clip
    folder = Path(converted_dir, source.speaker) if by_speaker else Path(converted_dir)
    path = folder / f"{file_stem(source.utterance)}.wav"
    with atomic_write(path, "wb") as file:
        soundfile.write(file, samples, SAMPLING_RATE, format="WAV", subtype="PCM_16")
    averaged = speech.num_channels > 1 and source.channel is None
    return Checked(
        source=source,
        path=str(path),
        num_samples=len(samples),
        converted=True,
        averaged=averaged,
        digest=digest_of(path if source.path.endswith("|") else source.path),
    )


def digest_of(path: str | Path) -> str:
    """A recording's entry of reco2digest."""
    return f"{sha256_of(path)} {path}"


def without_duplicates(sources: Iterable[Source]) -> tuple[list[Source], list[Checked]]:
    """The first source of each utterance in byte order of the paths, and the others with the reason."""
    first: dict[str, Source] = {}
    duplicates = []
    for source in sorted(sources, key=lambda source: byte_order(source.path)):
        if source.utterance in first:
            reason = f"duplicate utterance id, first at {first[source.utterance].path}"
            duplicates.append(Checked(source=source, problem=reason))
        else:
            first[source.utterance] = source
    return list(first.values()), duplicates


def check_all(
    sources: Iterable[Source],
    converted_dir: str | Path,
    nj: int,
    title: str,
    edit: Edit | None = None,
    allow_pipes: bool = False,
    by_speaker: bool = False,
) -> list[Checked]:
    """Check every source in `nj` processes, in byte order of the utterances, whatever `nj`.

    Results are noted beside `converted_dir` as they come, so that a check that was killed goes on where it was; `forget_checks`
    removes the notes. With `edit` or `allow_pipes` there are none: what these do may change without any file.
    """
    unique, duplicates = without_duplicates(sources)
    unique.sort(key=lambda source: byte_order(source.utterance))
    check = partial(
        _check_stamped, converted_dir=str(converted_dir), edit=edit, allow_pipes=allow_pipes, by_speaker=by_speaker
    )
    notes = Notes(_notes_of(converted_dir), f"{by_speaker} {_code()}")
    known = {} if edit or allow_pipes else _noted(notes, unique)
    todo = [source for source in unique if source.utterance not in known]
    if known:
        get_logger("prepare").info("%s: %d of %d files were checked before", title, len(known), len(unique))
    with nullcontext() if edit or allow_pipes else notes, ProcessPoolExecutor(nj) as pool:
        results = counted(pool.map(check, todo, chunksize=CHUNK), len(todo), title, "files")
        for source, (stamp, one) in zip(todo, results, strict=True):
            if stamp and not (edit or allow_pipes):
                notes.add(*stamp, *(getattr(one, name) for name in NOTED))
            known[source.utterance] = _of_source(one, source)
    return [*(known[source.utterance] for source in unique), *duplicates]


def _check_stamped(source: Source, **how: Any) -> tuple[tuple | None, Checked]:
    """`check_source`, and by what the file is known again: its utterance, path, channel, size and time; None if it is gone."""
    try:
        stamp = _stamp(source)
    except OSError:
        stamp = None
    return stamp, check_source(source, **how)


def _stamp(source: Source) -> tuple:
    stat = Path(source.path).stat()
    return source.utterance, source.path, source.channel, stat.st_size, stat.st_mtime_ns


def _of_source(one: Checked, source: Source) -> Checked:
    """A result with the names of the source itself: those that come back from another process are copies."""
    return replace(one, source=source, path=source.path if one.path == source.path else one.path)


def _notes_of(converted_dir: str | Path) -> Path:
    return Path(f"{converted_dir}.checked")


def forget_checks(converted_dir: str | Path) -> None:
    """Remove what `check_all` noted, when all of it is in a data directory, and its folder if nothing was converted."""
    notes = _notes_of(converted_dir)
    notes.unlink(missing_ok=True)
    with suppress(OSError):
        notes.parent.rmdir()


def _code() -> str:
    """Digest of the code of a check: what another code found is not gone on with."""
    return " ".join(sha256_of(Path(__file__).with_name(name))[:16] for name in ("corpus.py", "audio.py"))


def _noted(notes: Notes, sources: Sequence[Source]) -> dict[str, Checked]:
    """Results that an earlier check noted, by utterance: of files that have not changed, and whose conversion is there."""
    wanted, known = {source.utterance: source for source in sources}, {}
    for row in notes.read():
        source = wanted.get(row[0])
        try:
            if source is None or tuple(row[: -len(NOTED)]) != _stamp(source):
                continue
            one = Checked(source=source, **dict(zip(NOTED, row[-len(NOTED) :], strict=True)))
            if one.converted and Path(one.path).stat().st_size < 2 * one.num_samples:
                continue
        except OSError:
            continue
        known[source.utterance] = _of_source(one, source)
    return known


def write_quarantine(out: Path, checked: Sequence[Checked], max_bad: float) -> None:
    """Write the bad ones' quarantine.tsv; raises DataDirError if their share is larger than `max_bad`, or 1."""
    bad = [one for one in checked if one.problem]
    lines = [f"{one.source.utterance}\t{one.source.path}\t{one.problem}\n" for one in bad]
    write_text(out / "quarantine.tsv", "".join(lines))
    examples = "; ".join(f"{one.source.path}: {one.problem}" for one in bad[:3])
    if bad and len(bad) == len(checked):
        raise DataDirError(f"{out.name}: none of {len(bad)} files can be used (see {out}/quarantine.tsv): {examples}")
    if len(bad) > max_bad * len(checked):
        raise DataDirError(
            f"{out.name}: {len(bad)} of {len(checked)} files are bad, more than --max-bad {max_bad:g} allows "
            f"(all are in {out}/quarantine.tsv): {examples}"
        )


def write_set(
    out: str | Path,
    sources: Iterable[Source],
    *,
    nj: int,
    max_bad: float,
    spk2gender: Mapping[str, str] | None = None,
    edit: Edit | None = None,
    misnamed: Sequence[Checked] = (),
    by_speaker: bool = False,
) -> set[str]:
    """Check a set's files and write its data directory, manifests and quarantine.tsv.

    Parameters
    ----------
    out : path
        Files that need conversion are converted into ../converted/<its name>.
    sources : iterable of Source
    nj : int
        Processes.
    max_bad : float in [0, 1]
        Share of bad files up to which the others are used.
    spk2gender : mapping, optional
    edit : callable, optional
        From a source and its (samples,) at 16 kHz to what is written in their place; quarantined if it raises BadAudio.
    misnamed : sequence of Checked
        Files that were found bad before this, by their names.
    by_speaker : bool
        Convert into a folder of each speaker: a million files in one folder are too many for some disks.

    Returns
    -------
    set of str
        Quarantined utterances.

    Raises
    ------
    DataDirError
        If there is no file, or too many are bad; then nothing but quarantine.tsv is written.
    """
    out, sources = Path(out), list(sources)
    if not sources and not misnamed:
        raise DataDirError(f"{out.name}: no audio files ({', '.join(AUDIO_SUFFIXES)}) found")
    converted_dir = out.absolute().parent / "converted" / out.name
    checked = check_all(sources, converted_dir, nj, out.name, edit, by_speaker=by_speaker)
    checked += misnamed
    bad = [one for one in checked if one.problem]
    good = [one for one in checked if not one.problem]
    write_quarantine(out, checked, max_bad)
    write_data_dir(
        out,
        wav_scp={one.source.utterance: one.path for one in good},
        utt2spk={one.source.utterance: one.source.speaker for one in good},
        utt2dur={one.source.utterance: one.num_samples / SAMPLING_RATE for one in good},
        spk2gender=spk2gender,
        reco2digest={one.source.utterance: one.digest for one in good},
    )
    write_manifests(out)
    forget_checks(converted_dir)
    get_logger("prepare").info(
        "%s: %d utterances, %d converted to 16 kHz mono, %d quarantined",
        out.name, len(good), sum(one.converted for one in good), len(bad),
    )  # fmt: skip
    log_averaged(out.name, good)
    return {one.source.utterance for one in bad} - {one.source.utterance for one in good}


def log_averaged(name: str, good: Iterable[Checked]) -> None:
    """Log how many recordings were made mono by the mean of their channels, if any was."""
    if count := sum(one.averaged for one in good):
        get_logger("prepare").warning("%s: %d recordings have several channels; their mean is used", name, count)


def run_preparation(
    prepare: Callable[[argparse.Namespace], None], description: str, *options: tuple[str, dict]
) -> None:
    """Parse `ROOT DATA --nj --max-bad` and further options, prepare, and exit 1 with one line if the data are bad."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0], allow_abbrev=False)
    parser.add_argument("root", type=Path, help="the corpus; it is only read")
    parser.add_argument("data", type=Path, help="folder that gets the data directories")
    parser.add_argument("--nj", type=int, default=1, help="processes")
    parser.add_argument("--max-bad", type=float, default=0.01, help="share of bad files to tolerate (%(default)s)")
    for name, settings in options:
        parser.add_argument(name, **settings)
    args = parser.parse_args()
    args.root = args.root.absolute()
    try:
        prepare(args)
    except (DataDirError, BadAudio, OSError) as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
