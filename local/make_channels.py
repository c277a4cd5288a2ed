#!/usr/bin/env python3
"""Random microphones and lines as impulse responses -> data directory channels.

    local/make_channels.py --num-channels 1000 --seed 0 data

Each is a filter of 512 taps, drawn by its number: a response that wanders smoothly over the octaves, often a band limit as
of a telephone (upper edge 3 to 8 kHz) or a small microphone (lower edge 30 to 300 Hz), 40 dB down beyond. Training hears
its utterances through them as through room responses, so that no speaker is known by a microphone.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import soundfile

from sv.base.files import atomic_write
from sv.base.layout import SAMPLING_RATE
from sv.base.numbers import COUNT, SEED
from sv.base.seeding import generator
from sv.data.manifests import write_manifests
from sv.kaldi.data_dir import write_data_dir

NUM_TAPS = 512
KNOTS_HZ = np.geomspace(60, 8000, 9)
STEP_DB = 3.0  # standard deviation from one knot to the next
LIMIT_PROB = 0.7  # of each edge
LOWER_HZ, UPPER_HZ = (30.0, 300.0), (3000.0, 8000.0)
STOP_DB = -40.0


def random_channel(rng: np.random.Generator) -> np.ndarray:
    """A linear-phase filter with its peak in the middle, (NUM_TAPS,) float32, peak 0.5."""
    hz = np.fft.rfftfreq(NUM_TAPS, 1 / SAMPLING_RATE)
    walk = np.cumsum(rng.normal(0, STEP_DB, len(KNOTS_HZ)))
    gain_db = np.interp(np.log(hz + 1), np.log(KNOTS_HZ + 1), walk - walk.mean())
    if rng.random() < LIMIT_PROB:
        gain_db = gain_db + STOP_DB * (hz > rng.uniform(*UPPER_HZ))
    if rng.random() < LIMIT_PROB:
        gain_db = gain_db + STOP_DB * (hz < rng.uniform(*LOWER_HZ))
    taps = np.fft.fftshift(np.fft.irfft(10 ** (gain_db / 20))) * np.hanning(NUM_TAPS + 1)[:-1]
    return (0.5 * taps / taps.max()).astype(np.float32)


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and write the set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--num-channels", type=COUNT, default=1000)
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument("data", type=Path, help="folder that gets the data directory")
    args = parser.parse_args(argv)
    if args.num_channels < 1:
        parser.error("--num-channels must be at least 1")
    out = args.data.absolute() / "channels"
    paths = {f"channel-{number:05d}": out / "wav" / f"channel-{number:05d}.wav" for number in range(args.num_channels)}
    try:
        for number, path in enumerate(paths.values()):
            with atomic_write(path, "wb") as file:
                taps = random_channel(generator(args.seed, "channel", number))
                soundfile.write(file, taps, SAMPLING_RATE, format="WAV", subtype="PCM_16")
        write_data_dir(
            out,
            wav_scp={key: str(path) for key, path in paths.items()},
            utt2spk={key: key for key in paths},
            utt2dur=dict.fromkeys(paths, NUM_TAPS / SAMPLING_RATE),
        )
        write_manifests(out)
    except OSError as error:
        sys.exit(f"make_channels.py: {error}")


if __name__ == "__main__":
    main()
