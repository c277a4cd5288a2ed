"""Features of what is to be embedded: audio files, wav.scp, feats.scp, data directories."""

import re
from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from sv.base.config import load_json_table, to_dict
from sv.base.files import existing_file
from sv.data.audio import BadAudio, is_pipe, load_speech
from sv.data.manifests import CUTS, iter_waveforms
from sv.data.utterances import read_utterances
from sv.features.segments import compute_features, cut_frames, frames_per_segment, segment_options
from sv.kaldi import DataDirError, read_matrix, read_scp
from sv.kaldi.scp import byte_order
from sv.system.config import SystemConfig

FEATURES_RECORD = "config.json"  # in a folder of stored features
ARCHIVE = re.compile(r".+:\d+(\[[\d:,]+\])?")  # file:offset, maybe with a range of rows
Stream = Iterator[tuple[str, np.ndarray]]


def named_inputs(paths: Sequence[Path]) -> dict[str, tuple[str, Path]]:
    """Inputs of the command line by key, in byte order: (file, `file:offset` or pipe; the argument that names it).

    A wav.scp with segments beside it names the segments.

    Raises
    ------
    DataDirError
        If a key appears twice, or a table is malformed.
    """
    named: dict[str, tuple[str, Path]] = {}
    for path in paths:
        if has_segments(path):
            table = {utt: utterance.path for utt, utterance in read_utterances(path.parent).items()}
        else:
            table = read_scp(path) if path.suffix == ".scp" else {path.stem: str(path)}
        for key, location in table.items():
            if key in named:
                raise DataDirError(f"{path}: key {key!r} appears twice; rename the file, or use a wav.scp")
            named[key] = (location, path)
    return {key: named[key] for key in sorted(named, key=byte_order)}


def has_segments(path: Path) -> bool:
    """True for the wav.scp of a data directory whose utterances are segments."""
    return path.name == "wav.scp" and path.with_name("segments").exists()


class FeatureReader:
    """Read features of recordings and archives, one after the other.

    A matrix whose length is not a multiple of a segment's is taken for a whole utterance's frames, made elsewhere, and cut.
    The pipes of a wav.scp beside cuts are not run, the cuts are rendered; others run only if `allow_pipes`.

    Attributes
    ----------
    bad : list of str
        The recordings that cannot be used, each with the reason.
    """

    def __init__(self, system: SystemConfig, frontend: nn.Module, allow_pipes: bool = False) -> None:
        self.system, self.frontend, self.allow_pipes = system, frontend, allow_pipes
        self.num_frames = frames_per_segment(frontend, system.extract)
        self.bad: list[str] = []

    def __call__(self, inputs: Mapping[str, tuple[str, Path]]) -> Stream:
        """Yield (key, (num_segments * frames, mels) float32) in the order of the inputs."""
        files: dict[str, str] = {}
        sets: dict[Path, list[str]] = {}
        for key, (location, path) in inputs.items():
            if has_segments(path) or (is_pipe(location) and (path.parent / CUTS).exists()):
                sets.setdefault(path.parent, []).append(key)
            else:
                files[key] = location
        streams = [self._files(files), *(self._of_set(data_dir, keys) for data_dir, keys in sets.items())]
        yield from merge(*streams, key=lambda item: byte_order(item[0]))

    def _files(self, locations: dict[str, str]) -> Stream:
        for key, location in locations.items():
            if ARCHIVE.fullmatch(location):
                yield key, self._stored(key, location)
                continue
            try:
                if not is_pipe(location):
                    Path(location).stat()  # the system's own words for what is missing or forbidden
                samples = load_speech(location, self.allow_pipes).samples
            except (BadAudio, OSError) as error:
                self.bad.append(f"{location}: {error.strerror if isinstance(error, OSError) else error}")
            else:
                yield key, self._computed(samples)

    def _of_set(self, data_dir: Path, keys: list[str]) -> Stream:
        for key, samples in iter_waveforms(data_dir, keys, self.allow_pipes):
            yield key, self._computed(samples)

    def _computed(self, samples: np.ndarray) -> np.ndarray:
        return compute_features(self.frontend, samples, self.system.extract)

    def _stored(self, key: str, location: str) -> np.ndarray:
        matrix = read_matrix(location)
        if self.system.features_type == "waveform":
            raise DataDirError(f"{key}: stored features, but the system reads waveforms; give it wav.scp")
        if matrix.ndim != 2 or matrix.shape[1] != self.system.features.num_mel_bins:
            raise DataDirError(
                f"{key}: stored features are {matrix.shape}, the system reads (frames, {self.system.features.num_mel_bins})"
            )
        return cut_frames(matrix, self.num_frames, self.system.extract)


def features_record(system: SystemConfig) -> dict[str, Any]:
    """The options that stored features depend on; stage 3 writes them beside the features."""
    return {"type": system.features_type, **to_dict(system.features), **segment_options(system.extract)}


def check_features(feats: Path, system: SystemConfig) -> None:
    """Raise ValueError unless the stored features are those that the system reads; FileNotFoundError if there are none."""
    stored = load_json_table(existing_file(feats / FEATURES_RECORD, "run stage 3 first"))
    wanted = features_record(system)
    if differing := [key for key in wanted if stored.get(key) != wanted[key]]:
        raise ValueError(f"{feats}: its features differ from the system's in {', '.join(differing)}; run stage 3 again")


def set_features(
    system: SystemConfig,
    frontend: nn.Module,
    data_dir: Path,
    feats: Path | None,
    utterances: Sequence[str],
    allow_pipes: bool = False,
) -> Stream:
    """Read features of some utterances of a data directory, stored by stage 3, or compute them if `feats` is None.

    Parameters
    ----------
    system : SystemConfig
    frontend : torch.nn.Module
    data_dir : Path
    feats : Path, optional
        Folder of stored features.
    utterances : sequence of str
        In byte order.
    allow_pipes : bool
        Run the pipes of a wav.scp without cuts.

    Yields
    ------
    utterance, (num_segments * frames, mels) float32 numpy.ndarray

    Raises
    ------
    FileNotFoundError
        If nothing is stored for the data directory.
    ValueError
        If the stored features are not those that the system reads.
    """
    if feats is None:
        for utterance, samples in iter_waveforms(data_dir, utterances, allow_pipes):
            yield utterance, compute_features(frontend, samples, system.extract)
        return
    check_features(feats, system)
    path = existing_file(feats / data_dir.name / "feats.scp", "run stage 3 first")
    scp = read_scp(path)
    if missing := [utterance for utterance in utterances if utterance not in scp]:
        raise DataDirError(f"{path}: {len(missing)} utterances are not there, e.g. {missing[:3]}; run stage 3 again")
    for utterance in utterances:
        yield utterance, read_matrix(scp[utterance])
