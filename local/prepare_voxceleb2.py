#!/usr/bin/env python3
"""VoxCeleb2's development set on disk -> data directory voxceleb2_dev.

    local/prepare_voxceleb2.py --nj 16 /corpora/VoxCeleb2 data

Reads <speaker>/<video>/<file>, .m4a as distributed or .wav or .flac as converted, in dev/aac, dev/wav, aac, wav, dev or the
folder itself; where there are several, wav is taken. m4a is decoded to data/converted/voxceleb2_dev/<speaker>, and a run that
was killed goes on where it was. Utterance ids are <speaker>-<video>-<file>, as those of VoxCeleb1, whose speakers are id1....
A Kaldi data directory is taken too: the folder itself, or voxceleb2_dev or voxceleb2_train in it.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from local.corpora import Corpus
from local.prepare_voxceleb1 import utterance_id
from local.voxceleb2 import (
    NUM_SPEAKERS,
    SUFFIXES,
    Layout,
    find_layout,
    kaldi_dir,
    read_genders,
    refuse_others,
    test_speakers,
)
from sv.base.log import get_logger
from sv.data.corpus import Source, audio_files, run_preparation, write_set
from sv.data.importing import import_data_dir
from sv.kaldi.scp import DataDirError, read_utt2spk

CORPUS = Corpus(
    folders=("VoxCeleb2", "voxceleb2", "vox2"),
    how_to_get="fill in the owners' form at https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox2.html, then join and unpack "
    "vox2_dev_aac_part*; vox2_meta.csv beside it",
    layouts=(
        ("dev/wav/id*", "dev, as wav"),
        ("wav/id*", "as wav"),
        ("dev/aac/id*", "dev, as distributed: m4a"),
        ("aac/id*", "m4a"),
        ("dev/id*", "dev"),
        ("id*", "speakers' folders"),
        ("*wav.scp", "a Kaldi data directory"),
        ("*_part*", "still packed"),
        ("*.zip", "still packed"),
    ),
    optional=True,
)
NAME = "voxceleb2_dev"


def sources_of(layout: Layout) -> Iterator[list[Source]]:
    """Yield each speaker's recordings, one a file; of files of one utterance the first of `SUFFIXES`.

    Raises
    ------
    DataDirError
        If a file is elsewhere than <speaker>/<video>/<file>.
    """
    for speaker in layout.speakers:
        found: dict[str, Path] = {}
        for path in audio_files(layout.folder / speaker):
            if len(path.relative_to(layout.folder).parts) != 3:
                raise DataDirError(f"{path}: expected {layout.folder}/<speaker>/<video>/<file>")
            utterance = utterance_id(path)
            other = found.setdefault(utterance, path)
            found[utterance] = min(other, path, key=lambda file: SUFFIXES.index(file.suffix.lower()))
        yield [Source(utterance=utt, speaker=speaker, path=str(path)) for utt, path in found.items()]


def collect(layout: Layout) -> list[Source]:
    """List all recordings; warn of speakers without any, and of fewer speakers than there should be."""
    log, sources, empty = get_logger("prepare"), [], []
    for speaker, own in zip(layout.speakers, sources_of(layout), strict=True):
        sources += own
        if not own:
            empty.append(speaker)
    counts = {suffix: sum(source.path.lower().endswith(suffix) for source in sources) for suffix in SUFFIXES}
    said = ", ".join(f"{count} {suffix}" for suffix, count in counts.items() if count)
    log.info("%s: %s in %s", NAME, said, layout.folder)
    if layout.others:
        log.warning("%s: %s is used, not %s", NAME, layout.folder, ", ".join(layout.others))
    if empty:
        log.warning("%s: %d folders of speakers without audio, e.g. %s", NAME, len(empty), empty[0])
    if (there := len(layout.speakers) - len(empty)) < NUM_SPEAKERS:
        log.warning("%s: %d speakers, the development set has %d; is it unpacked in full?", NAME, there, NUM_SPEAKERS)
    return sources


def prepare(args: argparse.Namespace) -> None:
    """Write the data directory."""
    if folder := kaldi_dir(args.root):
        refuse_others(folder, set(read_utt2spk(folder / "utt2spk").values()), test_speakers(args.root))
        count = import_data_dir(folder, args.data / NAME, nj=args.nj, max_bad=args.max_bad)
        print(f"{NAME}: {count} utterances of the Kaldi data directory {folder}")
        return
    sources, genders = collect(find_layout(args.root)), read_genders(args.root)
    write_set(args.data / NAME, sources, nj=args.nj, max_bad=args.max_bad, spk2gender=genders, by_speaker=True)


if __name__ == "__main__":
    run_preparation(prepare, __doc__)
