import subprocess

import kaldi_native_io
import kaldiio
import numpy as np
import pytest

from sv.kaldi import DataDirError, iter_matrices, open_ark_scp, read_matrix, read_vectors
from sv.kaldi.ark import record_extent


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {f"utt-{i}": rng.standard_normal((3 + i, 5)).astype(np.float32) for i in range(4)}


def write_all(folder, arrays, **options):
    with open_ark_scp(folder / "x.ark", folder / "x.scp", **options) as write:
        for key, array in arrays.items():
            write(key, array)


def test_bytes_are_those_of_kaldis_own_code(tmp_path, arrays):
    write_all(tmp_path, arrays)
    with kaldi_native_io.FloatMatrixWriter(f"ark,scp:{tmp_path}/k.ark,{tmp_path}/k.scp") as writer:
        for key, array in arrays.items():
            writer.write(key, array)
    assert (tmp_path / "x.ark").read_bytes() == (tmp_path / "k.ark").read_bytes()
    assert (tmp_path / "x.scp").read_text() == (tmp_path / "k.scp").read_text().replace("k.ark", "x.ark")


def test_kaldis_own_code_reads_what_we_write(tmp_path, arrays):
    write_all(tmp_path, arrays, compression_method=3)
    reader = kaldi_native_io.RandomAccessFloatMatrixReader(f"scp:{tmp_path}/x.scp")
    for key, array in arrays.items():
        np.testing.assert_allclose(reader[key], array, atol=1e-3)


@pytest.mark.parametrize("method", ["kSpeechFeature", "kTwoByteAuto", "kOneByteAuto"])
def test_we_read_what_kaldi_compresses(tmp_path, arrays, method):
    write_all(tmp_path, arrays)
    spec = f"ark,scp:{tmp_path}/c.ark,{tmp_path}/c.scp"
    with kaldi_native_io.CompressedMatrixWriter(spec) as writer:
        for key, array in arrays.items():
            writer.write(key, array, getattr(kaldi_native_io.CompressionMethod, method))
    for key, array in iter_matrices(tmp_path / "c.scp"):
        np.testing.assert_allclose(array, arrays[key], atol=0.05)
        array[0, 0] = 1.0  # writable


def test_doubles_and_ranges(tmp_path):
    kaldiio.save_ark(str(tmp_path / "d.ark"), {"a": np.arange(12.0).reshape(6, 2)}, scp=str(tmp_path / "d.scp"))
    assert read_matrix(f"{tmp_path}/d.ark:2[1:2]").tolist() == [[2, 3], [4, 5]]
    assert record_extent(f"{tmp_path}/d.ark:2") == (2, 15 + 12 * 8)


def test_a_failed_block_publishes_nothing(tmp_path, arrays):
    with pytest.raises(RuntimeError), open_ark_scp(tmp_path / "x.ark", tmp_path / "x.scp") as write:
        write("a", arrays["utt-0"])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["b", "a"], 1.0, "key 'a' after 'b'; write in byte order"),
        (["a", "a"], 1.0, "key 'a' after 'a'"),
        (["a"], np.nan, "'a' holds NaN or infinity"),
        (["a b"], 1.0, "it must be one word"),
    ],
)
def test_bad_records_are_refused(tmp_path, keys, value, message):
    with pytest.raises(ValueError, match=message), open_ark_scp(tmp_path / "x.ark", tmp_path / "x.scp") as write:
        for key in keys:
            write(key, np.array([value], dtype=np.float32))
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_ark_is_named(tmp_path, arrays):
    write_all(tmp_path, arrays)
    whole = (tmp_path / "x.ark").read_bytes()
    (tmp_path / "x.ark").write_bytes(whole[:-10])
    with pytest.raises(DataDirError, match=r"x.scp: utt-3: .*the file ends before"):
        list(iter_matrices(tmp_path / "x.scp"))
    last = (tmp_path / "x.scp").read_text().splitlines()[-1].split()[1]
    with pytest.raises(DataDirError, match="the file ends before"):
        record_extent(last)
    with pytest.raises(DataDirError, match="no float vector or matrix starts there"):
        record_extent(last + "1")
    with pytest.raises(DataDirError, match="expected 'file:offset'"):
        record_extent(str(tmp_path / "x.ark"))


def test_vectors_of_two_dimensions_are_refused(tmp_path):
    write_all(tmp_path, {"a": np.zeros(3), "b": np.zeros(4)})
    with pytest.raises(DataDirError, match="expected vectors of one dimension"):
        read_vectors(tmp_path / "x.scp")


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a tmpfs: {mounted.stderr.strip()}")
    try:
        with (
            pytest.raises(OSError, match="could not write: No space left on device") as caught,
            open_ark_scp(disk / "x.ark", disk / "x.scp") as write,
        ):
            for i in range(100):
                write(f"utt-{i:03d}", np.zeros((100, 64)))
        assert caught.value.filename == str(disk / "x.ark")
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize(
    ("chosen", "shape"),
    [
        ("[0:2,:]", (3, 6)), ("[:,0:2]", (10, 3)), ("[:]", (10, 6)), ("[0:9,0:5]", (10, 6)), ("[0:12]", (10, 6)),
        ("[9:11,5:5]", (1, 1)), ("[ 0:2,+1:3]", (3, 3)),
    ],
)  # fmt: skip
def test_ranges_are_kaldi_s(tmp_path, chosen, shape):
    values = np.arange(60, dtype=np.float32).reshape(10, 6)
    with open_ark_scp(tmp_path / "m.ark", tmp_path / "m.scp") as write:
        write("a", values)
    place = f"{tmp_path}/m.ark:2{chosen}"
    oracle = kaldi_native_io.FloatMatrix.read(place).numpy()
    assert read_matrix(place).shape == shape == oracle.shape
    np.testing.assert_array_equal(read_matrix(place), oracle)


@pytest.mark.parametrize("chosen", ["[]", "[,0:2]", "[0:13]", "[10:11]", "[2:1]", "[0:2,0:6]", "[2]", "[0:1,0:1,0:1]"])
def test_ranges_that_kaldi_refuses_are_refused(tmp_path, chosen):
    with open_ark_scp(tmp_path / "m.ark", tmp_path / "m.scp") as write:
        write("a", np.zeros((10, 6), np.float32))
    with pytest.raises(DataDirError, match="range"):
        read_matrix(f"{tmp_path}/m.ark:2{chosen}")
