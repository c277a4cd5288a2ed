#!/usr/bin/env python3
"""VCTK on disk -> data directories vctk and vctk_phrase: every sentence, and the end of the one that all speakers read first.

    local/prepare_vctk.py /corpora/VCTK-Corpus data

Reads version 0.80 (wav48/p225/p225_001.wav) or 0.92 (wav48_silence_trimmed/p225/p225_001_mic1.flac, the first microphone
only: both hold the same speech). Utterance ids are <speaker>-<sentence>. Recordings are resampled to 16 kHz and trimmed
by their energy. vctk_phrase holds the last 0.8 s of sentence 001 ("... call Stella."), which stands in for a keyword.
"""

import argparse
import re
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from local.corpora import Corpus
from sv.base.layout import SAMPLING_RATE
from sv.data.audio import BadAudio
from sv.data.corpus import Source, audio_files, run_preparation, write_set
from sv.data.vad import trim
from sv.kaldi.scp import DataDirError, text_rows

CORPUS = Corpus(
    folders=("VCTK-Corpus", "VCTK-Corpus-0.92", "vctk"),
    how_to_get="https://datashare.ed.ac.uk/handle/10283/3443 (0.92) or .../2651 (0.80), unpacked to VCTK-Corpus/",
    layouts=(
        ("wav48_silence_trimmed/p*", "0.92"),
        ("*/wav48_silence_trimmed/p*", "0.92"),
        ("wav48/p*", "0.80"),
        ("*/wav48/p*", "0.80"),
    ),
)

LAYOUTS = ("wav48_silence_trimmed", "wav48")  # 0.92, 0.80
NAME = re.compile(r"([ps]\d+)_(\d{3})(?:_mic([12]))?")  # speaker, sentence, microphone
PHRASE, PHRASE_TOP_DB = "001", 14.0
PHRASE_SAMPLES, LEAST_SAMPLES = 12_800, 13_120  # 80 frames; the published code skips what is not longer than 82 hops
FRAME_LENGTH, HOP_LENGTH = 4096, 1024  # the durations of the published 2048 and 512 samples at 8 kHz


def audio_root(root: Path) -> Path:
    """The folder of the speakers' folders."""
    places = [place / layout for place in (root, root / "VCTK-Corpus", root / "VCTK-Corpus-0.92") for layout in LAYOUTS]
    for place in places:
        if place.is_dir():
            return place
    raise DataDirError(f"{root}: found neither {' nor '.join(LAYOUTS)}; is this VCTK, unpacked?")


def find_sources(folder: Path) -> list[Source]:
    """Find the recordings, one source per sentence: of the first microphone where there are two; says which have none of it."""
    sources, second = [], {}
    for path in audio_files(folder):
        match = NAME.fullmatch(path.stem)
        if not match or match[1] != path.parent.name:
            raise DataDirError(f"{path}: expected <speaker>/<speaker>_<sentence>[_mic1|_mic2], as p225/p225_001")
        if match[3] == "2":
            second[f"{match[1]}-{match[2]}"] = match[1]
        else:
            sources.append(Source(utterance=f"{match[1]}-{match[2]}", speaker=match[1], path=str(path)))
    first = {source.utterance for source in sources}
    if left_out := {utt: speaker for utt, speaker in second.items() if utt not in first}:
        speakers = sorted(set(left_out.values()))
        print(f"{len(left_out)} sentences are there of microphone 2 alone, and left out, of {', '.join(speakers)}")
    return sources


def trimmed(source: Source, samples: np.ndarray, top_db: float) -> np.ndarray:
    """The recording without the silence around it."""
    return samples[slice(*trim(samples, top_db, FRAME_LENGTH, HOP_LENGTH))]


def end_of_phrase(source: Source, samples: np.ndarray) -> np.ndarray:
    """The last 80 frames of speech; raises BadAudio if there are hardly more."""
    speech = trimmed(source, samples, PHRASE_TOP_DB)
    if len(speech) <= LEAST_SAMPLES:
        raise BadAudio(f"only {len(speech) / SAMPLING_RATE:.2f} s of speech, more than 0.82 s are needed")
    return speech[-PHRASE_SAMPLES:]


def read_genders(root: Path) -> dict[str, str]:
    """Speaker to m or f from speaker-info.txt; empty if there is none."""
    path = next((place for place in (root.parent, root) if (place / "speaker-info.txt").is_file()), None)
    if path is None:
        return {}
    genders = {}
    for number, line in islice(text_rows(path / "speaker-info.txt"), 1, None):
        fields = line.split()
        if len(fields) < 3 or fields[2] not in ("F", "M"):
            raise DataDirError(f"{path}/speaker-info.txt:{number}: expected 'ID AGE GENDER ...', got {line!r}")
        genders[fields[0] if fields[0][0] in "ps" else f"p{fields[0]}"] = fields[2].lower()
    return genders


def prepare(args: argparse.Namespace) -> None:
    """Write both data directories."""
    folder = audio_root(args.root)
    sources, genders = find_sources(folder), read_genders(folder)
    common = {"nj": args.nj, "spk2gender": genders}
    write_set(args.data / "vctk", sources, max_bad=args.max_bad, edit=partial(trimmed, top_db=args.top_db), **common)
    phrases = [source for source in sources if source.utterance.endswith(f"-{PHRASE}")]
    without = sorted({source.speaker for source in sources} - {source.speaker for source in phrases})
    if without:
        print(f"{len(without)} speakers have no sentence {PHRASE}: {', '.join(without)}")
    # Few recordings, of which the rule itself turns some down: no reason to stop.
    write_set(args.data / "vctk_phrase", phrases, max_bad=0.5, edit=end_of_phrase, **common)


if __name__ == "__main__":
    run_preparation(
        prepare,
        __doc__,
        ("--top-db", {"type": float, "default": 20.0, "help": "level of speech below the loudest frame (%(default)s)"}),
    )
