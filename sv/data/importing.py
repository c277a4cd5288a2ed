"""A Kaldi data directory from elsewhere, with or without segments, made one that every stage can read."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sv.base.files import write_text
from sv.base.layout import SAMPLING_RATE
from sv.base.log import get_logger
from sv.data.corpus import Checked, Source, check_all, forget_checks, log_averaged, write_quarantine
from sv.data.manifests import write_manifests
from sv.data.utterances import utterance_of
from sv.kaldi.data_dir import speaker_order_problems, write_data_dir
from sv.kaldi.scp import (
    MAX_SECONDS,
    DataDirError,
    byte_order,
    read_scp,
    read_table,
    read_utt2spk,
    to_number,
    write_table,
)
from sv.kaldi.segments import Segment, parse_segment
from sv.kaldi.trials import Trials, read_trials

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
    has_segments = (source / "segments").exists()
    segments = _read_segments(source, wav_scp) if has_segments else {}
    _check_tables(source, utt2spk, segments if has_segments else wav_scp, wav_scp)
    trials = _read_known_trials(source / "trials", utt2spk) if (source / "trials").exists() else None
    sources = _sources(wav_scp, segments.values())
    converted_dir = out.absolute().parent / "converted" / out.name
    checked = check_all(sources, converted_dir, nj, out.name, allow_pipes=allow_pipes)
    if has_segments:
        durations, used = _write_segments(out, segments, checked, max_bad)
    else:
        write_quarantine(out, checked, max_bad)
        (out / "segments").unlink(missing_ok=True)
        used = {one.source.utterance: one for one in checked if not one.problem}
        durations = {key: one.num_samples / SAMPLING_RATE for key, one in used.items()}
    genders = source / "spk2gender"
    write_data_dir(
        out,
        wav_scp={key: one.path for key, one in used.items()},
        utt2spk={utt: utt2spk[utt] for utt in durations},
        utt2dur=durations,
        spk2gender=read_table(genders) if genders.exists() else None,
        reco2digest={key: one.digest for key, one in used.items()},
    )
    write_manifests(out)
    forget_checks(converted_dir)
    log_averaged(out.name, used.values())
    if trials is not None:
        _write_trials(trials, source, out, durations)
    else:
        for name in ("trials", "trials.dropped"):  # of what was there before
            (out / name).unlink(missing_ok=True)
    return len(durations)


def _read_segments(source: Path, wav_scp: Mapping[str, str]) -> dict[str, Segment]:
    """Read segments of recordings of wav.scp; an end of -1, the recording's, is infinity."""
    path, segments = source / "segments", {}
    for number, (utt, text) in enumerate(read_table(path).items(), start=1):
        fields = text.split()
        try:
            if len(fields) > 2 and to_number(fields[2]) == -1:
                segment = replace(
                    parse_segment(" ".join([*fields[:2], repr(MAX_SECONDS), *fields[3:]]), True), end=math.inf
                )
            else:
                segment = parse_segment(text, any_channel=True)
        except ValueError as error:
            raise DataDirError(f"{path}:{number}: {utt}: {error}") from error
        if segment.recording not in wav_scp:
            raise DataDirError(f"{path}:{number}: recording {segment.recording!r} of {utt!r} is not in wav.scp")
        segments[utt] = segment
    return segments


def _sources(wav_scp: Mapping[str, str], segments: Iterable[Segment]) -> list[Source]:
    """Recordings to check, one per channel that segments name."""
    channels = _channels_of(segments)
    return [
        Source(utterance=_channel_name(key, channel, channels.get(key, ())), speaker="", path=path, channel=channel)
        for key, path in wav_scp.items()
        for channel in channels.get(key, (None,))
    ]


def _channels_of(segments: Iterable[Segment]) -> dict[str, list[int | None]]:
    """Channels that segments name, by recording, in the order in which they first appear."""
    channels: dict[str, dict[int | None, None]] = {}
    for segment in segments:
        channels.setdefault(segment.recording, {})[segment.channel] = None
    return {recording: list(found) for recording, found in channels.items()}


def _channel_name(recording: str, channel: int | None, channels: Collection[int | None]) -> str:
    """Name of one channel's recording: the recording's own where no other channel is used."""
    return recording if len(channels) < 2 or channel is None else f"{recording}-channel{channel}"


