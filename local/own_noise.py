#!/usr/bin/env python3
"""Noise folders of one's own -> data directories noise_<name>_{train,test}; or what is wrong with them.

    local/own_noise.py --noise street=/data/street,works=/data/works --seed 0 data
    local/own_noise.py --noise street=/data/street --list data    prints <name>=<folder> lines

Any audio files anywhere below the folder, of any rate and number of channels. Each recording is in the train or the test half
by a hash of the seed, the noise's name and its path below the folder: files that come later move no others.
"""

import argparse
import re
import sys
from pathlib import Path

from local.noises import NOISES, Noise, own_noise
from sv.base.layout import AUDIO_SUFFIXES
from sv.base.numbers import COUNT, SEED, SHARE

# Other kinds of condition or training noise, and MUSAN's speech.
RESERVED = ("clean", "speech", "crowd", "reverb", "codec", "clip", "far")
PARTS = ("train", "test")


def own_noises(text: str) -> dict[str, Path]:
    """Folders by name, sorted, of `name=folder` separated by commas; a comma before no `name=` is part of the folder.

    Raises
    ------
    ValueError
        Naming the option, if a name is none, is another noise's, or stands twice.
    """
    found: dict[str, Path] = {}
    for item in re.split(r",(?=[^,/=]*=)", text) if text else []:
        name, equals, folder = item.partition("=")
        if not equals or not folder:
            raise ValueError(f"--noise: takes NAME=DIR, as in street=/data/street, got {item[:80]!r}")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", name):
            raise ValueError(f"--noise: a name is a letter, then letters, digits and _, got {name[:80]!r}")
        if name in NOISES or name in RESERVED:
            raise ValueError(f"--noise: {name} is the name of another noise or condition; call yours something else")
        if name in found:
            raise ValueError(
                f"--noise: {name} is given twice; put the recordings in one folder, or choose another name"
            )
        found[name] = Path(folder)
    return dict(sorted(found.items()))


def halves(name: str, folder: Path, seed: int) -> dict[str, list[Path]]:
    """Files of the train and the test half; neither is empty.

    Raises
    ------
    ValueError
        If the folder is not there, or holds fewer than two files.
    """
    from sv.base.seeding import derive_seed  # late, as all that reads audio: a recipe asks for the names in every run
    from sv.data.corpus import audio_files

    if not folder.is_dir():
        raise ValueError(f"--noise {name}: takes a folder that is there, got {str(folder)[:200]!r}")
    files = audio_files(folder, AUDIO_SUFFIXES)
    if not files:
        raise ValueError(f"--noise {name}: {folder} holds no audio files ({', '.join(AUDIO_SUFFIXES)})")
    if len(files) == 1:
        raise ValueError(
            f"--noise {name}: {folder} holds one recording, and training and tests may not hear the same one; "
            "add another, or cut it into files"
        )
    keys = {path: derive_seed(seed, "own-noise", name, str(path.relative_to(folder))) for path in files}
    parts = {part: [path for path in files if keys[path] % 2 == number] for number, part in enumerate(PARTS)}
    for part, other in (PARTS, PARTS[::-1]):
        if not parts[part]:  # of a few files: one goes over, always the same
            moved = min(files, key=keys.__getitem__)
            parts[part], parts[other] = [moved], [path for path in files if path != moved]
    return parts


def check_audible(name: str, parts: dict[str, list[Path]]) -> None:
    """Raise ValueError unless either half has a recording that can be used; files are read until one is found."""
    from sv.data.audio import BadAudio, load_speech

    for part, files in parts.items():
        problem = ""
        for path in files:
            try:
                load_speech(path)
                break
            except (BadAudio, OSError) as error:
                problem = problem or f"{path}: {error}"
        else:
            raise ValueError(
                f"--noise {name}: none of the {len(files)} recordings for {part}{'ing' * (part == 'train')} can be used: {problem}"
            )


def check(text: str, seed: int) -> None:
    """Raise ValueError, in one line, for folders that stage 0 could not make noise of."""
    for name, folder in own_noises(text).items():
        check_audible(name, halves(name, folder, seed))


def prepare(name: str, folder: Path, args: argparse.Namespace) -> None:
    """Write the two data directories of one noise."""
    from sv.base.layout import file_stem
    from sv.data.corpus import Source, write_set

    noise: Noise = own_noise(name)
    for part, files in halves(name, folder.absolute(), args.seed).items():
        keys = [(file_stem(str(path.relative_to(folder.absolute()))), str(path)) for path in files]
        sources = [Source(utterance=key, speaker=key, path=path) for key, path in keys]
        write_set(args.data / getattr(noise, part), sources, nj=args.nj, max_bad=args.max_bad)


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, and prepare or list."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--noise", default="", metavar="NAME=DIR,...", help="folders of recordings by name")
    parser.add_argument("--seed", type=SEED, default=0, help="of the halves")
    parser.add_argument("--nj", type=COUNT, default=1, help="processes")
    parser.add_argument("--max-bad", type=SHARE, default=0.01, help="share of bad files to tolerate (%(default)s)")
    parser.add_argument("--list", action="store_true", help="print names and folders instead")
    parser.add_argument("data", type=Path, help="folder that gets the data directories")
    args = parser.parse_args(argv)
    try:
        found = own_noises(args.noise)
        if args.list:
            print("".join(f"{name}={folder}\n" for name, folder in found.items()), end="")
            return
        for name, folder in found.items():
            prepare(name, folder, args)
    except (OSError, ValueError) as error:  # DataDirError and BadAudio among them
        sys.exit(f"own_noise.py: {error}")


if __name__ == "__main__":
    main()
