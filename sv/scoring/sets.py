"""Scores of an evaluated set by all back ends of a model folder, with and without score normalisation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sv.base.files import existing_file
from sv.base.log import get_logger
from sv.kaldi.ark import iter_matrices, read_vectors
from sv.kaldi.trials import Trials
from sv.scoring.backends import BACKENDS, BackEnd
from sv.scoring.enrolled import model_embeddings, model_segments
from sv.scoring.score_norm import cohort_id, distinct_cohort
from sv.scoring.scorers import Vectors, score_trials


@dataclass(frozen=True, kw_only=True, eq=False)
class SetEmbeddings:
    """Embeddings of a set, of its utterances and of the models that are enrolled from several of them.

    Attributes
    ----------
    vectors : mapping of str to (dim,) numpy.ndarray
    segments : mapping of str to (num_segments, dim) numpy.ndarray
    num_utts : mapping of str to int, optional
        How many utterances each vector is the average of; None if there are no models.
    """

    vectors: Vectors
    segments: Vectors
    num_utts: Mapping[str, int] | None


def read_set(folder: Path, models: Mapping[str, Sequence[str]]) -> SetEmbeddings:
    """Read xvector.scp and segments.scp of a set's folder, and enrol models from their utterances.

    Raises
    ------
    FileNotFoundError
        If one of the two is missing.
    KeyError
        If an utterance of a model has no embedding.
    """
    vectors = read_vectors(existing_file(folder / "xvector.scp", "run stage 5 first"))
    segments = dict(iter_matrices(existing_file(folder / "segments.scp", "run stage 5 first")))
    vectors |= model_embeddings(models, vectors)
    segments |= model_segments(models, segments)
    num_utts = {key: len(models[key]) if key in models else 1 for key in vectors} if models else None
    return SetEmbeddings(vectors=vectors, segments=segments, num_utts=num_utts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Variant:
    """A back end, with adaptive s-norm if there is a cohort.

    Attributes
    ----------
    back_end : BackEnd
    cohort : mapping of str to (dim,) numpy.ndarray, optional
    top_n : int, optional
        Of the cohort.
    """

    back_end: BackEnd
    cohort: Vectors | None = None
    top_n: int | None = None

    @property
    def normalisation(self) -> str | None:
        """Kind and cohort of the normalisation, in words; None if there is none."""
        if self.cohort is None:
            return None
        return f"as-norm, top {self.top_n} of {len(self.cohort)}, cohort {cohort_id(self.cohort)[:12]}"

    def score(
        self,
        trials: Trials,
        enrolment: Vectors,
        test: Vectors | None = None,
        *,
        num_utts: Mapping[str, int] | None = None,
    ) -> np.ndarray:
        """Scores in trial order, (num_trials,); parameters and errors are those of `BackEnd.score` and `score_trials`."""
        if self.cohort is None:
            return self.back_end.score(trials, enrolment, test, num_utts=num_utts)
        cohort = {"cohort": self.cohort, "top_n": self.top_n}
        return score_trials(self.back_end, trials, enrolment, test, num_utts=num_utts, **cohort)

    def score_set(self, trials: Trials, embeddings: SetEmbeddings) -> np.ndarray:
        """Scores of a set's trials, in trial order, (num_trials,)."""
        return self.score(trials, getattr(embeddings, self.back_end.reads), num_utts=embeddings.num_utts)


def warn_of_known_speakers(ways: Iterable[Variant], speakers: Iterable[str], set_name: str) -> None:
    """Log how many speakers of a set are in the cohort, whose mean is then of the speaker and no other's."""
    cohort = next((way.cohort for way in ways if way.cohort is not None), {})
    if shared := sorted(cohort.keys() & set(speakers)):
        get_logger("score").warning(
            "%s: %d speakers of the set are in the cohort of AS-norm, e.g. %s; their scores come out too low",
            set_name, len(shared), ", ".join(shared[:3]),
        )  # fmt: skip


RARE = ("mean_cos",)  # close to the cosine: scored for systems whose paper has it


def load_back_ends(folder: Path | None, paper: str = "") -> dict[str, BackEnd]:
    """Back ends by name: those that a folder holds, and those that learn nothing; one of `RARE` only if it is `paper`."""
    return {
        name: back_end.load(folder) if back_end.files else back_end()
        for name, back_end in BACKENDS.items()
        if (not back_end.files or (folder is not None and any((folder / file).exists() for file in _marks(back_end))))
        and (name not in RARE or name == paper)
    }


def _marks(back_end: type[BackEnd]) -> set[str]:
    """Files that tell that a folder holds a back end: those that no other one has, if there are any."""
    others = {file for other in BACKENDS.values() if other is not back_end for file in other.files}
    return set(back_end.files) - others or set(back_end.files)


def variants(folder: Path | None, top_n: int, paper: str = "") -> dict[str, Variant]:
    """All ways to score with a folder of back ends by name: `<back end>`, and `<back end>-asnorm` where it is normalisable.

    Parameters
    ----------
    folder : Path, optional
        With cohort.scp; without a folder, there are the back ends that learn nothing, and no normalisation.
    top_n : int
        The whole cohort if that is smaller.
    paper : str
        Name of the back end of the system's paper.
    """
    cohort = None
    if folder is not None:
        cohort = distinct_cohort(read_vectors(existing_file(folder / "cohort.scp", "run stage 6 first")))
        if len(cohort) < top_n:
            get_logger("score").warning("AS-norm by all %d speakers of the cohort: top-n is %d", len(cohort), top_n)
    found = {}
    for name, back_end in load_back_ends(folder, paper).items():
        found[name] = Variant(back_end=back_end)
        if cohort is not None and back_end.normalisable:
            found[f"{name}-asnorm"] = Variant(back_end=back_end, cohort=cohort, top_n=min(top_n, len(cohort)))
    return found
