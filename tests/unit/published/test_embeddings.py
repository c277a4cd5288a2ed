"""Published embeddings: every shape of pickle that NumPy writes, and no code run."""

import os
import pickle
import pickletools
import struct
from pathlib import Path

import numpy as np
import pytest

from sv.bin import embeddings as command
from sv.kaldi import read_vectors
from sv.published.embeddings import PickleError, read_embeddings, to_key, to_utterance, write_embeddings

KEYS = ("id10270/x6uYqmx31kE/00001", "id10270/x-6u_mx31-E/00002", "id10271/AAAAAAAAAAA/00001")


@pytest.fixture
def vectors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {key: rng.normal(size=5).astype(np.float32) for key in KEYS}


def pickled(tmp_path: Path, content: object, protocol: int = 2) -> Path:
    path = tmp_path / "embeddings.pk"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.dtype(">f4")])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_protocol(vectors, tmp_path, protocol: int, dtype) -> None:
    found = read_embeddings(pickled(tmp_path, {key: v.astype(dtype) for key, v in vectors.items()}, protocol))
    assert list(found) == list(KEYS)
    for key in KEYS:
        assert found[key].dtype == np.float32
        np.testing.assert_array_equal(found[key], vectors[key])


def test_pickles_by_older_numpy(vectors, tmp_path) -> None:
    path = pickled(tmp_path, vectors)
    path.write_bytes(path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    np.testing.assert_array_equal(read_embeddings(path)[KEYS[0]], vectors[KEYS[0]])


def python2_pickle(key: str, vector: np.ndarray) -> bytes:
    """A dict with one array as Python 2 wrote it in protocol 2: its data is a byte string."""
    data = vector.tobytes()
    return (
        b"\x80\x02}" + b"U" + bytes([len(key)]) + key.encode()
        + b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        + b"(K\x01K" + bytes([len(vector)]) + b"\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
        + b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + b"\x89T" + struct.pack("<i", len(data)) + data + b"tbs."
    )  # fmt: skip


def test_pickles_by_python_2(vectors, tmp_path) -> None:
    path = tmp_path / "embeddings.pk"
    path.write_bytes(python2_pickle(KEYS[0], vectors[KEYS[0]]))
    reference = pickle.loads(path.read_bytes(), encoding="latin1")  # ours: harmless
    np.testing.assert_array_equal(read_embeddings(path)[KEYS[0]], reference[KEYS[0]])


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_in_a_pickle_is_not_run(vectors, tmp_path, protocol: int) -> None:
    path = pickled(tmp_path, vectors | {"id1/v/2": Bomb(tmp_path / "made")}, protocol)
    with pytest.raises(PickleError, match=r"embeddings.pk: it asks for \w+.mkdir, which no table of embeddings needs"):
        read_embeddings(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "expected a dict of embeddings, got list"),
        ({"a/b/c": [1.0, 2.0]}, "'a/b/c' is not an array"),
        ({"a/b/c": np.arange(3)}, "'a/b/c' holds 'i8' instead of floats"),
        ({"a/b/c": np.array([None, 1.0])}, "'a/b/c' holds 'O8' instead of floats"),
        ({"a/b/c": np.zeros((2, 3))}, r"'a/b/c' has the shape \(2, 3\), not that of a vector"),
        ({"a/b/c": np.array([1.0, np.nan])}, "'a/b/c' holds NaN or infinity"),
        ({"a/b/c": np.zeros(2), "a/b/d": np.zeros(3)}, r"its vectors have several lengths: \[2, 3\]"),
        ({("a", "b"): np.zeros(2)}, r"\('a', 'b'\) is not a single word"),
        ({"dev": {"a/b": np.zeros(2)}}, "it holds the tables dev; name one with --table"),
    ],
)
def test_what_is_no_table_of_embeddings_is_named(content, message: str, tmp_path) -> None:
    with pytest.raises(PickleError, match=f"embeddings.pk: {message}"):
        read_embeddings(pickled(tmp_path, content))


def test_damaged_pickles_are_refused(vectors, tmp_path) -> None:
    path = pickled(tmp_path, vectors)
    whole = path.read_bytes()
    for length in (0, 1, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(PickleError, match="not a pickle of embeddings, or cut short"):
            read_embeddings(path)


def test_objects_outside_the_file_are_refused(tmp_path) -> None:
    (tmp_path / "embeddings.pk").write_bytes(b"\x80\x02U\x01aQ.")
    with pytest.raises(PickleError, match="it refers to objects outside the file"):
        read_embeddings(tmp_path / "embeddings.pk")


def test_one_of_several_tables(vectors, tmp_path) -> None:
    path = pickled(tmp_path, {"dev_dic_embeddings": {}, "eval_dic_embeddings": vectors})
    assert list(read_embeddings(path, "eval_dic_embeddings")) == list(KEYS)


def test_written_pickles_hold_plain_arrays_and_read_back(vectors, tmp_path) -> None:
    path = tmp_path / "out.pk"
    write_embeddings(path, vectors)
    plain = pickle.loads(path.read_bytes())
    assert all(type(vector) is np.ndarray for vector in plain.values())
    assert {opcode.name for opcode, _, _ in pickletools.genops(path.read_bytes())} >= {"REDUCE", "BUILD"}
    for key, vector in read_embeddings(path).items():
        np.testing.assert_array_equal(vector, vectors[key])


@pytest.mark.parametrize("key", [*KEYS, "Eartha_Kitt/x6uYqmx31kE_0000001.wav"])
def test_keys_become_utterance_ids_and_back(key: str) -> None:
    utterance = to_utterance(key)
    assert "/" not in utterance and utterance.startswith(key.split("/")[0] + "-")
    assert to_key(utterance, key.count("/") + 1) == key.removesuffix(".wav")


@pytest.mark.parametrize("key", ["Jean-Luc/x6uYqmx31kE_0000001.wav", "id1-x/video/00001", "id1/video/0-1"])
def test_keys_that_could_not_be_turned_back_are_refused(key: str) -> None:
    with pytest.raises(PickleError, match="has '-' where it cannot be turned back; keep the slashes"):
        to_utterance(key)


def test_import_and_export_through_the_command(vectors, tmp_path, capsys) -> None:
    path = pickled(tmp_path, vectors)
    command.main(["import", str(path), str(tmp_path / "xvector.ark")])
    found = read_vectors(tmp_path / "xvector.scp")
    assert list(found) == ["id10270-x-6u_mx31-E-00002", "id10270-x6uYqmx31kE-00001", "id10271-AAAAAAAAAAA-00001"]
    command.main(["export", str(tmp_path / "xvector.scp"), str(tmp_path / "back.pk")])
    back = read_embeddings(tmp_path / "back.pk")
    assert back.keys() == vectors.keys()
    for key, vector in back.items():
        np.testing.assert_array_equal(vector, vectors[key])
    assert capsys.readouterr().out == "3 embeddings\n" * 2


def test_usage_errors_exit_2_and_bad_files_exit_1_with_one_line(tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(["import", "x.pk", str(tmp_path / "out.txt")])
    assert stopped.value.code == 2
    assert "the output must end in .ark" in capsys.readouterr().err
    with pytest.raises(SystemExit, match=r"error: .*embeddings.pk: expected a dict of embeddings, got list"):
        command.main(["import", str(pickled(tmp_path, [])), str(tmp_path / "xvector.ark")])
    assert not (tmp_path / "xvector.ark").exists()
