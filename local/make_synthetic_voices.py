#!/usr/bin/env python3
"""Replay the synthetic corpus' test speakers in simulated rooms, laid out as VOiCES' devkit is: CORPORA/VOiCES_devkit.

    local/make_synthetic_voices.py --seed 0 data/mini/corpora

Reads CORPORA/voxceleb1/test/wav, musan and RIRS_NOISES of make_synthetic_corpus.py. Each file is a source segment, heard
in two rooms by a near and a far microphone, each with a distractor drawn by a hash. Not VOiCES: a rehearsal of its recipe.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import soundfile

from local.voices import PREFIX
from sv.base.files import atomic_write
from sv.base.layout import SAMPLING_RATE
from sv.base.numbers import SEED
from sv.base.seeding import generator
from sv.data.audio import BadAudio, read_whole, tile_to
from sv.data.corpus import audio_files
from sv.data.mixing import mix_at_snr, reverberate
from sv.kaldi.scp import DataDirError

DISTRACTORS = {"none": None, "musi": "music", "tele": "speech", "babb": "noise"}  # folders of MUSAN that stand for them
MICROPHONES = {"mc01-stu-clo": 20.0, "mc06-lav-far": 8.0}  # and their signal-to-distractor ratios in dB
ROOMS = ("rm1", "rm2")
PEAK = 0.5


def write_wav(path: Path, samples: np.ndarray) -> None:
    """Write 16 kHz mono, at one peak level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "wb") as file:
        soundfile.write(file, samples * PEAK / np.abs(samples).max(), SAMPLING_RATE, format="WAV", subtype="PCM_16")


def read_audio(path: Path) -> np.ndarray:
    """All samples of a file."""
    return read_whole(str(path), soundfile.info(path).frames)


def replay(source: np.ndarray, rir: np.ndarray, distractor: np.ndarray | None, snr_db: float) -> np.ndarray:
    """The source in a room, with a distractor if there is one; (samples,)."""
    wet = reverberate(source, rir)
    return wet if distractor is None else mix_at_snr(wet, tile_to(distractor, len(wet))[: len(wet)], snr_db)


def write_devkit(corpora: Path, seed: int) -> int:
    """Write source and distant recordings; returns the number of the latter."""
    files = audio_files(corpora / "voxceleb1" / "test" / "wav")
    rirs = audio_files(corpora / "RIRS_NOISES" / "simulated_rirs" / "smallroom" / "Room001")
    if not files or not rirs:
        raise DataDirError(
            f"{corpora}: no voxceleb1/test/wav or RIRS_NOISES/simulated_rirs/smallroom/Room001; run make_synthetic_corpus.py first"
        )
    noises = {name: audio_files(corpora / "musan" / folder) for name, folder in DISTRACTORS.items() if folder}
    speakers = sorted({path.parts[-3] for path in files})
    out, count = corpora / "VOiCES_devkit", 0
    segments: dict[str, int] = {}
    for path in files:
        name = path.parts[-3]
        speaker, segment = f"sp{speakers.index(name) + 1:04d}", segments.get(name, 0)
        segments[name] = segment + 1
        words, source = f"{speaker}-ch000001-sg{segment:04d}", read_audio(path)
        write_wav(out / "source-16k" / "test" / speaker / f"{PREFIX}src-{words}.wav", source)
        for room in ROOMS:
            for microphone, snr_db in MICROPHONES.items():
                rng = generator(seed, "synthetic-voices", words, room, microphone)
                kind = list(DISTRACTORS)[rng.integers(len(DISTRACTORS))]
                distractor = read_audio(noises[kind][rng.integers(len(noises[kind]))]) if kind != "none" else None
                heard = replay(source, read_audio(rirs[rng.integers(len(rirs))]), distractor, snr_db)
                folder = out / "distant-16k" / "speech" / "test" / room / kind / speaker
                angle = f"dg{10 * int(rng.integers(19)):03d}"
                write_wav(folder / f"{PREFIX}{room}-{kind}-{words}-{microphone}-{angle}.wav", heard)
                count += 1
    return count


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument("corpora", type=Path, help="folder of the synthetic corpus")
    args = parser.parse_args(argv)
    try:
        count = write_devkit(args.corpora, args.seed)
    except (DataDirError, BadAudio, OSError) as error:
        sys.exit(f"make_synthetic_voices.py: {error}")
    print(f"VOiCES_devkit: {count} recordings in rooms")


if __name__ == "__main__":
    main()
