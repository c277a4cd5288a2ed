#!/usr/bin/env python3
"""VoxCeleb1 on disk -> data directories voxceleb1_dev and voxceleb1_test, with the official trials.

    local/prepare_voxceleb1.py /corpora/voxceleb1 data

Reads dev/wav and test/wav (or vox1_dev_wav/wav and vox1_test_wav/wav), or both merged in wav/, where the speakers of the
trial list are the test set. --trials is a name of local/protocols.toml, whose list has to be the published one, or a file.
Utterance ids are <speaker>-<video>-<file>. A folder of Kaldi data directories, voxceleb1_dev (or train) and voxceleb1_test
with trials, is taken too, whatever its utterances are called, with or without segments.
"""

import argparse
from pathlib import Path

import numpy as np

from local.corpora import Corpus
from local.protocols import Protocol, identify, published_list, read_protocols, record_list, suggestion
from sv.base.files import write_text
from sv.data.corpus import Source, audio_files, run_preparation, write_set
from sv.data.importing import import_data_dir
from sv.kaldi.scp import DataDirError, text_rows
from sv.kaldi.trials import Trials, write_trials

CORPUS = Corpus(
    folders=("voxceleb1", "VoxCeleb1", "vox1"),
    how_to_get="fill in the owners' form at https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox1.html, then unpack "
    "dev/wav, test/wav, veri_test2.txt and vox1_meta.csv",
    layouts=(
        ("dev/wav/id*", "dev and test apart"),
        ("wav/id*", "dev and test merged"),
        ("vox1_dev_wav*", "still packed"),
    ),
)

TRIAL_LISTS = ("veri_test2.txt", "veri_test.txt")  # cleaned, original
KALDI_FOLDERS = {"voxceleb1_dev": ("voxceleb1_dev", "train"), "voxceleb1_test": ("voxceleb1_test",)}
SPLIT_FOLDERS = {"dev": ("dev/wav", "vox1_dev_wav/wav", "dev"), "test": ("test/wav", "vox1_test_wav/wav", "test")}


def find_trial_list(root: Path, name: str | None) -> tuple[Path, Protocol | None]:
    """The trial list asked for, with its protocol if that was by its published name; or the first official one that is there.

    Raises
    ------
    DataDirError
        If there is none, it is not the published one, or it tests speakers that this recipe trains on.
    """
    known = read_protocols().get(name or "")
    if known and (known.recipe != "voxceleb1" or known.audio):
        how = (
            f"egs/{known.recipe} tests it"
            if known.recipe != "voxceleb1"
            else "local/import_trial_list.py makes its set"
        )
        raise DataDirError(f"{name}: no list of a test set that is held out of VoxCeleb1; {how}")
    if found := published_list(name or "", [root]):
        return found[1], found[0]
    candidates = [root / candidate for candidate in ([name] if name else TRIAL_LISTS)]
    for path in candidates:
        if path.is_file():
            return path, None
    hint = f"; {suggestion(name, read_protocols())}" if name else ""
    raise DataDirError(f"no trial list; looked for {', '.join(map(str, candidates))}{hint}")


def read_official_trials(path: Path) -> list[tuple[bool, str, str]]:
    """Lines of `1|0 speaker/video/file.wav speaker/video/file.wav` as (is_target, utterance, utterance)."""
    trials = []
    for number, line in text_rows(path):
        fields = line.split()
        if len(fields) != 3 or fields[0] not in ("0", "1") or any(name.count("/") != 2 for name in fields[1:]):
            raise DataDirError(f"{path}:{number}: expected '1|0 speaker/video/file speaker/video/file', got {line!r}")
        trials.append((fields[0] == "1", *(utterance_id(Path(name)) for name in fields[1:])))
    return trials


def utterance_id(path: Path) -> str:
    """`.../id10001/1zcIwhmdeo4/00001.wav` -> `id10001-1zcIwhmdeo4-00001`."""
    speaker, video = path.parts[-3:-1]
    return f"{speaker}-{video}-{path.stem}"


def sources_below(folder: Path) -> list[Source]:
    """The files of <folder>/<speaker>/<video>/."""
    sources = []
    for path in audio_files(folder):
        if len(path.relative_to(folder).parts) != 3:
            raise DataDirError(f"{path}: expected {folder}/<speaker>/<video>/<file>")
        sources.append(Source(utterance=utterance_id(path), speaker=path.parts[-3], path=str(path)))
    return sources


def find_sources(root: Path, test_speakers: set[str]) -> dict[str, list[Source]]:
    """The files of `dev` and `test`, in either layout."""
    folders = {
        split: next((root / name for name in names if (root / name).is_dir()), None)
        for split, names in SPLIT_FOLDERS.items()
    }
    if all(folders.values()):
        return {split: sources_below(folder) for split, folder in folders.items()}
    if not (root / "wav").is_dir():
        raise DataDirError(f"{root}: found neither dev/wav and test/wav, nor wav; is this VoxCeleb1, unpacked?")
    merged = sources_below(root / "wav")
    return {
        "dev": [source for source in merged if source.speaker not in test_speakers],
        "test": [source for source in merged if source.speaker in test_speakers],
    }


