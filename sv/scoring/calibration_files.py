"""Calibration and fusion from score files, and of all back ends of a model folder."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sv.base.files import sha256_of
from sv.base.layout import ModelFolder
from sv.base.log import get_logger
from sv.kaldi.ark import read_vectors
from sv.kaldi.scp import DataDirError, naming, read_table, read_utt2spk, to_number
from sv.kaldi.trials import Trials, read_trials, scores_of_trials, write_scores
from sv.scoring.calibration import LogisticCalibration, quality_inputs, read_calibration, write_calibration
from sv.scoring.cosine import rows_of
from sv.scoring.outliers import Outlier


def read_quality(path: Path) -> dict[str, float]:
    """A number of each utterance, from a table; of an scp, the norms of its vectors."""
    if path.suffix == ".scp":
        return {utt: float(np.linalg.norm(vector)) for utt, vector in read_vectors(path).items()}
    numbers = {}
    for line, (utt, text) in enumerate(read_table(path, value="number").items(), start=1):
        try:
            numbers[utt] = to_number(text)
        except ValueError as error:
            raise DataDirError(f"{path}:{line}: expected a number, got {text!r}") from error
    return numbers


def read_inputs(trials: Trials, scores: Sequence[Path], qualities: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Inputs of a calibration, (num_trials, num_inputs), and their names; `qualities` are `<name>=<file>`."""
    columns, names = [scores_of_trials(path, trials)[:, None] for path in scores], ["score"] * len(scores)
    for quality in qualities:
        name, _, path = quality.partition("=")
        columns.append(quality_inputs(name, read_quality(Path(path)), trials))
        names += [f"mean {name}", f"difference of {name}"]
    return np.hstack(columns), names


@contextmanager
def naming_outlier(scores: Sequence[Path], names: Sequence[str], trials: Trials) -> Iterator[None]:
    """Name the file and the trial of a score that a calibration refuses; raises DataDirError."""
    try:
        yield
    except Outlier as error:
        where = str(scores[error.column]) if error.column < len(scores) else names[error.column]
        trial = f"{trials.enrolment[error.row]} {trials.test[error.row]}"
        kind = "target" if trials.is_target[error.row] else "nontarget"
        raise DataDirError(f"{where}: {kind} trial {trial}: {error}") from error


def fit_files(
    trials: Path,
    scores: Sequence[Path],
    out: Path,
    *,
    qualities: Sequence[str] = (),
    p_target: float = 0.05,
    utt2spk: Path | None = None,
    checkpoint_sha256: str | None = None,
) -> None:
    """Fit a calibration on held-out trials and write it.

    Parameters
    ----------
    trials : path
    scores : sequence of path
        Score files, one for each system.
    out : path
        JSON file to write.
    qualities : sequence of str
        `<name>=<file>` of the utterances' qualities.
    p_target : float
    utt2spk : path, optional
        Tells how many speakers there are, so that few are trusted less.
    checkpoint_sha256 : str, optional
        Hash of the weights of the model whose scores these are; the calibration is then refused for others.

    Raises
    ------
    ValueError
        Naming the trials, if an utterance has no quality or speaker; naming score file and trial, if a score far from all others
        would change the calibration.
    """
    listed = read_trials(trials)
    with naming(trials, KeyError):
        inputs, names = read_inputs(listed, scores, qualities)
        num_speakers = _count_speakers(listed, read_utt2spk(utt2spk)) if utt2spk else None
    with naming_outlier(scores, names, listed):
        calibration = LogisticCalibration(p_target).fit(inputs, listed.is_target, num_speakers)
    warn_if_turned(calibration, scores)
    origin = {**origin_of(listed, trials, num_speakers), "checkpoint_sha256": checkpoint_sha256}
    write_calibration(out, calibration, names, sha256_of(trials), origin)


def warn_if_turned(calibration: LogisticCalibration, scores: Sequence[Path]) -> None:
    """Say so if a calibration of one system's scores turns their order round."""
    if len(scores) == 1 and calibration.weights_[0] < 0:
        get_logger("calibrate").warning(
            "%s: held-out targets do not score above nontargets, so that the calibration turns the order of scores round",
            scores[0],
        )


