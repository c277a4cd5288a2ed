"""Ten thousand malformed files a parser: each gives what an independent reading of its bytes gives, or our own error."""

import io
import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv.data.audio import BadAudio
from sv.data.index import read_columns
from sv.data.manifests import iter_waveforms
from sv.embed.inputs import ARCHIVE
from sv.embed.naming import named_inputs
from sv.kaldi import DataDirError, iter_matrices, read_scores, read_table, read_trials
from sv.kaldi.ark import iter_records
from sv.kaldi.record import write_binary, write_compressed, write_text
from sv.kaldi.score_files import find_layout, iter_scores
from sv.kaldi.specifiers import read_records

ten_thousand = settings(
    max_examples=10_000, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
# One draw a case is what makes ten thousand cheap: its bytes say what to do to the file.
PROGRAMS = st.binary(min_size=12, max_size=64)


@pytest.fixture(scope="module")
def folder():
    """The working folder, in memory where that is: files are written tens of thousands of times."""
    before, path = Path.cwd(), Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    os.chdir(path)
    yield path
    os.chdir(before)
    shutil.rmtree(path)


def ours(read, start: str):
    """Result of a reader; None if it fails by our own error, whose message starts as told."""
    try:
        return read()
    except DataDirError as error:
        message = str(error)
    assert message.startswith(start), message
    return None


def damaged(whole: bytes, program: bytes) -> tuple[int, bytes]:
    """A file that was fine once, with up to three wounds: the place of the first, and the bytes."""
    data, first = bytearray(whole), len(whole)
    for wound in range(1 + program[0] % 3):
        kind, *place, how = program[1 + 3 * wound :][:4]
        at = int.from_bytes(place) % len(whole)
        first = min(first, at)
        match kind % 4:
            case 0:
                del data[at:]
            case 1 if at < len(data):
                data[at] ^= 1 << how % 8
            case 2:
                data[at:at] = program[: 1 + how % 8]
            case 3:
                del data[at : at + 1 + how % 40]
    return first, bytes(data)


def lines_of(words: list[bytes], program: bytes) -> bytes:
    """Words, blanks and rubbish, as somebody's script might write them."""
    blanks = (
        [b" "] * 6 + [b"\n"] * 6 + [b"\t", b"  ", b"\xc2\xa0", b"\x1c", b"\v", b"\r", b"\r\n", b"\n\n", b"\0", b"\xff"]
    )
    parts = (words[byte // 2 % len(words)] if byte % 2 else blanks[byte // 2 % len(blanks)] for byte in program)
    return b"".join(parts)


def any_file(whole: bytes, words: list[bytes], program: bytes) -> bytes:
    """A damaged file, one of odd words, or no such file at all."""
    kind, program = program[0] % 5, program[1:]
    if kind < 2:
        return damaged(whole, program)[1]
    return lines_of([*words, *whole.splitlines(keepends=True)], program) if kind < 4 else program


BLANKS = b" \t\r\f\v"
KEY = rb"[" + BLANKS + rb"]*([^" + BLANKS + rb"\n\0]+)"


def plain(raw: bytes) -> str:
    """The text of a key that is one word to everyone; ValueError for another."""
    text = raw.decode()
    if re.search(r"\s", text):
        raise ValueError(text)
    return text


def tidied(data: bytes) -> bytes:
    """A table without a byte order mark, and without blank lines at its end."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    return re.sub(rb"(\A|\n)[" + BLANKS + rb"\n]*\Z", rb"\1", data)


def expected_table(data: bytes) -> dict[str, str]:
    """A table as Kaldi's documentation has it; raises ValueError for what is none."""
    table, data = {}, tidied(data)
    if data and data[-1:] != b"\n":
        raise ValueError(data)
    for line in data.split(b"\n")[:-1]:
        match = re.fullmatch(KEY + rb"[" + BLANKS + rb"]+([^\0]*)", line)
        if match is None or not match[2].strip(BLANKS) or plain(match[1]) in table:
            raise ValueError(line)
        table[plain(match[1])] = match[2].strip(BLANKS).decode()
    return table


SCP = b"utt-1 feats.1.ark:6\nutt-2 feats.1.ark:1234\n\xc3\xbc-1 /corpus/a b.wav\nz-1 sox a.wav -t wav - |\n"


@ten_thousand
@given(program=PROGRAMS)
def test_scp(folder, program):
    data = any_file(SCP, [b"utt-1", b"x.ark:5", b"|", b"\xc3\xbc"], program)
    path = folder / "any.scp"
    path.write_bytes(data)
    try:
        expected = expected_table(data)
    except ValueError:
        with pytest.raises(DataDirError, match=rf"\A{path}:\d+: "):
            read_table(path)
    else:
        assert read_table(path) == expected
        assert list(read_table(path)) == list(expected)


def write_forms(stream: io.BytesIO) -> tuple[dict[str, np.ndarray], list[int]]:
    """An archive with a record of every form: its arrays, and where each record ends."""
    rng, arrays, ends = np.random.default_rng(0), {}, []
    for number, (shape, dtype, write) in enumerate(
        [
            ((2, 3), "f4", write_binary), ((3, 2), "f4", lambda out, array: write_compressed(out, array, 2)),
            ((2, 2), "f4", write_text), ((4,), "f8", write_binary), ((3,), "f4", write_text), ((0,), "f4", write_binary),
            ((2, 3), "f4", lambda out, array: write_compressed(out, array, 3)), ((1, 2), "f8", write_binary),
        ]
    ):  # fmt: skip
        arrays[f"utt-{number}"] = rng.normal(size=shape).astype(dtype)
        stream.write(f"utt-{number} ".encode())
        write(stream, arrays[f"utt-{number}"])
        ends.append(stream.tell())
    return arrays, ends


_out = io.BytesIO()
ARRAYS, ENDS = write_forms(_out)
ARK = _out.getvalue()


def read_all(data: bytes) -> tuple[list[tuple[str, np.ndarray, int]], bool]:
    """Records, each with the place where it ends, and whether the archive then ended rather than broke off."""
    stream, found = io.BufferedReader(io.BytesIO(data)), []

    def read() -> bool:
        for key, array in iter_records(stream, "x"):
            found.append((key, array, stream.tell()))
        return True

    return found, bool(ours(read, "x: "))


@ten_thousand
@given(program=PROGRAMS)
def test_ark(program):
    first, data = damaged(ARK, program[1:]) if program[0] % 5 else (0, program[1:])
    found, complete = read_all(data)
    # What lies before the damage is as it was.
    untouched = [end for end in ENDS if end <= first]
    assert [(key, end) for key, _, end in found[: len(untouched)]] == list(zip(ARRAYS, untouched))
    for (key, array, _), (_, original, _) in zip(found[: len(untouched)], PRISTINE):
        np.testing.assert_array_equal(array, original, err_msg=key)
    # All that was read is there: nothing is made up, nothing left out between the records.
    begin = 0
    for key, array, end in found:
        record = data[begin:end].lstrip()
        assert record.startswith(key.encode()) and record[len(key.encode()) :][:1] in (b" ", b"\t")
        body, begin = record[len(key.encode()) + 1 :], end
        if body[:4] in (b"\0BFM", b"\0BDM", b"\0BFV", b"\0BDV"):
            again = io.BytesIO()
            write_binary(again, array)
            assert again.getvalue() == body
        elif body[:3] == b"\0BC":
            assert np.frombuffer(body[body.index(b" ") + 9 :][:8], "<i4").tolist() == list(array.shape)
        else:
            numbers = [float(word) for word in body.replace(b";", b" ").translate(None, b"[]").split()]
            np.testing.assert_array_equal(array.ravel(), np.array(numbers, array.dtype))
    assert not complete or not data[begin:].strip()


PRISTINE = read_all(ARK)[0]


def test_the_undamaged_archive_is_what_was_written():
    assert [key for key, _, _ in PRISTINE] == list(ARRAYS)
    assert [end for _, _, end in PRISTINE] == ENDS
    for (key, array, _), original in zip(PRISTINE, ARRAYS.values()):
        np.testing.assert_allclose(array, original, atol=0.02, err_msg=key)


LOCATIONS = ["x.ark", "x.ark:6", "x.ark:6[0:0]", "x.ark:6[0:1,1:2]", "y.wav", "cat x.ark |", "| cat", "./", "none"]


def a_location(program: bytes) -> str:
    """Lines that an scp may hold; nothing that leads out of this folder."""
    kind, program = program[0] % 5, program[1:]
    if kind == 0:
        return LOCATIONS[program[0] % len(LOCATIONS)]
    raw = damaged(b"x.ark:6[0:1,1:2]", program)[1] if kind < 4 else program
    text = raw.decode(errors="ignore").strip()
    return text.replace("/", "").replace("~", "") or "none"


@ten_thousand
@given(program=PROGRAMS)
def test_files_that_an_scp_names(folder, program):
    location = a_location(program)
    Path("x.ark").write_bytes(ARK)
    Path("y.wav").write_bytes(b"RIFF....WAVEfmt ")
    Path("m.scp").write_bytes(f"utt-0 {location}\n".encode(errors="ignore"))
    for read in (lambda: iter_matrices("m.scp"), lambda: read_records("scp:m.scp")):
        found = ours(lambda read=read: list(read()), "m.scp:")
        if found is not None:
            ((key, array),) = found
            assert key == "utt-0" and array.size <= 6
            assert set(array.ravel().tolist()) <= {float(value) for one in PRISTINE for value in one[1].ravel()}


WAV_SCP = b"a-1 y.wav\na-2 /corpus/a b.wav\nb-1 y.wav |\n"


@ten_thousand
@given(program=PROGRAMS)
def test_wav_scp(folder, program):
    data = any_file(WAV_SCP, [b"a-1", b"y.wav", b"|", b"b-2"], program)
    path = Path("wav.scp")
    path.write_bytes(data)
    Path("y.wav").write_bytes(b"RIFF....WAVEfmt ")
    try:
        expected = expected_table(data)
    except ValueError:
        expected = None
    if columns := ours(lambda: read_columns(path), "wav.scp:"):
        keys, values = columns
        rows = [(keys[row], values[row]) for row in range(len(keys))]
        if expected is not None:
            assert rows == list(expected.items())
        elif len({key for key, _ in rows}) == len(rows):  # what is not in order, each once, the index refuses later
            assert any(re.search(r"\s", key) for key, _ in rows)
    inputs = ours(lambda: named_inputs([path]), "wav.scp:")
    if inputs is None:
        assert expected is None
        return
    assert {key: location for key, (location, _) in inputs.items()} == expected
    if not inputs or any(ARCHIVE.fullmatch(location) or location.startswith("/") for location, _ in inputs.values()):
        return
    Path("utt2dur").write_bytes(b"".join(f"{key} 1.5\n".encode() for key in inputs))
    with pytest.raises((DataDirError, BadAudio), match=r"\A\.[:/]"):
        list(iter_waveforms(".", list(inputs)))


TRIALS = b"a-1 b-1 nontarget\na-1 a-2 target\n\xc3\xbc-1 b-1 nontarget\nb-1 b-2 target\n"


def expected_trials(data: bytes, last: bytes) -> list[tuple[str, str, bytes]]:
    lines = tidied(data).split(b"\n")
    rows = []
    for line in lines[:-1] if lines[-1] == b"" else lines:
        match = re.fullmatch(KEY + rb"[" + BLANKS + rb"]+([^" + BLANKS + rb"\n\0]+)[" + BLANKS + rb"]+" + last, line)
        if match is None:
            raise ValueError(line)
        rows.append((plain(match[1]), plain(match[2]), match[3]))
    return rows


@ten_thousand
@given(program=PROGRAMS)
def test_trials(folder, program):
    data = any_file(TRIALS, [b"a-1", b"b-1", b"target", b"nontarget"], program)
    path = folder / "trials"
    path.write_bytes(data)
    try:
        expected = expected_trials(data, rb"(target|nontarget)[" + BLANKS + rb"]*")
    except ValueError:
        with pytest.raises(DataDirError, match=rf"\A{path}:\d+: "):
            read_trials(path)
    else:
        trials = read_trials(path)
        labels = [b"target" if is_target else b"nontarget" for is_target in trials.is_target]
        assert list(zip(trials.enrolment, trials.test, labels)) == expected


SCORES = b"a-1 b-1 -0.125\na-1 a-2 1e-3\n\xc3\xbc-1 b-1 12\nb-1 b-2 1.5\n"


@ten_thousand
@given(program=PROGRAMS)
def test_scores(folder, program):
    data = any_file(SCORES, [b"a-1", b"b-1", b"-0.5", b"1e3"], program)
    path = folder / "scores"
    path.write_bytes(data)
    number = rb"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[" + BLANKS + rb"]*"
    try:
        expected = [(one, two, float(score)) for one, two, score in expected_trials(data, number)]
        scores = {(one, two): score for one, two, score in expected}
        if any(scores[one, two] != score or abs(score) == float("inf") for one, two, score in expected):
            raise ValueError(data)
    except ValueError:
        with pytest.raises(DataDirError, match=rf"\A{path}:\d+: "):
            read_scores(path)
    else:
        assert read_scores(path) == scores
    known = {"a-1", "a-2", "b-1", "b-2", "ü-1"}
    rows = ours(lambda: list(iter_scores(path, find_layout(path, known))), f"{path}:")
    assert rows is None or all(abs(score) < float("inf") for _, _, _, score, _ in rows)
