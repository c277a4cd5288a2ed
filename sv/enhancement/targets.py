"""Targets of enhancement: a speaker's embedding, averaged from those of its utterances, or an utterance's own.

The target "utterance" needs no speaker labels: what a noisy copy, or a few segments, of an utterance should become is the
embedding of the clean utterance, as the front end reads it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from sv.enhancement.archive import EmbeddingArchive
from sv.kaldi import DataDirError, read_utt2spk
from sv.kaldi.scp import byte_order

Kind = Literal["B", "C"]
Target = Literal["B", "C", "utterance"]
UTTERANCE = "utterance"


def unit(vectors: np.ndarray) -> np.ndarray:
    """Length-normalised rows of (n, dim)."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def number_speakers(archive: EmbeddingArchive, path: str | Path) -> tuple[list[str], np.ndarray]:
    """Speakers of an archive in byte order by a utt2spk file, and the number of each row's speaker, (n,) integer.

    Raises
    ------
    DataDirError
        If an utterance has no speaker.
    """
    utt2spk = read_utt2spk(path)
    if missing := [utt for utt in archive.keys if utt not in utt2spk]:
        raise DataDirError(f"{path}: {len(missing)} utterances of {archive.scp} are not there, e.g. {missing[:3]}")
    speakers = sorted({utt2spk[utt] for utt in archive.keys}, key=byte_order)
    number = {speaker: place for place, speaker in enumerate(speakers)}
    return speakers, np.array([number[utt2spk[utt]] for utt in archive.keys])


class SpeakerTargets:
    """Targets of two kinds, of all of a speaker's utterances or all but one.

    With a_u the embedding of utterance u: "B" (average, normalise, average) is the mean over u of a_u / |a_u|, shorter
    than 1; "C" (average, average, normalise) is the mean over u of a_u, divided by its length. (The published code means
    C, but returns the last utterance that it happened to visit.)

    Parameters
    ----------
    kind : "B" or "C"
    archive : EmbeddingArchive
    rows : (n,) integer numpy.ndarray
        Utterances.
    speakers : (n,) integer numpy.ndarray
        Their speakers, numbered from 0.

    Attributes
    ----------
    counts : (num_speakers,) numpy.ndarray
        Utterances of each speaker.
    """

    def __init__(self, kind: Kind, archive: EmbeddingArchive, rows: np.ndarray, speakers: np.ndarray) -> None:
        if kind not in ("B", "C"):
            raise ValueError(f"a target is of kind B or C, got {kind!r}")
        self.kind = kind
        self.counts = np.bincount(speakers)
        self._sums = np.zeros((len(self.counts), archive.dim))
        of_row = np.full(len(archive), -1)
        of_row[rows] = speakers
        for block, embeddings in archive.blocks():
            used = of_row[block] >= 0
            np.add.at(self._sums, of_row[block][used], self._summed(embeddings[used]))

    def of_speakers(self, speakers: Sequence[int] | np.ndarray) -> np.ndarray:
        """Targets of speakers, (n, dim) float32."""
        return self._finished(self._sums[speakers], self.counts[speakers])

    def leaving_out(self, speakers: Sequence[int] | np.ndarray, own: np.ndarray) -> np.ndarray:
        """Targets of speakers without one of their utterances, (n, dim) float32.

        Parameters
        ----------
        speakers : (n,) integer
            Of two utterances or more each.
        own : (n, dim) numpy.ndarray
            Embeddings of the utterances left out.
        """
        return self._finished(self._sums[speakers] - self._summed(own), self.counts[speakers] - 1)

    def _summed(self, embeddings: np.ndarray) -> np.ndarray:
        embeddings = embeddings.astype(np.float64)
        return unit(embeddings) if self.kind == "B" else embeddings

    def _finished(self, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
        return (sums / counts[:, None] if self.kind == "B" else unit(sums)).astype(np.float32)
