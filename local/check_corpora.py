#!/usr/bin/env python3
"""Find the corpora, and print `<name><TAB><folder>` lines; or say what is missing, where it was looked for, how to get it.

local/check_corpora.py --corpora /corpora
local/check_corpora.py --voxceleb1 /a/VoxCeleb1 --musan /b/musan --noises noise,music,babble
local/check_corpora.py --corpora /corpora --names vctk,digits,musan
"""

import argparse
import sys
from pathlib import Path

FOLDERS = {
    "voxceleb1": ("voxceleb1", "VoxCeleb1", "vox1"),
    "musan": ("musan", "MUSAN"),
    "nonspeech100": ("Nonspeech100", "nonspeech100"),
    "rirs": ("RIRS_NOISES", "rirs_noises"),
    "vctk": ("VCTK-Corpus", "VCTK-Corpus-0.92", "vctk"),
    "digits": ("fsdd", "free-spoken-digit-dataset"),
    "noisy_vctk": ("noisy_vctk",),
    "voices": ("VOiCES_devkit", "VOiCES", "VOiCES_Box_unzip"),
}
OPTIONAL = {"rirs", "nonspeech100"}  # the latter, unless it is to be tested on
HOW_TO_GET = {
    "voxceleb1": "fill in the owners' form at https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox1.html, then unpack "
    "dev/wav, test/wav, veri_test2.txt and vox1_meta.csv",
    "musan": "local/download_corpora.py DIR musan, or ./run.sh --download musan (https://www.openslr.org/17, 11 GB)",
    "nonspeech100": "http://web.cse.ohio-state.edu/pnl/corpus/HuNonspeech/HuCorpus.html; or go without it: "
    "--noises noise,music,babble",
    "rirs": "local/download_corpora.py DIR rirs, or ./run.sh --download rirs (https://www.openslr.org/28, 1.3 GB)",
    "vctk": "https://datashare.ed.ac.uk/handle/10283/3443 (0.92) or .../2651 (0.80), unpacked to VCTK-Corpus/",
    "digits": "https://github.com/Jakobovski/free-spoken-digit-dataset, to fsdd/ with recordings/ in it",
    "noisy_vctk": "https://datashare.ed.ac.uk/handle/10283/2791: {clean,noisy}_{testset,trainset_28spk}_wav, to noisy_vctk/; "
    "or go without it: --noises noise,music,babble",
    "voices": "https://iqtlabs.github.io/voices/downloads/ has the devkit, and the challenge's sets and lists",
}


def option(name: str) -> str:
    """The command-line option that names a corpus' folder."""
    return f"--{name.replace('_', '-')}"


def candidates(name: str, given: str, corpora: str) -> list[Path]:
    """Where a corpus may lie."""
    if given:
        return [Path(given)]
    return [Path(corpora, folder) for folder in FOLDERS[name]] if corpora else []


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and look."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--corpora", default="", help="folder that holds them all")
    for name in FOLDERS:
        parser.add_argument(option(name), default="", help="its own folder")
    parser.add_argument("--names", default="voxceleb1,musan,nonspeech100,rirs", help="what to look for (%(default)s)")
    parser.add_argument("--noises", default="noise,music,babble,nonspeech", help="noise types of the tests")
    args = parser.parse_args(argv)
    names, missing = args.names.split(","), []
    if unknown := set(names) - set(FOLDERS):
        parser.error(f"--names: unknown {sorted(unknown)}; known are {', '.join(FOLDERS)}")
    needed = set(FOLDERS) - OPTIONAL | ({"nonspeech100"} if "nonspeech" in args.noises.split(",") else set())
    for name in names:
        places = candidates(name, getattr(args, name), args.corpora)
        found = next((place for place in places if place.is_dir()), None)
        if found:
            print(f"{name}\t{found}")
        elif name in needed or getattr(args, name):
            looked = (
                f"looked for {', '.join(map(str, places))}"
                if places
                else f"neither --corpora nor {option(name)} was given"
            )
            missing.append(f"  {name}: {looked}\n    to get it: {HOW_TO_GET[name]}")
    if missing:
        sys.exit("missing corpora:\n" + "\n".join(missing) + "\n  ./run.sh --mini needs none of them")


if __name__ == "__main__":
    main()
