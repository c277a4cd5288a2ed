"""Average utterances' embeddings into speakers', of both kinds that enhancement is trained towards.

sv combine_embeddings exp/exu_net/embeddings/voxceleb1_train/segments.scp data/voxceleb1_train/utt2spk OUT

Writes OUT/single.{ark,scp}, the length-normalised mean of each utterance's segments, and OUT/multiple_{b,c}.{ark,scp}, one
vector per speaker: the mean of the normalised (B), the normalised mean (C).
"""

from pathlib import Path

import numpy as np

from sv.bin.common import command_parser, fail_in_one_line
from sv.enhancement.archive import EmbeddingArchive
from sv.enhancement.targets import SpeakerTargets, number_speakers, unit
from sv.kaldi import open_ark_scp


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and average."""
    parser = command_parser("combine_embeddings", __doc__)
    parser.add_argument("embeddings", type=Path, help="scp of segments, or of vectors")
    parser.add_argument("utt2spk", type=Path)
    parser.add_argument("out", type=Path, help="folder to write")
    args = parser.parse_args(argv)
    archive, out = EmbeddingArchive(args.embeddings), args.out.absolute()
    speakers, ids = number_speakers(archive, args.utt2spk)
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
