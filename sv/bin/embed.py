"""Embed recordings: audio files, a wav.scp, or a feats.scp of stage 3.

sv embed --model exp/exu_net a.wav b.flac out.ark        keys are the file names without suffix
sv embed --model exp/exu_net data/test/wav.scp out.ark
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from sv.bin.common import fail_in_one_line
from sv.data.audio import BadAudio, load_checked, to_mono_16k
from sv.extract import Embedder, compute_features, frames_per_segment, utterance_embedding
from sv.kaldi import DataDirError, open_ark_scp, read_matrix, read_scp
from sv.kaldi.scp import byte_order
from sv.system import load_model


def named_inputs(paths: list[Path]) -> dict[str, str]:
    """Key to file (or file:offset) of everything on the command line, in byte order."""
    named: dict[str, str] = {}
    for path in paths:
        table = read_scp(path) if path.suffix == ".scp" else {path.stem: str(path)}
        for key, file in table.items():
            if key in named:
                raise DataDirError(f"{path}: key {key!r} stands twice; rename the file, or use a wav.scp")
            named[key] = file
    return {key: named[key] for key in sorted(named, key=byte_order)}


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and embed."""
    parser = argparse.ArgumentParser(
        prog="sv embed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--model", type=Path, required=True, help="model folder, of training or sv convert")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out recordings that cannot be used, instead of failing"
    )
    parser.add_argument("inputs", type=Path, nargs="+", help="audio files (wav, flac, m4a), wav.scp or feats.scp files")
    parser.add_argument("out", type=Path, help="ark to write; the scp beside it has the same name")
    args = parser.parse_args(argv)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    system, frontend, model = load_model(args.model, device)
    length, bad = system.extract.segment_samples, []

    def features() -> Iterator[tuple[str, np.ndarray]]:
        for key, file in named_inputs(args.inputs).items():
            try:
                is_archive = file.rpartition(":")[2].isdigit() and not Path(file).exists()
                yield (
                    key,
                    read_matrix(file)
                    if is_archive
                    else compute_features(frontend, to_mono_16k(*load_checked(file)), length),
                )
            except (BadAudio, OSError) as error:
                bad.append(f"{file}: {error}")
                if not args.skip_bad:
                    raise BadAudio(f"{bad[0]} (--skip-bad leaves such recordings out)") from error

    embedder = Embedder(model, frames_per_segment(frontend, length), system.extract.batch_size)
    out = args.out.absolute()
    with open_ark_scp(out, out.with_suffix(".scp")) as write:
        for key, segments in embedder(features()):
            write(key, utterance_embedding(segments))
    for line in bad:
        print(f"skipped {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
