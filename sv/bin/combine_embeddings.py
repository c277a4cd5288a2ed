"""Average utterances' embeddings into speakers', of both kinds that enhancement is trained towards.

    python -m sv.bin.combine_embeddings exp/exu_net/embeddings/voxceleb1_train/segments.scp data/voxceleb1_train/utt2spk OUT

Writes OUT/single.{ark,scp}, the length-normalised mean of each utterance's segments, and OUT/multiple_{b,c}.{ark,scp}, a
vector a speaker: the mean of the normalised (B), the normalised mean (C).
"""

import argparse
from pathlib import Path

import numpy as np

from sv.bin.common import existing_scp, fail_in_one_line
from sv.enhancement.archive import EmbeddingArchive
from sv.enhancement.targets import SpeakerTargets, unit
from sv.kaldi import DataDirError, open_ark_scp, read_utt2spk


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and average."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("embeddings", type=Path, help="scp of segments, or of vectors")
    parser.add_argument("utt2spk", type=Path)
    parser.add_argument("out", type=Path, help="folder to write")
    args = parser.parse_args(argv)
    archive, utt2spk = EmbeddingArchive(existing_scp(args.embeddings, "run stage 5 first")), read_utt2spk(args.utt2spk)
    if missing := [utt for utt in archive.keys if utt not in utt2spk]:
        raise DataDirError(
            f"{args.utt2spk}: {len(missing)} utterances of {archive.scp} are not there, e.g. {missing[:3]}"
        )
    speakers = sorted({utt2spk[utt] for utt in archive.keys}, key=str.encode)
    number = {speaker: place for place, speaker in enumerate(speakers)}
    ids, out = np.array([number[utt2spk[utt]] for utt in archive.keys]), args.out.absolute()
    with open_ark_scp(out / "single.ark", out / "single.scp") as write:
        for block, embeddings in archive.blocks():
            for utt, vector in zip(archive.keys[block], unit(embeddings), strict=True):
                write(utt, vector)
    for kind in ("B", "C"):
        targets = SpeakerTargets(kind, archive, np.arange(len(archive)), ids).of_speakers(np.arange(len(speakers)))
        name = out / f"multiple_{kind.lower()}"
        with open_ark_scp(f"{name}.ark", f"{name}.scp") as write:
            for speaker, vector in zip(speakers, targets, strict=True):
                write(speaker, vector)
    print(f"{len(archive)} utterances of {len(speakers)} speakers")


if __name__ == "__main__":
    main()
