"""Files to the embeddings that back ends learn from, and the names of those to train."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sv.base.config import ConfigError, check_keys, from_dict
from sv.base.log import get_logger
from sv.kaldi.ark import open_ark_scp, read_vectors
from sv.kaldi.scp import DataDirError, naming, read_utt2spk
from sv.kaldi.trials import read_trials
from sv.scoring.backends import BACKENDS
from sv.scoring.backends.interface import HeldOut, Training, Vectors
from sv.scoring.cosine import sides_of
from sv.scoring.score_norm import distinct_cohort
from sv.scoring.speakers import speaker_means


def trainable() -> list[str]:
    """Names of the back ends that learn something."""
    return [name for name, back_end in BACKENDS.items() if back_end.files]


def configs_of(
    kinds: Sequence[str], settings: Sequence[str] = (), defaults: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """Options of each back end to train, by name.

    Parameters
    ----------
    kinds : sequence of str
    settings : sequence of str
        Lines of TOML, `<back end>.<option> = <value>`.
    defaults : mapping of str to mapping of str to value, optional
        Options by back end that hold unless `settings` has others.

    Raises
    ------
    ConfigError
        For a back end that is not among `kinds` or not known, an unknown option or an unusable value.
    """
    if unknown := [kind for kind in kinds if kind not in trainable()]:
        raise ConfigError(f"no back end {unknown[0]!r} to train; there are {', '.join(trainable())}")
    try:
        tables = tomllib.loads("\n".join(settings))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"--set: {error}; expected NAME.KEY=VALUE as in TOML") from error
    check_keys(tables, kinds, "--set")
    if not all(isinstance(table, dict) for table in tables.values()):
        raise ConfigError(f"--set: expected NAME.KEY=VALUE, got {' '.join(settings)}")
    known = defaults or {}
    return {
        kind: from_dict(BACKENDS[kind].Config, {**known.get(kind, {}), **tables.get(kind, {})}, "--set", f"{kind}.")
        for kind in kinds
    }


def read_training(
    xvector_scp: Path,
    utt2spk: Path,
    *,
    valid_trials: Path | None = None,
    valid_scp: Path | None = None,
    adapt: Path | None = None,
) -> Training:
    """Read labelled embeddings, held-out trials with their embeddings, and embeddings to adapt to.

    Raises
    ------
    DataDirError
        If there are no embeddings, one has no speaker, or an utterance of the held-out trials has no embedding. Speakers'
        utterances without an embedding are counted in the log.
    """
    vectors, speakers = read_vectors(xvector_scp), read_utt2spk(utt2spk)
    if not vectors:
        raise DataDirError(f"{xvector_scp}: holds no embeddings")
    if unlabelled := [utt for utt in vectors if utt not in speakers]:
        raise DataDirError(f"{utt2spk}: {len(unlabelled)} embeddings have no speaker, e.g. {unlabelled[:3]}")
    if absent := len(speakers) - len(vectors):
        get_logger("backend").warning("%d of %d utterances in %s have no embedding", absent, len(speakers), utt2spk)
    return Training(
        vectors=np.stack(list(vectors.values())),
        names=list(vectors),
        speakers=[speakers[utt] for utt in vectors],
        held_out=_read_held_out(valid_trials, valid_scp) if valid_trials and valid_scp else None,
        unlabelled=read_vectors(adapt) if adapt else None,
        unlabelled_scp=adapt or "",
    )


def _read_held_out(trials: Path, scp: Path) -> HeldOut:
    held_out = HeldOut(trials=read_trials(trials), vectors=read_vectors(scp))
    with naming(trials):
        sides_of(held_out.trials, "embedding", held_out.vectors)
    return held_out


def cohort_of(training: Training) -> Vectors:
    """Mean embedding of each speaker, for score normalisation; speakers with the very mean of another are left out, and logged."""
    means = speaker_means(dict(zip(training.names, training.vectors)), dict(zip(training.names, training.speakers)))
    return distinct_cohort(means)


def write_cohort(folder: Path, cohort: Vectors) -> None:
    """Write cohort.{ark,scp} into a folder."""
    folder = folder.absolute()
    with open_ark_scp(folder / "cohort.ark", folder / "cohort.scp") as write:
        for speaker, mean in cohort.items():
            write(speaker, mean)