def origin_of(trials: Trials, path: Path, num_speakers: int | None) -> dict[str, Any]:
    """Data that a calibration comes from, for its file."""
    num_target = int(trials.is_target.sum())
    counts = {"num_target": num_target, "num_nontarget": len(trials) - num_target, "num_speakers": num_speakers}
    return {"trials": str(path), **counts}


def _count_speakers(trials: Trials, utt2spk: dict[str, str]) -> int:
    """Speakers of the enrolment side; raises KeyError if an utterance of either has none."""
    utts, (left, _) = rows_of(utt2spk, "speaker", trials.enrolment, trials.test)
    return len({utt2spk[utts[row]] for row in np.unique(left)})


def apply_file(
    calibration: Path, trials: Path, scores: Sequence[Path], out: Path, *, qualities: Sequence[str] = ()
) -> None:
    """Write the log-likelihood ratios of trials by a calibration that `fit_files` wrote.

    Raises
    ------
    ValueError
        If the calibration was fitted on these trials, or on other inputs.
    """
    listed = read_trials(trials)
    with naming(trials, KeyError):
        inputs, names = read_inputs(listed, scores, qualities)
    fitted, record = read_calibration(calibration)
    if record["trials_sha256"] == sha256_of(trials):
        raise ValueError(f"{trials}: {calibration} was fitted on these trials; fit it on held-out ones")
    if record["inputs"] != names:
        raise ValueError(f"{calibration}: expects {', '.join(record['inputs'])}, got {', '.join(names)}")
    write_scores(out, listed, fitted.llrs(inputs))


def fit_folder(model: Path, held_out: Path) -> dict[str, tuple[LogisticCalibration, str]]:
    """Calibrate each back end that has scored a held-out set, and write the calibrations into the model folder.

    One that a single far score would decide stays without, and the log says so.

    Returns
    -------
    dict of str to (LogisticCalibration, str)
        By back end; with the SHA-256 of the held-out trials.

    Raises
    ------
    FileNotFoundError
        If no back end has scored the set.
    """
    trials, digest, fitted = read_trials(held_out / "trials"), sha256_of(held_out / "trials"), {}
    num_speakers = len({*read_utt2spk(held_out / "utt2spk").values()})
    weights = ModelFolder(model).weights
    made_with = {"checkpoint_sha256": sha256_of(weights)} if weights.is_file() else {}
    origin = {**origin_of(trials, held_out / "trials", num_speakers), **made_with}
    paths = sorted((model / "scores" / held_out.name).glob("*.scores"))
    if not paths:
        raise FileNotFoundError(f"{model}/scores/{held_out.name}: no scores; score the held-out set first")
    for path in paths:
        scores = scores_of_trials(path, trials)[:, None]
        place = ModelFolder(model).calibration(path.stem)
        try:
            with naming_outlier([path], ["score"], trials):
                calibration = LogisticCalibration().fit(scores, trials.is_target, num_speakers)
        except DataDirError as error:  # the others go on
            get_logger("calibrate").warning("%s is not calibrated: %s", path.stem, error)
            place.unlink(missing_ok=True)
            continue
        warn_if_turned(calibration, [path])
        write_calibration(place, calibration, ["score"], digest, origin)
        fitted[path.stem] = calibration, digest
    return fitted


def read_folder(model: Path, data_dirs: Sequence[Path]) -> dict[str, tuple[LogisticCalibration, str]]:
    """Read a model folder's calibrations of the back ends that have scored every set; returned as by `fit_folder`."""
    found = {}
    for path in sorted((model / "calibration").glob("*.json")):
        if all(ModelFolder(model).scores(data_dir.name, path.stem).exists() for data_dir in data_dirs):
            calibration, record = read_calibration(path)
            found[path.stem] = calibration, record["trials_sha256"]
    if not found:
        raise FileNotFoundError(f"{model}/calibration: no calibration of a back end that has scored the sets")
    return found


def refuse_shared_speakers(held_out: Path, data_dir: Path) -> None:
    """Raise ValueError if a speaker is in both data directories."""
    shared = {*read_utt2spk(held_out / "utt2spk").values()} & {*read_utt2spk(data_dir / "utt2spk").values()}
    if shared:
        raise ValueError(f"{held_out} and {data_dir} share {len(shared)} speakers, e.g. {sorted(shared)[:3]}")
