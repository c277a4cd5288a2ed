"""Models enrolled from several utterances: a table in the form of spk2utt, beside the trials that name the models."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sv.kaldi.scp import DataDirError, read_spk2utt, write_table

ENROLMENT = "enrolment"


def write_enrolment(data_dir: str | Path, models: Mapping[str, Sequence[str]]) -> None:
    """Write lines of `<model> <utterance> <utterance> ...`."""
    write_table(Path(data_dir) / ENROLMENT, {model: " ".join(utts) for model, utts in models.items()})


def read_enrolment(data_dir: str | Path, utt2spk: Mapping[str, str]) -> dict[str, list[str]]:
    """Utterances of each model; empty if the data directory's trials name utterances only.

    Raises
    ------
    DataDirError
        If a model has the name of an utterance, an utterance is unknown, or a model has utterances of two speakers.
    """
    path = Path(data_dir) / ENROLMENT
    models = read_spk2utt(path) if path.exists() else {}
    for number, (model, utts) in enumerate(models.items(), start=1):
        if model in utt2spk:
            raise DataDirError(f"{path}:{number}: model {model!r} has the name of an utterance")
        if unknown := [utt for utt in utts if utt not in utt2spk]:
            raise DataDirError(f"{path}:{number}: utterance {unknown[0]!r} of model {model!r} is not in utt2spk")
        if len(speakers := {utt2spk[utt] for utt in utts}) > 1:
            raise DataDirError(f"{path}:{number}: model {model!r} has utterances of {', '.join(sorted(speakers))}")
    return models


def with_models(utt2spk: Mapping[str, str], models: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Speaker of each utterance and each model, for the trials that name either."""
    return {**utt2spk, **{model: utt2spk[utts[0]] for model, utts in models.items()}}
