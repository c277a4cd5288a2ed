"""Kaldi's records in every form, against Kaldi's own code, and damaged ones."""

import os
import random
import signal
import time
from io import BufferedReader, BytesIO

import kaldi_native_io as kaldi
import numpy as np
import pytest

from sv.kaldi import DataDirError, open_ark_scp, read_vectors
from sv.kaldi.ark import iter_ark, read_any, read_matrix, read_object, read_shape, record_extent
from sv.kaldi.record import read_text, write_binary, write_compressed, write_text

RNG = np.random.default_rng(0)
MATRICES = {f"utt-{i}": RNG.normal(-8, 3, (3 + i, 5)) for i in range(4)}
VECTORS = {f"utt-{i}": RNG.normal(size=i) for i in range(4)}


def kaldi_writes(tmp_path, writer, arrays, text=False):
    spec = f"ark{',t' if text else ''},scp:{tmp_path}/k.ark,{tmp_path}/k.scp"
    with writer(spec) as write:
        for key, array in arrays.items():
            write.write(key, array)
    return tmp_path / "k.scp"


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize(
    ("writer", "arrays", "dtype"),
    [
        (kaldi.FloatMatrixWriter, MATRICES, np.float32),
        (kaldi.DoubleMatrixWriter, MATRICES, np.float64),
        (kaldi.FloatVectorWriter, VECTORS, np.float32),
        (kaldi.DoubleVectorWriter, VECTORS, np.float64),
    ],
)
def test_what_kaldi_writes_is_read(tmp_path, writer, arrays, dtype, text):
    arrays = {key: array.astype(dtype) for key, array in arrays.items()}
    scp = kaldi_writes(tmp_path, writer, arrays, text)
    entries = dict(line.split() for line in scp.read_text().splitlines())
    archive = dict(iter_ark(scp.with_suffix(".ark")))
    assert list(archive) == list(arrays)
    for key, array in arrays.items():
        for found in (read_any(entries[key]), archive[key]):
            assert found.shape == array.shape or array.size == 0
            assert found.dtype == (np.float32 if text else dtype)
            np.testing.assert_allclose(found, array, rtol=1e-5 if text else 0)  # Kaldi prints six digits
        assert read_matrix(entries[key]).dtype == np.float32
        assert read_shape(entries[key]) == found.shape


COMPRESSIONS = (
    "kSpeechFeature kTwoByteAuto kOneByteAuto kTwoByteSignedInteger kOneByteUnsignedInteger kOneByteZeroOne".split()
)


@pytest.mark.parametrize("method", COMPRESSIONS)
def test_what_kaldi_compresses_comes_out_as_kaldis_own_code_has_it(tmp_path, method):
    arrays = {
        key: np.abs(array).astype(np.float32) / (20 if method == "kOneByteZeroOne" else 1)
        for key, array in MATRICES.items()
    }
    with kaldi.CompressedMatrixWriter(f"ark,scp:{tmp_path}/c.ark,{tmp_path}/c.scp") as writer:
        for key, array in arrays.items():
            writer.write(key, array, getattr(kaldi.CompressionMethod, method))
    theirs = kaldi.RandomAccessFloatMatrixReader(f"scp:{tmp_path}/c.scp")
    for line in (tmp_path / "c.scp").read_text().splitlines():
        key, file = line.split()
        np.testing.assert_allclose(read_any(file), theirs[key], rtol=2e-6, atol=2e-6)
        assert read_shape(file) == arrays[key].shape
        offset, num_bytes = record_extent(file)
        following = (tmp_path / "c.ark").read_bytes()[offset + num_bytes :][:4]
        assert following in (b"utt-", b"")


def stream_of(data):
    return BufferedReader(BytesIO(data))


@pytest.mark.parametrize(
    "array", [np.float32([1.5, -2]), np.float64([[1, 1 / 3], [np.inf, 1e-300]]), np.zeros((0,), np.float32)]
)
def test_what_we_write_kaldi_reads(tmp_path, array):
    for form, write in (("binary", write_binary), ("text", write_text)):
        with (tmp_path / form).open("wb") as file:
            file.write(b"key ")
            write(file, array)
        reader = {
            (np.float32, 1): kaldi.SequentialFloatVectorReader, (np.float64, 2): kaldi.SequentialDoubleMatrixReader,
        }[array.dtype.type, array.ndim]  # fmt: skip
        with reader(f"ark:{tmp_path}/{form}") as records:
            found = [(key, np.array(value)) for key, value in records]
        assert found[0][0] == "key"
        np.testing.assert_array_equal(found[0][1], array)


