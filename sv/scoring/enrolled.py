"""Embeddings of models that are enrolled from several utterances."""

from collections.abc import Mapping, Sequence

import numpy as np

from sv.scoring.cosine import unit_rows


def model_embeddings(
    models: Mapping[str, Sequence[str]], embeddings: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Mean of the length-normalised embeddings of each model's utterances (Wan et al. 2018, section 2).

    Parameters
    ----------
    models : mapping of model to utterances
    embeddings : mapping of utterance to (dim,) numpy.ndarray

    Raises
    ------
    KeyError
        If an utterance has no embedding: how many, and the first three.
    ValueError
        If an embedding is zero, NaN or infinite.
    """
    _check_known(models, embeddings)
    return {
        model: unit_rows(np.stack([embeddings[utt] for utt in utts]), utts).mean(axis=0)
        for model, utts in models.items()
    }


def model_segments(models: Mapping[str, Sequence[str]], segments: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The segments of each model's utterances, (num_segments, dim); parameters and errors as above."""
    _check_known(models, segments)
    return {model: np.concatenate([segments[utt] for utt in utts]) for model, utts in models.items()}


def _check_known(models: Mapping[str, Sequence[str]], known: Mapping[str, object]) -> None:
    wanted = {utt for utts in models.values() for utt in utts}
    if missing := sorted(wanted - known.keys()):
        raise KeyError(f"{len(missing)} of {len(wanted)} enrolment utterances have no embedding, e.g. {missing[:3]}")
