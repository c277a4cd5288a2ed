#!/usr/bin/env python3
"""Write noisy copies of a test set as lhotse cuts: one data directory per noise type and signal-to-noise ratio.

    local/make_noisy_test.py --noises noise,music,babble,nonspeech --snrs 0,5,10,15,20 data/voxceleb1_test data

Each draw is keyed by (seed, utterance, noise, SNR), so it does not depend on what else is in the set or on --nj. No audio
is copied. The ids stay, so the clean set's trials apply.
"""

import argparse
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tqdm import tqdm

from sv.base.files import write_text
from sv.base.layout import SAMPLING_RATE, condition_name, snr_text
from sv.base.seeding import generator
from sv.data.audio import BadAudio
from sv.data.augment import Draw, NoiseLibrary
from sv.data.manifests import cut_of
from sv.data.rendered import write_rendered_dir
from sv.data.utterances import Utterance, read_utterances
from sv.kaldi.data_dir import quarantined
from sv.kaldi.scp import DataDirError, read_table, read_utt2spk

NOISE_DIRS = {
    "noise": "musan_noise_test",
    "music": "musan_music_test",
    "babble": "musan_speech_test",
    "nonspeech": "nonspeech100",
    "demand": "vctk_noise_test",
}
LISTS = ("trials", "enrolment")  # that hold for the noisy set too


def noisy_cut(
    utt: str, speaker: str, source: Utterance, library: NoiseLibrary, category: str, snr_db: float, seed: int
) -> tuple[dict, str]:
    """The MixedCut of one utterance in one condition, as a dict, and its line of draws.tsv."""
    speech = source.read_all()
    if not speech.any():
        raise BadAudio(f"{source.path}: every sample is zero, so it has no signal-to-noise ratio")
    rng = generator(seed, "noisy-test", utt, category, f"{snr_db:g}")
    pieces = library.draw_noise(rng, category, len(speech))
    draw = Draw(category=category, snr_db=snr_db, pieces=pieces)
    gain = library.gain(draw, speech, library.sum_of(category, pieces, len(speech)))
    cut = library.to_cut(draw, cut_of(utt, speaker, source), speech)
    noises = ",".join(f"{piece.recording}:{piece.start}+{piece.num_samples}@{piece.offset}" for piece in pieces)
    return cut.to_dict(), f"{utt}\t{snr_db:g}\t{gain:.9g}\t{noises}"


def write_condition(condition: tuple[str, float], test_dir: Path, data: Path, seed: int) -> int:
    """Write one noisy data directory; returns its number of utterances."""
    category, snr_db = condition
    out = data / condition_name(test_dir.name, category, snr_db)
    out.mkdir(parents=True, exist_ok=True)
    library = NoiseLibrary({category: data / NOISE_DIRS[category]})
    utterances, utt2spk = read_utterances(test_dir), read_utt2spk(test_dir / "utt2spk")
    rows = [noisy_cut(utt, spk, utterances[utt], library, category, snr_db, seed) for utt, spk in utt2spk.items()]
    write_text(
        out / "draws.tsv",
        "utterance\tsnr_db\tgain\tnoise:start+samples@offset\n" + "".join(f"{line}\n" for _, line in rows),
    )
    genders = test_dir / "spk2gender"
    write_rendered_dir(
        out,
        (cut for cut, _ in rows),
        utt2spk=utt2spk,
        utt2dur={utt: utterances[utt].num_samples / SAMPLING_RATE for utt in utt2spk},
        spk2gender=read_table(genders) if genders.exists() else None,
    )
    for name in LISTS:
        if (test_dir / name).exists():
            shutil.copyfile(test_dir / name, out / name)
    return len(rows) + len(quarantined(out))


def conditions_of(noises: str, snrs: str) -> list[tuple[str, float]]:
    """Noise types and SNRs in dB of all conditions, from two lists separated by commas; none if either is empty.

    Raises
    ------
    ValueError
        Naming the option and what is wrong with it.
    """
    names, numbers = ([part for part in text.split(",") if part] for text in (noises, snrs))
    if unknown := sorted(set(names) - set(NOISE_DIRS)):
        raise ValueError(f"--noises: unknown {', '.join(unknown)}; known are {', '.join(NOISE_DIRS)}")
    try:
        decibels = [float(number) for number in numbers]
        for snr_db in decibels:
            snr_text(snr_db)
    except ValueError as error:
        raise ValueError(f"--snrs: expected finite numbers of dB separated by commas, got {snrs!r}") from error
    conditions = [(noise, snr_db) for noise in names for snr_db in decibels]
    if len(set(conditions)) < len(conditions):
        raise ValueError(f"--noises {noises} --snrs {snrs}: a condition appears twice")
    return conditions


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and write every condition."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--noises", default="noise,music,babble,nonspeech", help="of " + ",".join(NOISE_DIRS))
    parser.add_argument("--snrs", default="0,5,10,15,20", help="in dB")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nj", type=int, default=1, help="processes")
    parser.add_argument("--list", action="store_true", help="print the data directories instead of writing them")
    parser.add_argument("test_dir", type=Path, help="data directory of the clean test set")
    parser.add_argument("data", type=Path, help="folder of data directories: holds the noise, gets the noisy sets")
    args = parser.parse_args(argv)
    try:
        conditions = conditions_of(args.noises, args.snrs)
    except ValueError as error:
        parser.error(str(error))
    if args.list:
        for noise, snr_db in conditions:
            print(args.data / condition_name(args.test_dir.name, noise, snr_db))
        return
    work = partial(write_condition, test_dir=args.test_dir, data=args.data, seed=args.seed)
    try:
        with ProcessPoolExecutor(args.nj) as pool:
            for _ in tqdm(
                pool.map(work, conditions), total=len(conditions), desc="conditions", unit="set", disable=None
            ):
                pass
    except (DataDirError, BadAudio, OSError, ValueError) as error:
        sys.exit(f"make_noisy_test.py: {error}")


if __name__ == "__main__":
    main()
