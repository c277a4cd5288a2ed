"""Ten thousand odd data directories from elsewhere: the right samples of each utterance, or one line, and nothing outside."""

import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv.data import corpus, importing
from sv.data.audio import read_samples
from sv.data.importing import import_data_dir
from sv.data.index import UtteranceIndex
from sv.kaldi import DataDirError, read_scp, read_table, read_trials, read_utt2dur, validate_data_dir

RNG = np.random.default_rng(0)
MONO, LEFT, RIGHT = (RNG.integers(-8000, 8000, 1600).astype("<i2") for _ in range(3))
UTTERANCES = ["a-1", "a-2", "b-1", "b-2", "a-1", "a-2", "b-1", "..", "a/../../x", "/tmp/x", "a-`x`;&'\"", "a-é", "a-%2F", "a" * 300,
              "r-channel1", "a-\u00a0x", "-rf"]  # fmt: skip
SPEAKERS = ["a", "a", "b", "b", "a", "b", ".", "x/y", "a b", "a" * 300, "é"]
RECORDINGS = ["r", "q", "s", "r", "q", "r-channel1", "none", "../r", "a-1", "a-2", "b-1"]
FILES = [
    "mono.wav",
    "stereo.wav",
    "eight.wav",
    "mono.wav",
    "stereo.wav",
    "garbage.wav",
    "nothere.wav",
    "x.ark:3",
    "touch pwned |",
    ".",
    "",
]
NUMBERS = [
    "0",
    "0.05",
    "0.025",
    "0.0125",
    "0.1",
    "-1",
    "-1.0",
    "0.5",
    "1e9",
    "1e10",
    "1e400",
    "nan",
    "0.00001",
    "x",
    "1_0",
    "0.10001",
    "0.7",
]
CHANNELS = ["", "", "", " 0", " 1", " 2", " -1", " 99999999999", " x"]
LABELS = ["target", "nontarget", "target", "nontarget", "1", ""]


class OneProcess:
    """A pool that is none: its start would take most of the time."""

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def map(self, function, items, chunksize):
        return map(function, items)


@pytest.fixture(scope="module")
def folder():
    """The working folder, in memory where that is, with recordings in `corpus`."""
    before, path = Path.cwd(), Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    for name in ("corpus", "source", "new"):
        (path / name).mkdir()
    soundfile.write(path / "corpus/mono.wav", MONO, 16_000)
    soundfile.write(path / "corpus/stereo.wav", np.c_[LEFT, RIGHT], 16_000)
    soundfile.write(path / "corpus/eight.wav", MONO, 8_000)
    (path / "corpus/garbage.wav").write_bytes(RNG.bytes(500))
    os.chdir(path / "corpus")
    yield path
    os.chdir(before)
    shutil.rmtree(path)


class Draw:
    """Choices by the bytes of a program, zeros after its end."""

    def __init__(self, program: bytes):
        self.bytes = iter(program)

    def __call__(self, choices):
        return choices[next(self.bytes, 0) % len(choices)]


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def write_source(source: Path, draw: Draw) -> None:
    """Tables that fit together, mostly, with or without segments and trials."""
    for name in ("segments", "trials"):
        (source / name).unlink(missing_ok=True)
    usual = draw(range(4)) > 0  # ids without oddities
    utts = sorted({draw(UTTERANCES[: 4 if usual else None]) for _ in range(draw(range(1, 4)))}, key=str.encode)
    speakers = {utt: utt.partition("-")[0] if draw(range(4)) else draw(SPEAKERS) for utt in utts}
    keys = utts
    if draw(range(2)):
        keys = sorted({draw(RECORDINGS[: 5 if usual else None]) for _ in range(2)}, key=str.encode)
        rows = (
            f"{utt} {draw(keys if draw(range(8)) else RECORDINGS)} {draw(NUMBERS[:4] if usual else NUMBERS)} "
            f"{draw(NUMBERS[:7] if usual else NUMBERS)}{draw(CHANNELS[:5] if usual else CHANNELS)}\n"
            for utt in utts
        )
        (source / "segments").write_text("".join(rows))
    (source / "wav.scp").write_text("".join(f"{key} {draw(FILES[: 5 if usual else None])}\n" for key in keys))
    (source / "utt2spk").write_text("".join(f"{utt} {speakers[utt]}\n" for utt in utts if draw(range(16))))
    if draw(range(3)) == 0:
        (source / "trials").write_text(
            "".join(f"{draw(utts)} {draw(UTTERANCES[:4])} {draw(LABELS)}\n" for _ in range(3))
        )


