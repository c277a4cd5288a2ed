"""Kaldi's records in every form, against Kaldi's own code, and damaged ones."""

import os
import random
import signal
import time
from io import BufferedReader, BytesIO
from pathlib import Path

import kaldi_native_io as kaldi
import numpy as np
import pytest

from sv.kaldi import DataDirError, open_ark_scp, read_vectors
from sv.kaldi.ark import iter_ark, read_any, read_matrix, read_object, read_shape, record_extent
from sv.kaldi.record import read_binary, read_text, write_binary, write_compressed, write_text
from sv.kaldi.specifiers import read_records

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


READERS = {
    (np.float32, 1): kaldi.SequentialFloatVectorReader, (np.float32, 2): kaldi.SequentialFloatMatrixReader,
    (np.float64, 1): kaldi.SequentialDoubleVectorReader, (np.float64, 2): kaldi.SequentialDoubleMatrixReader,
}  # fmt: skip


@pytest.mark.parametrize("form", ["binary", "text"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("values", [[1.5, -2], [[1, 1 / 3], [np.inf, 1e-30]], np.zeros(0), np.zeros((0, 0))])
def test_what_we_write_kaldi_reads(tmp_path, values, dtype, form):
    array = np.array(values, dtype)
    with (tmp_path / "x.ark").open("wb") as file:
        for key in ("a", "b"):
            file.write(key.encode() + b" ")
            {"binary": write_binary, "text": write_text}[form](file, array)
    with READERS[dtype, array.ndim](f"ark:{tmp_path}/x.ark") as records:
        found = [(key, np.array(value)) for key, value in records]
    assert [key for key, _ in found] == ["a", "b"]
    for _, value in found:
        assert value.dtype == dtype
        np.testing.assert_array_equal(value, array)


# Kaldi's numbers: 1 auto (as 2 for more than 8 rows, else 3), 2 speech, 3 two bytes, 4 two bytes signed, 5 one byte, ...
@pytest.mark.parametrize(("method", "atol"), [(1, 0.3), (2, 0.3), (3, 1e-3), (4, 0.6), (5, 0.1), (6, 0.6), (7, 0.01)])
def test_what_we_compress_kaldi_reads_as_we_do(tmp_path, method, atol):
    arrays = {key: np.abs(array) / (20 if method == 7 else 1) for key, array in MATRICES.items()}
    arrays["utt-9"] = np.tile(arrays["utt-0"], (6, 1))
    with (tmp_path / "c.ark").open("wb") as file:
        for key, array in arrays.items():
            file.write(key.encode() + b" ")
            write_compressed(file, array, method)
    with kaldi.SequentialFloatMatrixReader(f"ark:{tmp_path}/c.ark") as records:
        theirs = {key: np.array(value) for key, value in records}
    ours = dict(iter_ark(tmp_path / "c.ark"))
    assert list(ours) == list(theirs) == list(arrays)
    for key, array in arrays.items():
        np.testing.assert_allclose(ours[key], theirs[key], rtol=2e-6, atol=2e-6)
        np.testing.assert_allclose(ours[key], array, atol=atol)


FBANK, PLDA = (Path(__file__).parents[2] / "golden" / name for name in ("kaldi_fbank", "kaldi_plda"))


def test_archives_of_kaldis_programs(golden_vectors, golden_lists):
    """Binary, compressed and text; matrices and vectors; from a plain and a gzipped file."""
    golden = np.load(FBANK / "fbank80.every4.npy")
    ((key, feats),) = iter_ark(FBANK / "fbank80.bin.ark")
    assert (key, feats.shape, feats.dtype) == ("chirp", (198, 80), np.float32)
    np.testing.assert_allclose(feats[::4], golden, rtol=4e-6)  # the text that golden is from has seven digits
    location = (FBANK / "fbank80.bin.scp").read_text().split()[1]
    np.testing.assert_array_equal(read_matrix(f"{FBANK}/{location}"), feats)
    ((_, compressed),) = iter_ark(FBANK / "fbank80.compressed.ark")
    with kaldi.SequentialFloatMatrixReader(f"ark:{FBANK}/fbank80.compressed.ark") as records:
        np.testing.assert_allclose(compressed, next(iter(records))[1], rtol=2e-6)
    assert 0.05 < np.abs(compressed - feats).max() < 0.104
    ((_, vad),) = iter_ark(FBANK / "vad.ark.txt")
    assert (vad.shape, set(vad.tolist()), vad.sum()) == ((200,), {0.0, 1.0}, 120)
    vectors = golden_vectors("eval")
    for key, vector in read_records(f"ark:{PLDA}/eval.ark.txt.gz"):
        np.testing.assert_array_equal(vector, vectors.pop(key))
    assert not vectors
    vectors, utts = golden_vectors("eval"), golden_lists("enroll.spk2utt")
    averages = dict(iter_ark(PLDA / "enroll.raw.bin.ark"))
    assert averages.keys() == utts.keys()
    for key, average in averages.items():
        expected = np.mean([vectors[utt] for utt in utts[key]], axis=0)
        np.testing.assert_allclose(average, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(read_any(f"{PLDA}/A.lda.txt"), read_any(f"{PLDA}/A.lda.bin"), rtol=1e-6)


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
        (b"[\n1 2\n3 ]\n", "row 2 holds 1 numbers, the first 2"),
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


@pytest.mark.parametrize(("method", "low", "high"), [(4, -32768, 32767), (6, 0, 255), (7, 0, 1)])
def test_values_outside_a_method_s_range_are_clamped(method, low, high):
    stream = BytesIO()
    write_compressed(stream, np.array([[low - 7.0, low, high, high + 7.0]], np.float32), method)
    stream.seek(0)
    np.testing.assert_allclose(read_binary(stream, "x"), [[low, low, high, high]], atol=1e-3)


def test_an_empty_matrix_is_written_empty_under_compression():
    stream = BytesIO()
    write_compressed(stream, np.zeros((0, 0), np.float32), 2)
    stream.seek(0)
    assert read_binary(stream, "x").shape == (0, 0)