def read_genders(root: Path) -> dict[str, str]:
    """Speaker to m or f from vox1_meta.csv; empty if there is none."""
    path = root / "vox1_meta.csv"
    if not path.is_file():
        return {}
    rows = [(number, [field.strip() for field in line.split("\t")]) for number, line in text_rows(path)]
    header = rows[0][1] if rows else []
    if not {"VoxCeleb1 ID", "Gender"} <= set(header):
        raise DataDirError(f"{path}: expected tab-separated columns 'VoxCeleb1 ID' and 'Gender'")
    genders = {}
    for number, fields in rows[1:]:
        if len(fields) != len(header):
            raise DataDirError(f"{path}:{number}: expected {len(header)} tab-separated columns, got {len(fields)}")
        row = dict(zip(header, fields))
        genders[row["VoxCeleb1 ID"]] = row["Gender"].lower()[:1]
    return genders


def usable_trials(path: Path, known: set[str], quarantined: set[str]) -> tuple[Trials, list[str]]:
    """Trials whose two utterances can be used, and those that a quarantined utterance takes away."""
    kept, dropped = [], []
    for number, (is_target, enrolment, test) in enumerate(read_official_trials(path), start=1):
        for utterance in (enrolment, test):
            if utterance not in known and utterance not in quarantined:
                raise DataDirError(
                    f"{path}:{number}: the trial names {utterance}, of which there is no file in the test set"
                )
        if enrolment in quarantined or test in quarantined:
            dropped.append(f"{enrolment} {test}")
        else:
            kept.append((enrolment, test, is_target))
    if not kept:
        raise DataDirError(f"{path}: no trials")
    enrolment, test, labels = zip(*kept)
    return Trials(list(enrolment), list(test), np.array(labels)), dropped


def kaldi_dirs(root: Path) -> dict[str, Path]:
    """Kaldi data directories to be taken as the dev and test set; empty unless both are there."""
    found = {
        name: next((root / folder for folder in folders if (root / folder / "wav.scp").is_file()), None)
        for name, folders in KALDI_FOLDERS.items()
    }
    return found if all(found.values()) else {}


def refuse_tested_speakers(trial_list: Path, test_speakers: set[str], dev: list[Source]) -> None:
    """Raise DataDirError if the list is for models that were not trained on this corpus: it tests speakers of dev."""
    known, shared = identify(trial_list, read_protocols()), sorted(test_speakers & {source.speaker for source in dev})
    if shared or (known and known.training):
        name = known.name if known else "vox1-e-cleaned"
        raise DataDirError(
            f"{trial_list}: tests speakers of the training set{f', e.g. {shared[0]}' if shared else ''}; as vox1-e and vox1-h, it "
            f"is for models trained on others: ./run.sh --trials {name} --model NAME"
        )


def prepare(args: argparse.Namespace) -> None:
    """Write both data directories."""
    if folders := kaldi_dirs(args.root):
        if args.trials:
            raise DataDirError(
                f"{args.root}: Kaldi data directories, whose trials are used; leave out --trials {args.trials}"
            )
        if not (folders["voxceleb1_test"] / "trials").is_file():
            raise DataDirError(
                f"{folders['voxceleb1_test']}: there is no trials, lines of <enrolment-utt> <test-utt> target|nontarget"
            )
        for name, folder in folders.items():
            count = import_data_dir(folder, args.data / name, nj=args.nj, max_bad=args.max_bad)
            print(f"{name}: {count} utterances of the Kaldi data directory {folder}")
        return
    trial_list, protocol = find_trial_list(args.root, args.trials)
    official = read_official_trials(trial_list)
    test_speakers = {utterance.split("-", 1)[0] for _, *pair in official for utterance in pair}
    sources, genders = find_sources(args.root, test_speakers), read_genders(args.root)
    refuse_tested_speakers(trial_list, test_speakers, sources["dev"])
    test_dir = args.data / "voxceleb1_test"
    quarantined = write_set(test_dir, sources["test"], nj=args.nj, max_bad=args.max_bad, spk2gender=genders)
    known = {source.utterance for source in sources["test"]} - quarantined
    trials, dropped = usable_trials(trial_list, known, quarantined)
    write_trials(test_dir / "trials", trials)
    write_text(test_dir / "trials.dropped", "".join(f"{pair}\n" for pair in dropped))
    record_list(test_dir, trial_list, protocol)
    print(f"trials: {len(trials)} of {trial_list.name}, {len(dropped)} dropped with quarantined utterances")
    write_set(args.data / "voxceleb1_dev", sources["dev"], nj=args.nj, max_bad=args.max_bad, spk2gender=genders)


if __name__ == "__main__":
    run_preparation(
        prepare,
        __doc__,
        ("--trials", {"metavar": "NAME|FILE", "help": f"trial list; default: the first of {', '.join(TRIAL_LISTS)}"}),
    )
