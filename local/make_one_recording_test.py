#!/usr/bin/env python3
"""Noisy copies of one recording per speaker, some to enrol, some to verify: robustness to noise, not verification.

    local/make_one_recording_test.py --copies 5 data/vctk_phrase_test data data/vctk_one_recording

The protocol by which the published text-dependent system on VCTK reports an EER of 0: both sides of a target trial are the
same waveform, under two stretches of training noise. Kept to be compared with; it says nothing about another recording of
the same phrase.
"""

import argparse
import sys
from pathlib import Path

from local.noises import TRAINING, check_any, noise_types, training_dirs
from sv.base.layout import SAMPLING_RATE
from sv.base.numbers import COUNT, SEED
from sv.base.seeding import generator
from sv.data.audio import BadAudio
from sv.data.augment import AugmentConfig, NoiseLibrary
from sv.data.manifests import cut_of
from sv.data.rendered import write_rendered_dir
from sv.data.utterances import read_utterances
from sv.kaldi.scp import DataDirError, invert, read_utt2spk

SNR_DB = (0.0, 20.0)


def noisy_copies(source: Path, copies: int, library: NoiseLibrary, seed: int) -> tuple[list[dict], dict, dict]:
    """Cuts of 2 x `copies` noisy versions of each speaker's first utterance; their speakers and durations."""
    utterances = read_utterances(source)
    config = AugmentConfig(noises=tuple(library.noises), snr_db=SNR_DB)
    cuts, utt2spk, utt2dur = [], {}, {}
    for speaker, (first, *_) in invert(read_utt2spk(source / "utt2spk")).items():
        speech = utterances[first].read_all()
        for copy in range(2 * copies):
            utt = f"{first}-{copy:03d}"
            draw = library.draw(generator(seed, "one-recording", utt), config, len(speech))
            cut = cut_of(first, speaker, utterances[first])
            cut.id = cut.supervisions[0].id = utt
            cuts.append(library.to_cut(draw, cut, speech).to_dict())
            utt2spk[utt], utt2dur[utt] = speaker, len(speech) / SAMPLING_RATE
    return cuts, utt2spk, utt2dur


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and write the set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--copies", type=COUNT, default=5, help="of either side (%(default)s)")
    parser.add_argument("--noises", default="noise,music,babble", help="of " + ",".join(TRAINING))
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument("source", type=Path, help="data directory; of each speaker its first utterance is used")
    parser.add_argument("data", type=Path, help="folder of data directories: holds the noise")
    parser.add_argument("out", type=Path, help="data directory to write")
    args = parser.parse_args(argv)
    try:
        noises = noise_types(args.noises, TRAINING)
        check_any(noises)
    except ValueError as error:
        parser.error(str(error))
    try:
        library = NoiseLibrary(training_dirs(noises, args.data))
        cuts, utt2spk, utt2dur = noisy_copies(args.source, args.copies, library, args.seed)
        write_rendered_dir(args.out, cuts, utt2spk=utt2spk, utt2dur=utt2dur)
    except (DataDirError, BadAudio, OSError) as error:
        sys.exit(f"make_one_recording_test.py: {error}")
    print(
        f"{args.out.name}: {len(set(utt2spk.values()))} speakers, {2 * args.copies} noisy copies of one recording each"
    )


if __name__ == "__main__":
    main()
