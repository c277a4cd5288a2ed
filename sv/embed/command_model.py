"""Other people's programs as models: any command that turns a wav.scp into an archive of embeddings."""

import shlex
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile

from sv.base.config import ConfigError
from sv.base.layout import SAMPLING_RATE
from sv.embed.computing import Computing
from sv.features.segments import SegmentConfig
from sv.kaldi.ark import iter_ark
from sv.kaldi.scp import DataDirError, write_table

PLACES = ("{wav_scp}", "{ark}")
AT_A_TIME = 1000  # recordings of a run: their samples lie on disk meanwhile
WHOLE = SegmentConfig(scheme="whole", segment_samples=1, unit_segments=False)  # the program gets every sample


@dataclass(frozen=True, kw_only=True)
class CommandDescription:
    """A program, from a TOML file.

    Attributes
    ----------
    command : str
        Words as in a shell, but none runs: `{wav_scp}` stands for the file that lists `<key> <wav file>`, `{ark}` for the
        archive of vectors, binary or text, that the program writes.
    embedding_dim : int, optional
        Checked if given.
    """

    command: str
    embedding_dim: int | None = None

    def __post_init__(self) -> None:
        if missing := [place for place in PLACES if place not in self.command]:
            raise ValueError(f"command must contain {' and '.join(missing)}, got {self.command!r}")
        shlex.split(self.command)  # raises ValueError for an open quotation

    def arguments(self, wav_scp: Path, ark: Path) -> list[str]:
        """Words of the command line."""
        values = dict(zip(PLACES, (str(wav_scp), str(ark))))
        words = shlex.split(self.command)
        for place, value in values.items():
            words = [word.replace(place, value) for word in words]
        return words


class CommandEmbedder:
    """Embed utterances by a program; takes waveforms as the front end "waveform" gives them.

    Parameters
    ----------
    path : path
        Of the description, named in errors; the command runs in its folder.
    config : CommandDescription
    """

    def __init__(self, path: Path, config: CommandDescription) -> None:
        self.path, self.config, self.computing = path, config, Computing()

    def __call__(
        self, features: Iterable[tuple[str, np.ndarray]], refused: list[str] | None = None
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (utterance, (1, dim) float32) for (utterance, (samples, 1)), in order.

        The program reads 16 kHz wav files of 16 bits.

        Raises
        ------
        ConfigError
            If the command fails, or what it wrote is not one vector for each utterance, all of one dimension.
        ValueError
            Naming an utterance whose vector is not finite; `refused` gets it instead, if given.
        """
        stream = iter(features)
        while batch := list(islice(stream, AT_A_TIME)):
            for key, vector in self._run(batch):
                if np.isfinite(vector).all():
                    yield key, vector
                elif refused is None:
                    raise ValueError(f"{key}: its embedding is not finite")
                else:
                    refused.append(key)

    def _run(self, batch: list[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
        with TemporaryDirectory(prefix="sv-command-") as name:
            folder, ark = Path(name), Path(name) / "out.ark"
            wavs = {key: str(folder / f"{number}.wav") for number, (key, _) in enumerate(batch)}
            for key, samples in batch:
                soundfile.write(wavs[key], samples[:, 0], SAMPLING_RATE, subtype="PCM_16")
            write_table(folder / "wav.scp", wavs)
            self._call(self.config.arguments(folder / "wav.scp", ark))
            vectors = self._read(ark, wavs)
        for key, _ in batch:
            yield key, vectors[key][None]

    def _call(self, words: list[str]) -> None:
        try:
            done = subprocess.run(
                words, cwd=self.path.parent, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
            )
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot run {words[0]}: {error.strerror}") from error
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
            raise ConfigError(f"{self.path}: {words[0]} failed with exit code {done.returncode}: {last}")

    def _read(self, ark: Path, wanted: dict[str, str]) -> dict[str, np.ndarray]:
        if not ark.is_file():
            raise ConfigError(f"{self.path}: the command wrote no archive to {{ark}}")
        try:
            vectors = {key: np.asarray(array, dtype=np.float32) for key, array in iter_ark(ark)}
        except DataDirError as error:
            raise ConfigError(f"{self.path}: the command wrote no archive of Kaldi's: {error}") from error
        if missing := [key for key in wanted if key not in vectors]:
            raise ConfigError(
                f"{self.path}: the command wrote no vector for {len(missing)} recordings, e.g. {missing[:3]}"
            )
        shapes = {vectors[key].shape for key in wanted}
        dim = self.config.embedding_dim or next(iter(shapes))[-1:]
        if shapes != {(dim,) if isinstance(dim, int) else tuple(dim)}:
            raise ConfigError(
                f"{self.path}: the command wrote arrays of shape {sorted(shapes)[:3]}, expected one vector each"
            )
        return vectors
