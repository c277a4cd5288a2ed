#!/usr/bin/env python3
"""Write copies of a test set under conditions as lhotse cuts: one data directory per noise type and SNR, room, codec, ...

    local/make_noisy_test.py --noises noise,music,babble,nonspeech --snrs 0,5,10,15,20 data/voxceleb1_test data

--conditions noise,reverb,codec,clip,far adds kinds without additive noise; by default there is noise alone.
--protocol exu_net adds noise as the published ExU-Net code does, which is not at the SNR of the label.
Each draw is keyed by (seed, utterance, condition), so it does not depend on what else is in the set or on --nj. No audio
is copied. The ids stay, so the clean set's trials apply. --noise NAME=DIR,... adds noises of one's own, which
local/own_noise.py has prepared. --draws 3 adds two further draws of whatever is random in a condition, beside the first; with
--draw 2, the second alone is written.
"""

import argparse
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from local.kinds import KNOWN, PROTOCOLS, kinds_of
from local.noises import NOISES, noise_types
from local.own_noise import own_noises
from sv.base.layout import FAR, condition_name, has_draws, snr_text
from sv.base.numbers import COUNT, SEED, real, whole

decibel = real(-200, 200)
draws = whole(1, 99)


def conditions_of(noises: str, snrs: str, own: str = "") -> list[tuple[str, float]]:
    """Noise types and SNRs in dB of all conditions, from lists separated by commas, noises of one's own last.

    Raises
    ------
    ValueError
        Naming the option and what is wrong with it.
    """
    names = [*noise_types(noises), *own_noises(own)]
    try:
        decibels = [decibel(number) for number in snrs.split(",")] if snrs else []
        for snr_db in decibels:
            snr_text(snr_db)
    except ValueError as error:
        raise ValueError(
            f"--snrs: expected finite numbers of dB separated by commas, got {snrs!r}, of -200 to 200"
        ) from error
    conditions = [(noise, snr_db) for noise in names for snr_db in decibels]
    if len(set(conditions)) < len(conditions):
        raise ValueError(f"--noises {noises} --snrs {snrs}: a condition appears twice")
    return conditions


def set_names(
    test_set: str, kinds: str, noises: str, snrs: str, own: str = "", drawn: Iterable[int] = (1,)
) -> list[str]:
    """Names of the data directories of a test set under all conditions, draw by draw; codecs are in the first alone.

    Raises
    ------
    ValueError
        As `conditions_of` and `kinds_of`.
    """
    noisy, known, names = conditions_of(noises, snrs, own), kinds_of(kinds), []
    for draw in drawn:
        for kind in known:
            if kind in ("noise", FAR):
                names += [condition_name(test_set, noise, snr_db, kind, draw) for noise, snr_db in noisy]
            elif draw == 1 or has_draws(kind):
                names.append(condition_name(test_set, kind=kind, draw=draw))
    return names


def write_conditions(names: list[str], args: argparse.Namespace) -> None:
    """Write every condition's data directory, in --nj processes."""
    from concurrent.futures import ProcessPoolExecutor  # late, as all that follows: --list is asked for by every run

    from local.noisy_sets import write_condition
    from sv.base.progress import counted

    work = partial(write_condition, test_dir=args.test_dir, data=args.data, seed=args.seed, protocol=args.protocol)
    with ProcessPoolExecutor(args.nj) as pool:
        for _ in counted(pool.map(work, names), len(names), args.test_dir.name, "sets"):
            pass


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and write every condition."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--conditions", default="noise", help="of " + ",".join(KNOWN))
    parser.add_argument("--protocol", default="exact", choices=PROTOCOLS, help="of added noise")
    parser.add_argument("--noises", default="noise,music,babble,nonspeech", help="of " + ",".join(NOISES))
    parser.add_argument("--snrs", default="0,5,10,15,20", help="in dB")
    parser.add_argument("--noise", default="", metavar="NAME=DIR,...", help="one's own, besides")
    parser.add_argument("--draws", type=draws, default=1, help="of whatever is random in a condition")
    parser.add_argument("--draw", type=draws, help="of these draws, this one alone")
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument("--nj", type=COUNT, default=1, help="processes")
    parser.add_argument("--list", action="store_true", help="print the data directories instead of writing them")
    parser.add_argument("test_dir", type=Path, help="data directory of the clean test set")
    parser.add_argument("data", type=Path, help="folder of data directories: holds the noise, gets the noisy sets")
    args = parser.parse_args(argv)
    try:
        drawn = [args.draw] if args.draw else range(1, args.draws + 1)
        names = set_names(args.test_dir.name, args.conditions, args.noises, args.snrs, args.noise, drawn)
    except ValueError as error:
        parser.error(str(error))
    if args.list:
        for name in names:
            print(args.data / name)
        return
    try:
        write_conditions(names, args)
    except (OSError, ValueError) as error:
        sys.exit(f"make_noisy_test.py: {error}")


if __name__ == "__main__":
    main()
