"""Estimate of a stage's files, bytes and seconds by a short trial of its work, for a dry run where none was recorded."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from torch import nn

from sv.data.manifests import iter_waveforms
from sv.embed.inputs import SpeechOfSets
from sv.features.segments import SegmentConfig, compute_features
from sv.kaldi.scp import byte_order, read_utt2dur


def probe_features(
    frontend: nn.Module,
    config: SegmentConfig,
    data_dirs: Sequence[Path],
    num_jobs: int,
    bytes_a_value: int = 4,
    allow_pipes: bool = False,
) -> str:
    """Compute the features of one utterance of each data directory, and multiply by the audio that there is.

    The utterances are different ones: number k, in byte order, of directory k. What the first of them takes is not counted:
    programs are loaded then.

    Returns
    -------
    str
        `files bytes seconds how`, as utils/stage_estimate.py prints; the seconds are those of `num_jobs` jobs that share
        the work evenly.

    Raises
    ------
    DataDirError, BadAudio, OSError
        If an utterance cannot be read.
    """
    total = tried = spent = num_values = 0.0
    for number, data_dir in enumerate([data_dirs[0], *data_dirs]):
        durations = read_utt2dur(data_dir / "utt2dur")
        utt = sorted(durations, key=byte_order)[number % len(durations)]
        start = perf_counter()
        ((_, samples),) = iter_waveforms(data_dir, [utt], allow_pipes)
        features = compute_features(frontend, SpeechOfSets(config)(samples), config)
        if number > 0:
            total += sum(durations.values())
            tried += durations[utt]
            spent += perf_counter() - start
            num_values += features.size
    num_bytes = round(num_values * bytes_a_value * total / tried)
    seconds = max(1, round(spent * total / tried / num_jobs))
    how = f"by a probe: {tried:.0f} of {total:.0f} s of audio took {spent:.2f} s in one of {num_jobs} jobs"
    return f"{len(data_dirs) * (num_jobs + 1)} {num_bytes} {seconds} {how}"
