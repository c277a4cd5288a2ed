"""Enhancement by a linear map in closed form: mean, LDA or WCCN."""

from collections.abc import Sequence

import numpy as np
import torch

from sv.data.trial_lists import Line
from sv.enhancement.archive import EmbeddingArchive
from sv.kaldi import DataDirError
from sv.scoring.lda import train_lda
from sv.scoring.wccn import train_wccn
from sv.system.config import SystemConfig
from sv.system.folder import build_frontend
from sv.train.steps.enhancement import LinearConfig


def read_inputs(
    system: SystemConfig, archives: Sequence[EmbeddingArchive], lines: Sequence[Line]
) -> tuple[np.ndarray, list[str]]:
    """Embeddings (n, dim) of a normal list's utterances in every archive, as the system reads them, and their speakers.

    Raises
    ------
    DataDirError
        If an utterance of the list has no embedding.
    """
    frontend = build_frontend(system)
    inputs, speakers = [], []
    for archive in archives:
        if missing := [utt for _, utt in lines if utt not in archive]:
            raise DataDirError(
                f"{archive.scp}: {len(missing)} utterances of the list are not there, e.g. {missing[:3]}"
            )
        rows = archive.rows([archive.row(utt) for _, utt in lines])
        inputs.append(frontend(torch.from_numpy(rows)).numpy())
        speakers += [speaker for speaker, _ in lines]
    return np.concatenate(inputs), speakers


def fit_linear(config: LinearConfig, embeddings: np.ndarray, speakers: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Fit a mean (dim,) and a transform (output_dim, dim) to embeddings (n, dim) with one speaker each.

    Raises
    ------
    ValueError
        If there are too few utterances for the covariance within speakers to be invertible, which LDA needs, and WCCN without
        shrinkage.
    """
    mean, dim = embeddings.mean(axis=0, dtype=np.float64), embeddings.shape[1]
    if config.kind == "mean":
        return mean, np.eye(dim)
    if config.kind == "wccn":
        return mean, train_wccn(embeddings, speakers, config.shrinkage)
    num_speakers = len(set(speakers))
    if len(embeddings) - num_speakers < dim:
        raise ValueError(
            f"LDA of {dim}-dimensional embeddings needs {num_speakers + dim} utterances of {num_speakers} speakers, "
            f"got {len(embeddings)}"
        )
    return mean, train_lda(embeddings, speakers, min(config.dim, dim, num_speakers - 1))[:, :-1]