def _write_segments(
    out: Path, segments: Mapping[str, Segment], checked: Sequence[Checked], max_bad: float
) -> tuple[dict[str, float], dict[str, Checked]]:
    """Write quarantine.tsv and segments; return durations by utterance, and the recordings used by name."""
    recordings = {(one.source.utterance, one.source.channel): one for one in checked}
    channels, found = _channels_of(segments.values()), {}
    for utt, segment in segments.items():
        name = _channel_name(segment.recording, segment.channel, channels[segment.recording])
        found[utt] = _fitted(utt, replace(segment, recording=name), recordings[name, segment.channel])
    write_quarantine(out, [one for one, _ in found.values()], max_bad)
    good = {utt: segment for utt, (one, segment) in found.items() if not one.problem}
    write_table(out / "segments", {utt: f"{one.recording} {one.start!r} {one.end!r}" for utt, one in good.items()})
    durations = {utt: utterance_of(segment, "").num_samples / SAMPLING_RATE for utt, segment in good.items()}
    return durations, {segment.recording: recordings[segment.recording, segment.channel] for segment in good.values()}


def _fitted(utt: str, segment: Segment, recording: Checked) -> tuple[Checked, Segment]:
    """Cut a segment's end to its recording's; the problem, if it cannot be used, is in the recording's record."""
    one, end = (
        replace(recording, source=replace(recording.source, utterance=utt)),
        recording.num_samples / SAMPLING_RATE,
    )
    if recording.problem:
        return one, segment
    if segment.start < end and (math.isinf(segment.end) or segment.end <= end + MAX_OVERSHOOT):
        fitted = replace(segment, end=min(segment.end, end))
        if utterance_of(fitted, "").num_samples:
            return one, fitted
    return replace(
        one, problem=f"it is from {segment.start:g} to {segment.end:g} s, the recording ends at {end:g} s"
    ), segment


def _check_tables(
    source: Path, utt2spk: Mapping[str, str], utterances: Iterable[str], recordings: Iterable[str]
) -> None:
    """Raise DataDirError if tables differ in their utterances, an id is a path, or Kaldi would not take the order of the ids."""
    name = "segments" if (source / "segments").exists() else "wav.scp"
    if differing := sorted(utt2spk.keys() ^ set(utterances)):
        raise DataDirError(
            f"{source}: {len(differing)} utterances are in {name} or utt2spk alone, e.g. {differing[0]!r}; "
            "utils/fix_data_dir.py drops them"
        )
    if not utt2spk:
        raise DataDirError(f"{source}/utt2spk: no utterances")
    if paths := sorted(key for key in [*utt2spk, *utt2spk.values(), *recordings] if "/" in key or key in (".", "..")):
        raise DataDirError(f"{source}: {paths[0]!r} is a path, not an id; {len(set(paths))} ids have to be renamed")
    ordered = {utt: utt2spk[utt] for utt in sorted(utt2spk, key=byte_order)}
    if problems := speaker_order_problems(source / "utt2spk", ordered):
        raise DataDirError(problems[0])


def _read_known_trials(path: Path, known: Collection[str]) -> Trials:
    """Read trials; raises DataDirError naming file and line for an utterance that the data directory never had."""
    trials = read_trials(path)  # a trial per line
    for number, pair in enumerate(zip(trials.enrolment, trials.test, strict=True), start=1):
        for utt in pair:
            if utt not in known:
                raise DataDirError(f"{path}:{number}: the trial names {utt!r}, which is not in {path.parent}/utt2spk")
    return trials


def _write_trials(trials: Trials, source: Path, out: Path, usable: Collection[str]) -> None:
    """Write the trials of usable utterances; the others go to trials.dropped, and are counted.

    Raises
    ------
    DataDirError
        If no trial is left.
    """
    kept, dropped = [], []
    for enrolment, test, is_target in zip(trials.enrolment, trials.test, trials.is_target, strict=True):
        if enrolment in usable and test in usable:
            kept.append(f"{enrolment} {test} {'target' if is_target else 'nontarget'}\n")
        else:
            dropped.append(f"{enrolment} {test}\n")
    if not kept:
        raise DataDirError(f"{source}/trials: no trial of two usable utterances")
    if dropped:
        log = get_logger("import")
        log.warning("%s: %d of %d trials name quarantined utterances", out, len(dropped), len(trials))
    write_text(out / "trials", "".join(kept))
    write_text(out / "trials.dropped", "".join(dropped))