def test_compressed_bytes_are_read_by_kaldi(tmp_path):
    with (tmp_path / "c.ark").open("wb") as file:
        for key, array in MATRICES.items():
            file.write(key.encode() + b" ")
            write_compressed(file, array, 3)
    with kaldi.SequentialFloatMatrixReader(f"ark:{tmp_path}/c.ark") as records:
        for key, found in records:
            np.testing.assert_allclose(found, MATRICES[key], atol=1e-3)


def test_text_keeps_every_bit_and_reads_odd_spacing():
    array = np.float32([[0.1, 1e-38], [np.pi, -0.0]])
    out = BytesIO()
    write_text(out, array)
    np.testing.assert_array_equal(read_text(stream_of(out.getvalue()), "x").view(np.uint32), array.view(np.uint32))
    assert read_text(stream_of(b"  [ 1 nan\tinf ]\n"), "x").tolist()[0] == 1
    assert read_text(stream_of(b"[\n1 2\n3 4 ]\n"), "x").tolist() == [[1, 2], [3, 4]]
    assert read_text(stream_of(b" [ ]\n"), "x").shape == (0,)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends before the closing bracket"),
        (b"[ 1 2", "ends before the closing bracket"),
        (b"[ 1 two ]\n", "expected numbers in brackets"),
        (b"[ 1_0 ]\n", "expected numbers in brackets"),
        (b"[ 1\0 ]\n", "expected numbers in brackets"),
        (b"[\n1 2\n3 ]\n", "every row of one length"),
        (b"x [ 1 ]\n", "expected numbers in brackets"),
        (b"[ 1 ] 2\n", "expected numbers in brackets"),
        (b"\0BFM \4\1\0\0\0\4\2\0\0\0abcd", "needs 8 bytes, the file ends before"),
        (b"\0BFM \4\xff\xff\xff\xff\4\2\0\0\0", "no float vector or matrix"),
        (b"\0BFM \5\1\0\0\0\4\2\0\0\0", "no float vector or matrix"),
        (b"\0BFM \4\xff\xff\xff\x7f\4\0\0\0\0", "no float vector or matrix"),  # 2**31 rows of nothing
        (b"\0BCM2 1234", "the file ends before"),
        (b"\0BXX 1234", "no float vector or matrix"),
        (b"\0BDM \4\xff\xff\xff\x7f\4\xff\xff\xff\x7f", "the file ends before"),  # 2**62 numbers, none of them there
    ],
)
def test_damage_is_one_clear_error(data, message):
    with pytest.raises(DataDirError, match=f"x: .*{message}"):
        read_object(stream_of(data), "x")


@pytest.mark.parametrize(
    ("rxspecifier", "message"),
    [
        ("x.ark:4[0:9]", "the range is not within 3x5"),
        ("x.ark:4[2:1]", "the range is not within"),
        ("x.ark:4[0:1,0:1,0:1]", "more axes"),
        ("x.ark:4[a]", "no float|expected|No such"),
        ("cat x.ark |", "a pipe is never run"),
        ("| cat", "a pipe is never run"),
        ("x\0.ark:4", "expected 'file:offset'"),
    ],
)
def test_bad_ranges_and_pipes(tmp_path, monkeypatch, rxspecifier, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.ark").write_bytes(b"utt ")
    with (tmp_path / "x.ark").open("ab") as file:
        write_binary(file, MATRICES["utt-0"])
    with pytest.raises((DataDirError, OSError), match=message):
        read_matrix(rxspecifier)
    np.testing.assert_array_equal(read_any("x.ark:4[1:2,0:3]"), MATRICES["utt-0"][1:3, :4])
    assert read_shape("x.ark:4[1:2]") == (2, 5)


def test_kills_of_the_writer_leave_no_wrong_vector(tmp_path):
    """200 times: a process that writes one archive after another over the last is killed at a random moment."""
    ark, scp, seen, rng = tmp_path / "x.ark", tmp_path / "x.scp", 0, random.Random(0)
    for _ in range(200):
        child = os.fork()
        if child == 0:
            try:
                for version in range(1000):
                    with open_ark_scp(ark, scp) as write:
                        for i in range(20):
                            write(f"utt-{i:02d}-{version % 7}", np.full(3 + version % 5 * 40, i + 100 * (version % 7)))
            finally:
                os._exit(0)
        time.sleep(rng.uniform(0.001, 0.08))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if not scp.exists():
            continue
        seen += 1
        vectors = read_vectors(scp)
        assert len(vectors) == 20
        for key, vector in vectors.items():
            _, number, version = key.split("-")
            assert set(vector.tolist()) == {int(number) + 100 * int(version)}
    assert seen > 20
