#!/usr/bin/env python3
"""VOiCES on disk -> data directories voices_devkit, voices_dev and voices_eval: those of its parts that are there.

    local/prepare_voices.py /corpora/VOiCES_devkit data

The devkit is distant-16k/speech/<train|test>/<room>/<distractor>/<speaker>/ and source-16k/<train|test>/<speaker>/. Of the
2019 challenge, sid_dev/<speaker>/ is the development audio, and sid_eval/, whose names say nothing, the evaluation audio;
the organisers' VOiCES_challenge_2019_eval.SID.map tells what those are. Names are parsed strictly: what is odd, or lies in
a folder of another room, distractor or speaker than its name says, is quarantined.

Beside the usual tables: utt2name (the file's name without suffix), and, of what each name says, utt2room, utt2distractor,
utt2mic, utt2mictype, utt2distance (the microphone's place: clo, mid, far, ...) and utt2angle.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local.corpora import Corpus
from local.voices import OddName, VoicesName, parse_name
from sv.data.corpus import Checked, Source, audio_files, run_preparation, write_set
from sv.kaldi.scp import DataDirError, read_utt2spk, text_rows, write_table

CORPUS = Corpus(
    folders=("VOiCES_devkit", "VOiCES", "VOiCES_Box_unzip"),
    how_to_get="https://iqtlabs.github.io/voices/downloads/ has the devkit, and the challenge's sets and lists",
    layouts=(
        ("distant-16k/speech/*/rm*", "devkit"),
        ("sid_*/*", "challenge"),
        ("*/Speaker_Recognition/sid_*/*", "challenge"),
    ),
)

DEVKIT_FOLDERS = ("distant-16k/speech", "source-16k")
DEV_FOLDERS = ("Development_Data/Speaker_Recognition/sid_dev", "sid_dev")
EVAL_FOLDERS = (
    "Evaluation_Data/Speaker_Recognition/sid_eval",
    "Speaker_Recognition/sid_eval",
    "sid_eval",
)
EVAL_MAPS = (
    "VOiCES_challenge_2019_post-eval-release/VOiCES_challenge_2019_eval.SID.map",
    "VOiCES_challenge_2019_eval.SID.map",
)
TABLES = {
    "utt2room": "room",
    "utt2distractor": "distractor",
    "utt2mic": "microphone",
    "utt2mictype": "mic_type",
    "utt2distance": "place",
    "utt2angle": "angle",
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """The files of one set: what can be named, and what cannot.

    Attributes
    ----------
    names : dict
        Of the utterances, where they are known.
    stems : dict
        File names without suffix, of the utterances.
    """

    sources: list[Source]
    misnamed: list[Checked]
    names: dict[str, VoicesName]
    stems: dict[str, str]


def read_names(files: list[Path], name_of: Callable[[Path], VoicesName]) -> Found:
    """Name each file by `name_of`, which raises OddName for one that cannot be."""
    sources, misnamed, names, stems = [], [], {}, {}
    for path in files:
        try:
            name = name_of(path)
        except OddName as error:
            unnamed = Source(utterance=path.stem, speaker=path.stem, path=str(path))
            misnamed.append(Checked(source=unnamed, problem=str(error)))
        else:
            sources.append(Source(utterance=name.utterance, speaker=name.speaker, path=str(path)))
            names[name.utterance], stems[name.utterance] = name, path.stem
    return Found(sources=sources, misnamed=misnamed, names=names, stems=stems)


def name_in_folders(path: Path, root: Path) -> VoicesName:
    """The file's name, if it agrees with the folders that it lies in below `root`."""
    name, folders = parse_name(path.stem), path.relative_to(root).parts[:-1]
    expected = (name.speaker,) if name.is_source else (name.room, name.distractor, name.speaker)
    given = folders[-len(expected) :]
    if root.name == "sid_dev":
        expected, given = (name.speaker,), folders[-1:]
    if given != expected:
        raise OddName(f"{path.stem!r} lies in {'/'.join(given)}, its name says {'/'.join(expected)}")
    return name


def find_devkit(root: Path) -> Found | None:
    """Source and distant recordings of the devkit; None if there are none here."""
    folders = [root / folder for folder in DEVKIT_FOLDERS]
    if not any(folder.is_dir() for folder in folders):
        return None
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        raise DataDirError(f"{root}: {missing[0]} is missing; a devkit has {' and '.join(DEVKIT_FOLDERS)}")
    found = [read_names(audio_files(folder), lambda path, top=folder: name_in_folders(path, top)) for folder in folders]
    distant, source = found
    return Found(
        sources=distant.sources + source.sources,
        misnamed=distant.misnamed + source.misnamed,
        names=distant.names | source.names,
        stems=distant.stems | source.stems,
    )


def find_dev(root: Path) -> Found | None:
    """Development audio of the challenge."""
    folder = first_of(root, DEV_FOLDERS)
    return folder and read_names(audio_files(folder), lambda path: name_in_folders(path, folder))


def find_eval(root: Path) -> Found | None:
    """Evaluation audio of the challenge; named by the organisers' map, or, without it, each file a speaker of its own."""
    folder, map_file = first_of(root, EVAL_FOLDERS), first_of(root, EVAL_MAPS)
    if folder is None:
        return None
    files = audio_files(folder)
    if map_file is None:
        sources = [Source(utterance=path.stem, speaker=path.stem, path=str(path)) for path in files]
        return Found(sources=sources, misnamed=[], names={}, stems={path.stem: path.stem for path in files})
    original = read_map(map_file)

    def name_of(path: Path) -> VoicesName:
        if path.stem not in original:
            raise OddName(f"{path.stem!r} is not in {map_file}")
        return original[path.stem]

    return read_names(files, name_of)


def read_map(path: Path) -> dict[str, VoicesName]:
    """Lines of `<anonymous name> <original path>`: the names by anonymous name."""
    names = {}
    for number, line in text_rows(path):
        fields = line.split()
        if len(fields) != 2:
            raise DataDirError(f"{path}:{number}: expected '<anonymous name> <original name>', got {line!r}")
        try:
            names[Path(fields[0]).stem] = parse_name(Path(fields[1]).stem)
        except OddName as error:
            raise DataDirError(f"{path}:{number}: {error}") from error
    return names


def first_of(root: Path, candidates: tuple[str, ...]) -> Path | None:
    """The first candidate below `root` that exists."""
    return next((root / name for name in candidates if (root / name).exists()), None)


def prepare(args: argparse.Namespace) -> None:
    """Write the data directories of all that is found."""
    parts = {
        "voices_devkit": find_devkit(args.root),
        "voices_dev": find_dev(args.root),
        "voices_eval": find_eval(args.root),
    }
    if not any(parts.values()):
        places = ", ".join((*DEVKIT_FOLDERS, *DEV_FOLDERS, *EVAL_FOLDERS))
        raise DataDirError(f"{args.root}: no VOiCES here; looked for {places}")
    for name, found in parts.items():
        if found is None:
            continue
        out = args.data / name
        write_set(out, found.sources, nj=args.nj, max_bad=args.max_bad, misnamed=found.misnamed)
        kept = read_utt2spk(out / "utt2spk")
        write_table(out / "utt2name", {utt: found.stems[utt] for utt in kept})
        if found.names:
            for table, field in TABLES.items():
                write_table(out / table, {utt: getattr(found.names[utt], field) for utt in kept})


if __name__ == "__main__":
    run_preparation(prepare, __doc__)
