#!/usr/bin/env python3
"""First and last 1.8 s of stretches of speech, one after the other: a test whose two sides share recordings.

    local/make_shared_recordings_test.py data/vctk_test data/vctk_shared_recordings

The protocol by which the published text-independent system on VCTK is tested: an odd number of pieces is enrolled, so that
the last of them and the first that is verified are the two ends of one stretch, and overlap if it is shorter than 3.6 s.
Kept to be compared with the trials of disjoint recordings.
"""

import argparse
import sys
from pathlib import Path

from sv.base.layout import SAMPLING_RATE
from sv.base.numbers import COUNT
from sv.data.audio import BadAudio
from sv.data.manifests import cut_of, iter_waveforms
from sv.data.rendered import write_rendered_dir
from sv.data.utterances import read_utterances
from sv.data.vad import split_speech
from sv.kaldi.scp import DataDirError, read_utt2spk

TOP_DB = 20.0
PIECE_SAMPLES, LEAST_SAMPLES = 28_800, 29_200  # 180 frames, and a window more
SECONDS = PIECE_SAMPLES / SAMPLING_RATE
FRAME_LENGTH, HOP_LENGTH = 4096, 1024  # the durations of the published 2048 and 512 samples at 8 kHz


def pieces(runs: list[tuple[int, int]]) -> list[int]:
    """First samples of the pieces: the start and the end of every run that is long enough."""
    starts = []
    for first, end in runs:
        if end - first >= LEAST_SAMPLES:
            starts += [first, end - PIECE_SAMPLES] if end - first > LEAST_SAMPLES else [first]
    return starts


def cut_pieces(source: Path, per_speaker: int) -> tuple[list[dict], dict[str, str], list[str]]:
    """Cuts of the first pieces of each speaker, their speakers, and the speakers with fewer.

    Of `per_speaker` pieces each, or of the largest even number that two speakers have where that is smaller.
    """
    utt2spk, utterances = read_utt2spk(source / "utt2spk"), read_utterances(source)
    found: dict[str, list[tuple[str, int]]] = {speaker: [] for speaker in utt2spk.values()}
    for utt, samples in iter_waveforms(source, utt2spk):
        starts = pieces(split_speech(samples, TOP_DB, FRAME_LENGTH, HOP_LENGTH))
        found[utt2spk[utt]] += [(utt, start) for start in starts]
    cuts, speakers = [], {}
    per_speaker = min(per_speaker, sorted(map(len, found.values()))[-2:][0] // 2 * 2)
    for speaker, own in found.items():
        for number, (utt, start) in enumerate(own[:per_speaker] if len(own) >= per_speaker else []):
            cut = cut_of(utt, speaker, utterances[utt], start, PIECE_SAMPLES)
            cut.id = f"{speaker}-piece{number:03d}"
            cuts.append(cut.to_dict())
            speakers[cut.id] = speaker
    return cuts, speakers, [speaker for speaker, own in found.items() if len(own) < per_speaker]


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and write the set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--pieces", type=COUNT, default=5, help="of a speaker, of either side (%(default)s)")
    parser.add_argument("source", type=Path, help="data directory")
    parser.add_argument("out", type=Path, help="data directory to write")
    args = parser.parse_args(argv)
    try:
        cuts, utt2spk, too_few = cut_pieces(args.source, 2 * args.pieces)
        speakers = len(set(utt2spk.values()))
        if speakers < 2:
            raise DataDirError(f"{args.source}: fewer than two speakers have two pieces of {SECONDS} s")
        if len(utt2spk) < 2 * args.pieces * speakers:
            print(
                f"make_shared_recordings_test.py: warning: {args.source.name}: fewer than two speakers have "
                f"{2 * args.pieces} pieces of {SECONDS} s; {len(utt2spk) // speakers} a speaker are taken",
                file=sys.stderr,
            )
        write_rendered_dir(args.out, cuts, utt2spk=utt2spk, utt2dur=dict.fromkeys(utt2spk, SECONDS))
    except (DataDirError, BadAudio, OSError) as error:
        sys.exit(f"make_shared_recordings_test.py: {error}")
    print(f"{args.out.name}: {speakers} speakers, {len(too_few)} left out with too little speech")


if __name__ == "__main__":
    main()
