"""Features of what is to be embedded: audio files, wav.scp, feats.scp, data directories.

All samples pass `heard` on their way to a front end: what is no speech is cut out there, if the system says so.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from sv.base.config import load_json_table, to_dict
from sv.base.files import existing_file
from sv.base.layout import SAMPLING_RATE, first_draw
from sv.base.log import get_logger
from sv.data.audio import BadAudio, check_speech, is_pipe, load_speech
from sv.data.manifests import CUTS, iter_waveforms
from sv.data.silero import only_speech
from sv.features.segments import SegmentConfig, compute_features, cut_frames, frames_per_segment, segment_options
from sv.kaldi import DataDirError, read_matrix, read_scp
from sv.kaldi.scp import byte_order
from sv.system.config import SystemConfig

FEATURES_RECORD = "config.json"  # in a folder of stored features
ARCHIVE = re.compile(r".+:\d+(\[[\d:,]+\])?")  # file:offset, maybe with a range of rows
Stream = Iterator[tuple[str, np.ndarray]]


def has_segments(path: Path) -> bool:
    """True for the wav.scp of a data directory whose utterances are segments."""
    return path.name == "wav.scp" and path.with_name("segments").exists()


def heard(samples: np.ndarray, config: SegmentConfig) -> np.ndarray:
    """The speech in (samples,) at 16 kHz, or all of it without a detector.

    Raises
    ------
    BadAudio
        If there is none, or less than `config.min_speech` seconds.
    """
    speech, what = (only_speech(samples), "speech") if config.vad else (samples, "audio")
    seconds = len(speech) / SAMPLING_RATE
    if len(speech) == 0:
        raise BadAudio("no speech in it")
    if seconds < config.min_speech:
        rounded_down = int(1000 * seconds) / 1000
        raise BadAudio(f"{rounded_down:g} s of {what}, less than the {config.min_speech:g} s that are asked for")
    return speech


class SpeechOfSets:
    """The speech of a recipe's utterances; one with too little is taken whole, and counted.

    Attributes
    ----------
    config : SegmentConfig
    num_whole : int
        Utterances with less speech than `config.min_speech`.
    """

    def __init__(self, config: SegmentConfig) -> None:
        self.config, self.num_whole = config, 0

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """The speech in (samples,), or all of it."""
        if not self.config.vad:
            return samples
        try:
            return heard(samples, self.config)
        except BadAudio:
            self.num_whole += 1
            return samples

    def report(self, name: str) -> None:
        """Log the number of utterances of a set that were taken whole, if there are any."""
        if self.num_whole:
            least = f"less than {self.config.min_speech:g} s of speech" if self.config.min_speech else "no speech"
            get_logger("vad").warning("%s: %d utterances have %s and are taken whole", name, self.num_whole, least)


def refuse_stored(inputs: Mapping[str, tuple[str, Path]]) -> None:
    """Raise DataDirError for the first input that is stored features, in which no detector can find speech."""
    for key, (location, path) in inputs.items():
        if ARCHIVE.fullmatch(location):
            raise DataDirError(f"{path}: {key} is stored features; a detector of speech needs audio, give wav.scp")


class FeatureReader:
    """Read features of recordings and archives, one after the other.

    A matrix whose length is not a multiple of a segment's is taken for a whole utterance's frames, made elsewhere, and cut.
    The pipes of a wav.scp beside cuts are not run, the cuts are rendered; others run only if `allow_pipes`.

    Attributes
    ----------
    bad : list of str
        The recordings that cannot be used, each with the reason.
    seconds : dict of str to float
        Of each recording that was read: its speech, or all of it without a detector.
    """

    def __init__(self, system: SystemConfig, frontend: nn.Module, allow_pipes: bool = False) -> None:
        self.system, self.frontend, self.allow_pipes = system, frontend, allow_pipes
        self.num_frames = frames_per_segment(frontend, system.extract)
        self.bad: list[str] = []
        self.seconds: dict[str, float] = {}

    def __call__(self, inputs: Mapping[str, tuple[str, Path]]) -> Stream:
        """Yield (key, (num_segments * frames, mels) float32) in the order of the inputs."""
        files: dict[str, tuple[str, Path]] = {}
        sets: dict[Path, list[str]] = {}
        for key, (location, path) in inputs.items():
            if has_segments(path) or (is_pipe(location) and (path.parent / CUTS).exists()):
                sets.setdefault(path.parent, []).append(key)
            else:
                files[key] = (location, path)
        streams = [self._files(files), *(self._of_set(data_dir, keys) for data_dir, keys in sets.items())]
        yield from merge(*streams, key=lambda item: byte_order(item[0]))

    def _files(self, locations: dict[str, tuple[str, Path]]) -> Stream:
        for key, (location, table) in locations.items():
            if ARCHIVE.fullmatch(location):
                try:
                    features = self._stored(key, location)
                except (BadAudio, OSError) as error:
                    self.bad.append(f"{key} of {table}: {error}")
                else:
                    yield key, features
                continue
            try:
                if not is_pipe(location):
                    Path(location).stat()  # the system's own words for what is missing or forbidden
                samples = heard(load_speech(location, self.allow_pipes).samples, self.system.extract)
            except (BadAudio, OSError) as error:
                self.bad.append(f"{location}: {error.strerror if isinstance(error, OSError) else error}")
            else:
                yield key, self._computed(key, samples)

    def _of_set(self, data_dir: Path, keys: list[str]) -> Stream:
        for key, samples in iter_waveforms(data_dir, keys, self.allow_pipes, self.bad):
            try:
                check_speech(samples)
                speech = heard(samples, self.system.extract)
            except BadAudio as error:
                self.bad.append(f"{key} of {data_dir}: {error}")
            else:
                yield key, self._computed(key, speech)

    def _computed(self, key: str, samples: np.ndarray) -> np.ndarray:
        self.seconds[key] = len(samples) / SAMPLING_RATE
        return compute_features(self.frontend, samples, self.system.extract)

    def _stored(self, key: str, location: str) -> np.ndarray:
        if self.system.features_type == "waveform":
            raise DataDirError(f"{key}: stored features, but the system reads waveforms; give it wav.scp")
        try:
            matrix = read_matrix(location)
        except DataDirError as error:  # a damaged record is one bad recording among others
            raise BadAudio(str(error)) from error
        if matrix.ndim != 2 or len(matrix) == 0 or matrix.shape[1] != self.system.features.num_mel_bins:
            raise BadAudio(
                f"stored features are {matrix.shape}, the system reads (frames, {self.system.features.num_mel_bins})"
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
        speech = SpeechOfSets(system.extract)
        for utterance, samples in iter_waveforms(data_dir, utterances, allow_pipes):
            yield utterance, compute_features(frontend, speech(samples), system.extract)
        speech.report(data_dir.name)
        return
    check_features(feats, system)
    path = existing_file(feats / first_draw(data_dir.name) / "feats.scp", "run stage 3 first")
    scp = read_scp(path)
    if missing := [utterance for utterance in utterances if utterance not in scp]:
        raise DataDirError(f"{path}: {len(missing)} utterances are not there, e.g. {missing[:3]}; run stage 3 again")
    for utterance in utterances:
        yield utterance, read_matrix(scp[utterance])
