"""Embed recordings: audio files, a wav.scp, or a feats.scp of stage 3.

sv embed --model exp/exu_net a.wav b.flac out.ark        keys are the file names without suffix
sv embed --model exp/exu_net data/test/wav.scp out.ark   writes out.ark and out.scp

Audio of any rate and number of channels is made 16 kHz mono. The pipes of a noisy set's wav.scp are not run: its cuts are
rendered instead.
"""

import argparse
import heapq
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sv.bin.common import fail_in_one_line
from sv.data.audio import BadAudio, load_checked, to_mono_16k
from sv.data.manifests import iter_waveforms
from sv.extract import Embedder, compute_features, frames_per_segment, utterance_embedding
from sv.kaldi import DataDirError, open_ark_scp, read_matrix, read_scp
from sv.kaldi.scp import byte_order
from sv.system import SystemConfig, load_model

ARCHIVE = re.compile(r".+:\d+(\[[\d:,]+\])?")  # file:offset, maybe with a range of rows
Stream = Iterator[tuple[str, np.ndarray]]


def named_inputs(paths: list[Path]) -> dict[str, tuple[str, Path]]:
    """What the command line names, in byte order of the keys: (file, `file:offset` or pipe; where it is named)."""
    named: dict[str, tuple[str, Path]] = {}
    for path in paths:
        table = read_scp(path) if path.suffix == ".scp" else {path.stem: str(path)}
        for key, location in table.items():
            if key in named:
                raise DataDirError(f"{path}: key {key!r} stands twice; rename the file, or use a wav.scp")
            named[key] = (location, path)
    return {key: named[key] for key in sorted(named, key=byte_order)}


class FeatureReader:
    """Features of recordings and archives, one after the other; `bad` collects the recordings that cannot be used."""

    def __init__(self, system: SystemConfig, frontend: nn.Module) -> None:
        self.system, self.frontend = system, frontend
        self.bad: list[str] = []

    def __call__(self, inputs: dict[str, tuple[str, Path]]) -> Stream:
        """Yield (key, (num_segments * frames, mels) float32) in the order of the inputs."""
        piped: dict[Path, list[str]] = {}
        for key, (location, path) in inputs.items():
            if location.endswith("|"):
                piped.setdefault(path.parent, []).append(key)
        streams = [self._files({key: location for key, (location, _) in inputs.items() if not location.endswith("|")})]
        streams += [self._rendered(data_dir, keys) for data_dir, keys in piped.items()]
        yield from heapq.merge(*streams, key=lambda item: byte_order(item[0]))

    def _files(self, locations: dict[str, str]) -> Stream:
        for key, location in locations.items():
            if ARCHIVE.fullmatch(location):
                yield key, self._stored(key, location)
                continue
            try:
                Path(location).stat()  # libsndfile does not say that a file is missing
                samples = to_mono_16k(*load_checked(location))
            except (BadAudio, OSError) as error:
                self.bad.append(f"{location}: {error.strerror if isinstance(error, OSError) else error}")
            else:
                yield key, self._computed(samples)

    def _rendered(self, data_dir: Path, keys: list[str]) -> Stream:
        for key, samples in iter_waveforms(data_dir, keys):
            yield key, self._computed(samples)

    def _computed(self, samples: np.ndarray) -> np.ndarray:
        return compute_features(self.frontend, samples, self.system.extract.segment_samples)

    def _stored(self, key: str, location: str) -> np.ndarray:
        matrix = read_matrix(location)
        if matrix.ndim != 2 or matrix.shape[1] != self.system.features.num_mel_bins:
            raise DataDirError(
                f"{key}: stored features are {matrix.shape}, the system reads (frames, {self.system.features.num_mel_bins})"
            )
        return matrix


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="sv embed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--model", type=Path, required=True, help="model folder, of training or sv convert")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out recordings that cannot be used, instead of failing"
    )
    parser.add_argument("inputs", type=Path, nargs="+", help="audio files (wav, flac, m4a), wav.scp or feats.scp files")
    parser.add_argument("out", type=Path, help="OUT.ark; OUT.scp is written beside it")
    args = parser.parse_args(argv)
    if args.out.suffix != ".ark":
        parser.error(f"the last argument is the output and must end in .ark, got {args.out}")
    if args.out.with_suffix(".scp") in args.inputs:
        parser.error(f"{args.out.with_suffix('.scp')} is an input and would be overwritten; choose another output")
    return args


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and embed."""
    args = parse(argv)
    inputs = named_inputs(args.inputs)
    system, frontend, model = load_model(args.model, "cuda" if torch.cuda.is_available() else "cpu")
    frames = frames_per_segment(frontend, system.extract.segment_samples)
    reader, embedder = FeatureReader(system, frontend), Embedder(model, frames, system.extract.batch_size)
    out = args.out.absolute()
    with open_ark_scp(out, out.with_suffix(".scp")) as write:
        for key, segments in embedder(reader(inputs)):
            write(key, utterance_embedding(segments))
        for line in reader.bad:
            print(f"cannot use {line}", file=sys.stderr)
        if len(reader.bad) == len(inputs) or (reader.bad and not args.skip_bad):
            # Raised in here so that nothing is published.
            raise BadAudio(f"{len(reader.bad)} of {len(inputs)} recordings cannot be used (--skip-bad leaves them out)")


if __name__ == "__main__":
    main()