def expected_samples(file: str, channel: int | None) -> np.ndarray | None:
    """(samples,) of a recording by what it was made of; None if it is resampled."""
    if file == "mono.wav":
        return MONO / 32768
    return (
        {None: (LEFT.astype(float) + RIGHT) / 2, 0: LEFT, 1: RIGHT}[channel] / 32768 if file == "stereo.wav" else None
    )


def check(source: Path, out: Path) -> None:
    """Compare each utterance of a data directory with what the tables that it was made of say."""
    segments = read_table(source / "segments") if (source / "segments").exists() else None
    locations, index, durations = read_scp(source / "wav.scp"), UtteranceIndex(out), read_utt2dur(out / "utt2dur")
    assert not [one for one in validate_data_dir(out) if "prefix" not in one]
    quarantined = {line.split("\t")[0] for line in (out / "quarantine.tsv").read_text().splitlines()}
    utts = [index.utterances[row] for row in range(len(index))]
    assert sorted([*utts, *quarantined]) == sorted(read_table(source / "utt2spk"))
    for row, utt in enumerate(utts):
        utterance = index.utterance(row)
        samples = read_samples(utterance.path, utterance.start or 0, utterance.num_samples)
        assert len(samples) == round(durations[utt] * 16_000) > 0
        recording, start, end, *channel = segments[utt].split() if segments else (utt, 0, -1)
        file = locations[recording]
        length = 3200 if file == "eight.wav" else 1600
        first, last = round(float(start) * 16_000), length if float(end) == -1 else round(float(end) * 16_000)
        assert (utterance.start or 0) == first and len(samples) == min(last, length) - first
        whole = expected_samples(file, int(channel[0]) if channel else None)
        if whole is not None:
            np.testing.assert_allclose(samples, whole[first : min(last, length)], atol=1 / 32768)
    if (source / "trials").exists():
        kept = read_trials(out / "trials")
        assert {*kept.enrolment, *kept.test} <= set(utts)


@settings(max_examples=10_000, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(program=st.binary(min_size=24, max_size=32))
def test_imports(folder, program):
    source, out = folder / "source", folder / "new/set"
    write_source(source, Draw(program))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importing, "log_averaged", lambda *_: None)
        patch.setattr(corpus, "ProcessPoolExecutor", OneProcess)
        patch.setattr(corpus, "counted", lambda items, *_: items)
        patch.setattr(importing, "write_manifests", lambda _: None)
        patch.setattr(os, "fsync", lambda _: None)
        left = {"set", "set.checked"}  # what was checked before an error need not be checked again
        try:
            import_data_dir(source, out, max_bad=1.0)
        except (DataDirError, OSError) as error:
            message = str(error)
            assert re.search(rf"{source}[/:]|set: |{folder}/new", message) and "\n" not in message, message
        else:
            check(source, out)
            left = {"set"}
    assert names_in(folder) == {"corpus", "new", "source"}
    assert names_in(folder / "new") <= {"set", "converted"}
    assert len(names_in(folder / "corpus")) == 4 and len(names_in(folder / "source")) <= 4
    if (folder / "new/converted").exists():
        assert names_in(folder / "new/converted") <= left
    shutil.rmtree(folder / "new")
    (folder / "new").mkdir()
