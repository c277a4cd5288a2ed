"""A Kaldi data directory from elsewhere, with or without segments, made one that every stage can read."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from sv.base.files import write_text
from sv.base.layout import SAMPLING_RATE
from sv.data.corpus import Checked, Source, check_all, write_quarantine
from sv.data.manifests import write_manifests
from sv.data.utterances import utterance_of
from sv.kaldi.data_dir import write_data_dir
from sv.kaldi.scp import DataDirError, read_scp, read_table, read_utt2spk, write_table
from sv.kaldi.segments import Segment, parse_segment
from sv.kaldi.trials import iter_trials

MAX_OVERSHOOT = 0.5  # s by which a segment may end after its recording; Kaldi's extract-segments cuts as much off


def import_data_dir(
    source: str | Path, out: str | Path, *, nj: int = 1, max_bad: float = 0.01, allow_pipes: bool = False
) -> int:
    """Check every recording, convert what is not mono at 16 kHz, and write a data directory with utt2dur and manifests.

    Recordings that can be read as they are stay where they are; others are written to `../converted/<out>`. Segments stay
    segments. Trials come along, without those of quarantined utterances (trials.dropped).

    Parameters
    ----------
    source : path
        With wav.scp and utt2spk; maybe segments, spk2gender, trials.
    out : path
    nj : int
        Processes.
    max_bad : float in [0, 1]
        Share of bad recordings up to which the others are used.
    allow_pipes : bool
        Run the pipes of wav.scp, in a shell.

    Returns
    -------
    int
        Number of utterances.

    Raises
    ------
    DataDirError
        For a malformed table, an utterance without a recording or a speaker, or if too many recordings are bad.
    """
    source, out = Path(source), Path(out)
    utt2spk, wav_scp = read_utt2spk(source / "utt2spk"), read_scp(source / "wav.scp")
    if any(path.endswith("|") for path in wav_scp.values()) and not allow_pipes:
        raise DataDirError(f"{source}/wav.scp holds pipes; --allow-pipes runs them in a shell")
    lines = read_table(source / "segments") if (source / "segments").exists() else {}
    _check_tables(source, utt2spk, lines or wav_scp)
    sources = [Source(utterance=key, speaker="", path=path) for key, path in wav_scp.items()]
    checked = check_all(sources, out.absolute().parent / "converted" / out.name, nj, out.name, allow_pipes=allow_pipes)
    recordings = {one.source.utterance: one for one in checked}
    if lines:
        utterances = [_segment_of(source, utt, text, recordings) for utt, text in lines.items()]
        write_quarantine(out, [one for one, _ in utterances], max_bad)
        segments = {one.source.utterance: segment for one, segment in utterances if segment}
        durations = {utt: utterance_of(segment, "").num_samples / SAMPLING_RATE for utt, segment in segments.items()}
        used = {segment.recording for segment in segments.values()}
        table = {utt: f"{one.recording} {one.start!r} {one.end!r}" for utt, one in segments.items()}
        write_table(out / "segments", table)
    else:
        write_quarantine(out, checked, max_bad)
        (out / "segments").unlink(missing_ok=True)
        used = {key for key, one in recordings.items() if not one.problem}
        durations = {key: recordings[key].num_samples / SAMPLING_RATE for key in used}
    genders = source / "spk2gender"
    write_data_dir(
        out,
        wav_scp={key: recordings[key].path for key in used},
        utt2spk={utt: utt2spk[utt] for utt in durations},
        utt2dur=durations,
        spk2gender=read_table(genders) if genders.exists() else None,
    )
    write_manifests(out)
    if (source / "trials").exists():
        _copy_trials(source / "trials", out, durations)
    else:
        for name in ("trials", "trials.dropped"):  # of what was there before
            (out / name).unlink(missing_ok=True)
    return len(durations)


def _check_tables(source: Path, utt2spk: Mapping[str, str], utterances: Iterable[str]) -> None:
    name = "segments" if (source / "segments").exists() else "wav.scp"
    if differing := sorted(utt2spk.keys() ^ set(utterances)):
        raise DataDirError(
            f"{source}: {len(differing)} utterances are in {name} or utt2spk alone, e.g. {differing[0]!r}; "
            "utils/fix_data_dir.py drops them"
        )
    if not utt2spk:
        raise DataDirError(f"{source}/utt2spk: no utterances")


def _segment_of(source: Path, utt: str, text: str, recordings: Mapping[str, Checked]) -> tuple[Checked, Segment | None]:
    """A line of segments, its end within the recording; None, and the problem, if it cannot be used."""
    name, *_ = text.split()
    if name not in recordings:
        raise DataDirError(f"{source}/segments: recording {name!r} of {utt!r} is not in wav.scp")
    recording = recordings[name]
    problem, end = recording.problem, recording.num_samples / SAMPLING_RATE
    one = replace(recording, source=replace(recording.source, utterance=utt))
    if not problem:
        fields = text.split()
        if fields[2:3] == ["-1"]:
            fields[2] = repr(end)
        try:
            segment = parse_segment(" ".join(fields))
        except ValueError as error:
            raise DataDirError(f"{source}/segments: {utt}: {error}") from error
        if segment.end <= end + MAX_OVERSHOOT and segment.start < end:
            return one, replace(segment, end=min(segment.end, end))
        problem = f"it ends at {segment.end:g} s, the recording at {end:g} s"
    return replace(one, problem=problem), None


def _copy_trials(source: Path, out: Path, utterances: Collection[str]) -> None:
    """Copy trials; those of utterances that are not there any more go to trials.dropped."""
    kept, dropped = [], []
    for _, enrolment, test, is_target in iter_trials(source):
        if enrolment in utterances and test in utterances:
            kept.append(f"{enrolment} {test} {'target' if is_target else 'nontarget'}\n")
        else:
            dropped.append(f"{enrolment} {test}\n")
    if not kept:
        raise DataDirError(f"{source}: no trial of two usable utterances")
    write_text(out / "trials", "".join(kept))
    write_text(out / "trials.dropped", "".join(dropped))
