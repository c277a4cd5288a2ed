"""Preparation of any corpus: check each file once in parallel, convert what needs it, write a data directory."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from sv.base.files import atomic_write, sha256_of, write_text
from sv.base.layout import SAMPLING_RATE, file_stem
from sv.base.log import get_logger
from sv.base.progress import counted
from sv.data.audio import BadAudio, can_be_cropped, check_speech, load_speech
from sv.data.manifests import write_manifests
from sv.kaldi.data_dir import write_data_dir
from sv.kaldi.scp import DataDirError, byte_order

AUDIO_SUFFIXES = (".wav", ".flac", ".m4a")
CHUNK = 32  # files a process takes at a time
Edit = Callable[["Source", np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file of a corpus, its names, and the channel to take of it (the mean of all if None)."""

    utterance: str
    speaker: str
    path: str
    channel: int | None = None


@dataclass(frozen=True, kw_only=True)
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
) -> Checked:
    """Decode the file; write a 16 kHz mono wav of it into `converted_dir` if training could not read it as it is."""
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
    path = Path(converted_dir, f"{file_stem(source.utterance)}.wav")
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
) -> list[Checked]:
    """Check every source in `nj` processes, in byte order of the utterances, whatever `nj`."""
    unique, duplicates = without_duplicates(sources)
    unique.sort(key=lambda source: byte_order(source.utterance))
    check = partial(
        check_source,
        converted_dir=str(converted_dir),
        edit=edit,
        allow_pipes=allow_pipes,
    )
    with ProcessPoolExecutor(nj) as pool:
        results = pool.map(check, unique, chunksize=CHUNK)
        return [*counted(results, len(unique), title, "files"), *duplicates]


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
    checked = check_all(sources, out.absolute().parent / "converted" / out.name, nj, out.name, edit)
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
