"""Against a server on this machine: the real archives are never fetched in tests."""

import gzip
import http.server
import io
import json
import os
import stat
import tarfile
import threading
import zipfile

import pytest

from local import download_corpora
from local.archives import MARKER, ArchiveError, unpack

MUSAN, RIRS = "/17/musan.tar.gz", "/28/rirs_noises.zip"
NOISE = os.urandom(5000)  # does not shrink, so that half of the archive is half of it


def tar_of(*members):
    """A tar.gz of (name, kind, content or link)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, value in members:
            info = tarfile.TarInfo(name)
            info.type = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "dir": tarfile.DIRTYPE, "device": tarfile.CHRTYPE,
                         "fifo": tarfile.FIFOTYPE}.get(kind, tarfile.REGTYPE)  # fmt: skip
            info.mode = 0o6777
            if info.isreg():
                info.size = len(value)
                tar.addfile(info, io.BytesIO(value))
            else:
                info.linkname = value
                tar.addfile(info)
    return gzip.compress(buffer.getvalue(), mtime=0)  # the same for every worker of the tests


def zip_of(*members, count=5):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i in range(count):
            archive.writestr(f"RIRS_NOISES/simulated_rirs/s/{i}.wav", b"RIFF" + NOISE)
        for name, mode, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return buffer.getvalue()


GOOD = tar_of(("musan", "dir", ""), ("musan/noise/n.wav", "file", NOISE))


class Mirror(http.server.BaseHTTPRequestHandler):
    """Serves `content`; `cut` halves what it sends, `ranges` says whether it knows them; `asked` are the ranges."""

    content: dict[str, bytes] = {}  # noqa: RUF012
    cut, ranges = False, True
    asked: list[str | None] = []  # noqa: RUF012

    def do_GET(self):
        whole, wanted = self.content.get(self.path), self.headers.get("Range")
        self.asked.append(wanted)
        if whole is None:
            return self.send_error(404)
        if whole.startswith(b"file:"):
            self.send_response(302)
            self.send_header("Location", whole.decode())
            return self.end_headers()
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start and start >= len(whole):
            return self.send_error(416)
        body = whole[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.cut else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def mirror():
    """The handler's class, to set what it serves; `url` is its address."""
    Mirror.content, Mirror.cut, Mirror.ranges, Mirror.asked = {MUSAN: GOOD, RIRS: zip_of()}, False, True, []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Mirror.url = f"http://127.0.0.1:{server.server_port}"
    yield Mirror
    server.shutdown()
    server.server_close()


@pytest.fixture
def get(mirror, tmp_path, capsys):
    """get(corpus): exit code and lines of a download to tmp_path / "corpora"."""

    def call(corpus, url=None):
        code = 0
        try:
            download_corpora.main([str(tmp_path / "corpora"), corpus, "--url", url or mirror.url])
        except SystemExit as exit_:
            code, said = 1, str(exit_.code)
            return code, [*capsys.readouterr().err.splitlines(), *said.splitlines()]
        return code, capsys.readouterr().err.splitlines()

    call.folder = tmp_path / "corpora"
    return call


@pytest.mark.parametrize(
    ("corpus", "file"), [("musan", "musan/noise/n.wav"), ("rirs", "RIRS_NOISES/simulated_rirs/s/4.wav")]
)
def test_a_corpus_is_fetched_unpacked_and_then_left_alone(get, mirror, corpus, file):
    code, said = get(corpus)
    assert (code, len(said)) == (0, 1)
    assert "has not the published MD5 but" in said[0]
    assert NOISE in (get.folder / file).read_bytes()
    num_asked = len(mirror.asked)
    code, said = get(corpus)
    assert (code, len(mirror.asked)) == (0, num_asked)
    assert "is there, with all of its files" in said[0]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_was_cut_goes_on(get, mirror, ranges):
    mirror.cut, mirror.ranges = True, ranges
    code, said = get("musan")
    assert (code, len(said)) == (1, 1)
    assert f"cut off, {len(GOOD) // 2} of {len(GOOD)} bytes came" in said[0]
    assert not (get.folder / "musan").exists()
    mirror.cut = False
    assert get("musan")[0] == 0
    assert mirror.asked == [None, f"bytes={len(GOOD) // 2}-"]
    assert (get.folder / "musan/noise/n.wav").read_bytes() == NOISE
    assert not list(get.folder.glob("*.part"))


