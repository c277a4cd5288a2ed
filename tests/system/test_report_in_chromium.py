"""The report as a browser shows and prints it: a headless Chromium, spoken to over the pipes of its own protocol."""

import base64
import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from sv.report.page import page
from sv.results.folder import ScoreLists, load_results

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_chromium() -> str | None:
    """The first of the usual names on the PATH."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


class Chromium:
    """One page of a headless browser; a context manager. `requests` holds every address that the page asked for."""

    def __init__(self, profile: Path) -> None:
        self.profile, self.requests, self.complaints, self._last = profile, [], [], 0

    def __enter__(self) -> "Chromium":
        (to_read, self._to), (self._from, to_write) = os.pipe(), os.pipe()
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
                   "--no-first-run", "--hide-scrollbars", f"--user-data-dir={self.profile}", "about:blank"]  # fmt: skip
        # The browser reads its file descriptor 3 and writes to 4.
        command = ["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "bash", find_chromium(), *options]
        self._process = subprocess.Popen(
            command, pass_fds=(to_read, to_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for fd in (to_read, to_write):
            os.close(fd)
        self._buffer, self._session = b"", None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._to)  # the browser ends with its pipe
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._from)

    def send(self, method: str, **parameters: object) -> dict:
        """Result of a command; events that come before it are noted."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        os.write(
            self._to, json.dumps(message | ({"sessionId": self._session} if self._session else {})).encode() + b"\0"
        )
        while (answer := self._receive()).get("id") != self._last:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _receive(self) -> dict:
        while b"\0" not in self._buffer:
            data = os.read(self._from, 1 << 16)
            if not data:
                raise RuntimeError("the browser has gone")
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict) -> None:
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])
        elif event.get("method") == "Log.entryAdded":
            self.complaints.append(event["params"]["entry"]["text"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(event["params"]))

    def open(self, path: Path, width: int, height: int = 900, phone: bool = False) -> None:
        """Load a file in a viewport of so many CSS pixels."""
        scale = 2 if phone else 1
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        self.send("Page.navigate", url=path.resolve().as_uri())
        while self._receive_event() != "Page.loadEventFired":
            pass

    def _receive_event(self) -> str:
        event = self._receive()
        self._note(event)
        return event.get("method", "")

    def evaluate(self, expression: str) -> object:
        """Value of a JavaScript expression in the page; the page itself has no scripts."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG file."""
        height = self.evaluate("document.documentElement.scrollHeight")
        width = self.evaluate("document.documentElement.clientWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
        path.write_bytes(base64.b64decode(data))

    def pdf(self, path: Path) -> None:
        """The page printed on A4."""
        data = self.send("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=True)["data"]
        path.write_bytes(base64.b64decode(data))


pytestmark = pytest.mark.skipif(
    find_chromium() is None, reason="no Chromium on the PATH (Debian: apt install chromium)"
)
# Elements that are cut off or reach beyond the viewport, but for those in a box that scrolls.
OVERFLOWING = """[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, svg, details'))
  .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
# Cells of matrices whose text is wider than they are.
CROWDED = """[...document.querySelectorAll('.matrix td')].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.innerText)"""
SMALL = """[...document.querySelectorAll('p, td, th, li')].filter(e => e.innerText.trim())
  .map(e => parseFloat(getComputedStyle(e).fontSize)).reduce((a, b) => Math.min(a, b))"""


@pytest.fixture
def report(tmp_path, write_folders) -> Path:
    """A report of two systems with long names."""
    names = {"exu_net_with_a_long_name": 3.0, "se_resnet": 1.5}
    results = [load_results(folder) for folder in write_folders(tmp_path, names)]
    path = tmp_path / "index.html"
    path.write_text(page(results, ScoreLists(tmp_path / "data"), "Made up for a test."), encoding="utf-8")
    return path


@pytest.fixture
def browser(tmp_path):
    with Chromium(tmp_path / "profile") as chromium:
        yield chromium


@pytest.mark.parametrize(("width", "phone"), [(360, True), (390, True), (820, False), (1280, False)])
def test_nothing_is_cut_off_at_any_width(report, browser, width, phone, tmp_path) -> None:
    browser.open(report, width, phone=phone)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(OVERFLOWING) == []
    assert browser.evaluate(CROWDED) == []
    assert browser.evaluate(SMALL) >= 12  # CSS pixels; the small print of intervals is below its number
    browser.screenshot(tmp_path / "page.png")
    image = (tmp_path / "page.png").read_bytes()
    scale = 2 if phone else 1
    assert struct.unpack(">II", image[16:24]) == (
        scale * width,
        scale * browser.evaluate("document.documentElement.scrollHeight"),
    )


def test_every_section_and_drawing_is_visible(report, browser) -> None:
    browser.open(report, 390, phone=True)
    assert browser.evaluate("document.querySelectorAll('section').length") == 11
    sizes = browser.evaluate(
        "[...document.querySelectorAll('svg')].map(e => e.getBoundingClientRect()).map(r => [r.width, r.height])"
    )
    assert len(sizes) == 13
    assert all(300 <= width <= 390 and 150 <= height <= 450 for width, height in sizes)
    texts = browser.evaluate("[...document.querySelectorAll('svg text')].map(e => e.getBoundingClientRect().height)")
    assert min(texts) > 7


def test_it_asks_for_nothing_and_complains_of_nothing(report, browser) -> None:
    browser.open(report, 1280)
    assert set(browser.requests) <= {report.resolve().as_uri(), "about:blank"}
    assert browser.complaints == []


def test_columns_stand_side_by_side_on_a_desk_and_one_below_the_other_on_a_phone(report, browser) -> None:
    lefts = "new Set([...document.querySelectorAll('.grid')[0].children].map(e => e.getBoundingClientRect().left)).size"
    for width, columns in ((1280, 2), (390, 1)):
        browser.open(report, width)
        assert browser.evaluate(lefts) == columns


def test_it_prints_on_a_few_pages_of_paper(report, browser, tmp_path) -> None:
    browser.open(report, 1280)
    browser.pdf(tmp_path / "page.pdf")
    printed = (tmp_path / "page.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    assert 3 <= printed.count(b"/Type /Page\n") <= 12
