"""Against a server on this machine: the real archives are never fetched in tests."""

import http.server
import tarfile
import threading
import zipfile
from functools import partial

import pytest


@pytest.fixture
def mirror(tmp_path, speech):
    """A mirror of OpenSLR with tiny archives."""
    root = tmp_path / "mirror"
    (root / "17").mkdir(parents=True)
    (root / "28").mkdir()
    speech(tmp_path / "musan/noise/source/noise-source-0001.wav")
    with tarfile.open(root / "17/musan.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "musan", "musan")
    speech(tmp_path / "rir.wav")
    with zipfile.ZipFile(root / "28/rirs_noises.zip", "w") as archive:
        archive.write(tmp_path / "rir.wav", "RIRS_NOISES/simulated_rirs/smallroom/Room001/Room001-00001.wav")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=root)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("corpus", "file"),
    [
        ("musan", "musan/noise/source/noise-source-0001.wav"),
        ("rirs", "RIRS_NOISES/simulated_rirs/smallroom/Room001/Room001-00001.wav"),
    ],
)
def test_a_corpus_is_fetched_and_unpacked(run, mirror, tmp_path, corpus, file):
    done = run("local/download_corpora.py", "--url", mirror, tmp_path / "corpora", corpus)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "corpora" / file).is_file()