def test_a_whole_part_that_was_not_renamed_is_taken(get, mirror):
    get.folder.mkdir()
    (get.folder / "musan.tar.gz.part").write_bytes(GOOD)
    assert get("musan")[0] == 0
    assert mirror.asked == [f"bytes={len(GOOD)}-"]


BAD = [
    b"<html>sign in</html>",
    GOOD[: len(GOOD) // 2],
    GOOD[:-1000] + bytes(1000),
    b"",
    b"PK\3\4" + bytes(100),
    tar_of(("other/x", "file", b"1")),
    tar_of(("/musan/x", "file", b"1")),
]


@pytest.mark.parametrize("served", BAD)
@pytest.mark.parametrize("lies_there", [True, False])
def test_a_bad_archive_is_set_aside_and_the_next_try_recovers(get, mirror, served, lies_there):
    mirror.content = {MUSAN: served}
    if lies_there:
        get.folder.mkdir()
        (get.folder / "musan.tar.gz").write_bytes(served)
    code, said = get("musan")
    assert code == 1
    assert "set aside as musan.tar.gz.bad, the next try fetches it anew" in said[-1]
    assert len(said) == 2
    assert not (get.folder / f"musan/{MARKER}").exists()
    assert not (get.folder / "other").exists()
    mirror.content = {MUSAN: GOOD}
    assert get("musan")[0] == 0
    assert (get.folder / "musan/noise/n.wav").read_bytes() == NOISE


@pytest.mark.parametrize(("address", "message"), [
    ("", "404"), ("file:///etc", "expected an address that begins with http"), ("http://127.0.0.1:1", "refused"),
])  # fmt: skip
def test_what_does_not_come_is_one_line(get, mirror, address, message):
    mirror.content = {}
    code, said = get("musan", address or None)
    assert (code, len(said)) == (1, 1)
    assert message in said[0]
    assert not list(get.folder.iterdir())


def test_a_redirection_to_a_file_is_refused(get, mirror):
    mirror.content = {MUSAN: b"file:///etc/passwd"}
    assert get("musan")[0] == 1
    assert not list(get.folder.iterdir())


def test_half_a_folder_beside_a_whole_archive_is_unpacked_again(get):
    folder = get.folder / "RIRS_NOISES/simulated_rirs/s"
    folder.mkdir(parents=True)
    (folder / "0.wav").write_bytes(b"RI")
    (get.folder / "rirs_noises.zip").write_bytes(zip_of(count=50))
    assert get("rirs")[0] == 0
    assert len(list(folder.glob("*.wav"))) == 50
    assert (folder / "0.wav").read_bytes() == b"RIFF" + NOISE
    (folder / "7.wav").unlink()
    assert get("rirs")[0] == 0
    assert len(list(folder.glob("*.wav"))) == 50
    for broken in ("", "[]", "{}", '{"num_files": "many"}', '{"num_files": 0}'):
        (get.folder / "RIRS_NOISES" / MARKER).write_text(broken)
        assert get("rirs")[0] == 0
        assert json.loads((get.folder / "RIRS_NOISES" / MARKER).read_text())["num_files"] == 50


def test_links_devices_and_names_that_leave_the_folder_are_left_out(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    archive = tmp_path / "x.tar.gz"
    bad = [
        ("musan/link", "link", str(outside)), ("musan/in", "link", "noise"), ("musan/hard", "hard", "/etc/hostname"),
        ("musan/own", "hard", "musan/x"), ("musan/null", "device", ""), ("musan/pipe", "fifo", ""),
        (f"{outside}/abs", "file", b"1"), ("../up", "file", b"1"), ("musan/../../up", "file", b"1"), ("musan/a\nb", "file", b"1"),
        ("C:/x", "file", b"1"), ("musan\\x", "file", b"1"),
    ]  # fmt: skip
    archive.write_bytes(tar_of(*bad, ("musan/link/below", "file", b"2"), ("musan/suid", "file", b"3")))
    left_out = unpack(archive, tmp_path / "corpora", "musan") if (tmp_path / "corpora").mkdir() is None else []
    assert len(left_out) == len(bad)
    assert not list(outside.iterdir())
    assert not (tmp_path / "up").exists() and not (tmp_path.parent / "up").exists()
    kept = sorted(path for path in (tmp_path / "corpora").rglob("*") if not path.is_dir())
    assert [str(path.relative_to(tmp_path / "corpora")) for path in kept] == [
        f"musan/{MARKER}",
        "musan/link/below",
        "musan/suid",
    ]
    assert all(path.is_file() and not path.is_symlink() and path.stat().st_nlink == 1 for path in kept)
    assert not (tmp_path / "corpora/musan/suid").stat().st_mode & (stat.S_ISUID | stat.S_ISGID | 0o111)


def test_a_zip_keeps_the_same_rules(tmp_path):
    archive = tmp_path / "x.zip"
    archive.write_bytes(zip_of(
        ("../up", 0o100644, "1"), (f"{tmp_path}/abs", 0o100644, "1"), ("RIRS_NOISES/link", 0o120777, "/etc"),
        ("RIRS_NOISES/suid", 0o104755, "1"), ("RIRS_NOISES/device", 0o020666, ""),
    ))  # fmt: skip
    (tmp_path / "corpora").mkdir()
    left_out = unpack(archive, tmp_path / "corpora", "RIRS_NOISES")
    assert len(left_out) == 4
    assert not (tmp_path / "up").exists() and not (tmp_path / "abs").exists()
    assert not (tmp_path / "corpora/RIRS_NOISES/suid").stat().st_mode & 0o7111
    assert not any(path.is_symlink() for path in (tmp_path / "corpora").rglob("*"))


def test_planted_links_are_not_followed(get, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (get.folder / "musan/noise").mkdir(parents=True)
    (get.folder / "musan/noise/n.wav").symlink_to(precious)
    assert get("musan")[0] == 0
    assert (get.folder / "musan/noise/n.wav").read_bytes() == NOISE
    (get.folder / "RIRS_NOISES").mkdir()
    (get.folder / "RIRS_NOISES/simulated_rirs").symlink_to(tmp_path)
    code, said = get("rirs")
    assert (code, "a link, where a folder is to be unpacked" in said[-1]) == (1, True)
    (get.folder / "rirs_noises.zip").unlink()
    (get.folder / "rirs_noises.zip.part").symlink_to(precious)
    code, said = get("rirs")
    assert (code, "rirs_noises.zip.part: cannot be opened" in said[-1]) == (1, True)
    (get.folder / "rirs_noises.zip.part").unlink()
    os.link(precious, get.folder / "rirs_noises.zip.part")
    code, said = get("rirs")
    assert (code, "not a plain file of its own" in said[-1]) == (1, True)
    assert precious.read_text() == "precious"


def test_openslr_itself_must_send_what_it_published(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    with pytest.raises(ArchiveError, match="its MD5 is 900150983cd24fb0d6963f7d28e17f72, published is"):
        download_corpora.check_sum(path, "0" * 32, download_corpora.MIRROR)
    download_corpora.check_sum(path, "900150983cd24fb0d6963f7d28e17f72", download_corpora.MIRROR)


def test_the_program_starts_and_says_what_it_does(run, tmp_path):
    done = run("local/download_corpora.py", tmp_path / "corpora", "musan", "--url", "ftp://x")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
