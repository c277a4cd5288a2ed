"""The report as a browser shows and prints it: a headless Chromium, spoken to over the pipes of its own protocol."""

import base64
import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sv.kaldi import read_utt2spk, write_data_dir
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
OVERFLOWING = """[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, svg, details:not(.fold)'))
  .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
# Cells of matrices whose text is wider than they are.
CROWDED = """[...document.querySelectorAll('.matrix td')].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.innerText)"""
SMALL = """[...document.querySelectorAll('p, td, th, li, small, a, summary, pre, figcaption')].filter(e => e.textContent.trim())
  .map(e => parseFloat(getComputedStyle(e).fontSize)).reduce((a, b) => Math.min(a, b))"""
# CSS pixels of the print in drawings, which scale.
DRAWN = """[...document.querySelectorAll('svg')].flatMap(svg => [...svg.querySelectorAll('text')].map(text =>
  parseFloat(getComputedStyle(text).fontSize) * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width))
  .reduce((a, b) => Math.min(a, b))"""
UNFOLD = "document.querySelectorAll('details').forEach(e => { e.open = true; })"


@pytest.fixture
def report(tmp_path, write_folders) -> Path:
    """A report of two systems with long names, with recordings."""
    names = {"exu_net_with_a_long_name": 3.0, "se_resnet": 1.5}
    results = [load_results(folder) for folder in write_folders(tmp_path, names)]
    soundfile.write(tmp_path / "hum.wav", 0.3 * np.sin(np.arange(16_000) / 9), 16_000)
    for data_dir in (tmp_path / "data").iterdir():
        utt2spk = read_utt2spk(data_dir / "utt2spk")
        wav_scp = dict.fromkeys(utt2spk, str(tmp_path / "hum.wav"))
        write_data_dir(data_dir, wav_scp=wav_scp, utt2spk=utt2spk, utt2dur=dict.fromkeys(utt2spk, 1.0))
    path, papers = tmp_path / "index.html", {"exu_net_with_a_long_name": "neg_mean_l2", "se_resnet": "cosine"}
    lists = ScoreLists(tmp_path / "data")
    text = page(results, lists, "Made up for a test.", paper_backends=papers, audio=tmp_path / "index-audio")
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def browser(tmp_path):
    with Chromium(tmp_path / "profile") as chromium:
        yield chromium


@pytest.mark.parametrize(("width", "phone"), [(360, True), (390, True), (820, False), (1280, False)])
def test_nothing_is_cut_off_at_any_width(report, browser, width, phone, tmp_path) -> None:
    browser.open(report, width, phone=phone)
    for _ in ("folded", "unfolded"):
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.evaluate(OVERFLOWING) == []
        assert browser.evaluate(CROWDED) == []
        browser.evaluate(UNFOLD)
    assert browser.evaluate(SMALL) >= 11  # CSS pixels
    assert browser.evaluate(DRAWN) >= 11
    browser.screenshot(tmp_path / "page.png")
    image = (tmp_path / "page.png").read_bytes()
    scale = 2 if phone else 1
    assert struct.unpack(">II", image[16:24]) == (
        scale * width,
        scale * browser.evaluate("document.documentElement.scrollHeight"),
    )


def test_a_phone_shows_the_essentials_on_a_few_screens(report, browser) -> None:
    browser.open(report, 390, height=844, phone=True)
    folded = browser.evaluate("document.documentElement.scrollHeight")
    browser.evaluate(UNFOLD)
    assert folded < 4 * 844 < browser.evaluate("document.documentElement.scrollHeight")


def test_a_link_of_the_contents_opens_its_section_and_shows_its_heading(report, browser) -> None:
    browser.open(report, 390, height=844, phone=True)
    places = browser.evaluate("[...document.querySelectorAll('nav a')].map(e => e.getAttribute('href'))")
    assert len(places) == 14
    for place in places:
        browser.evaluate(f"location.hash = {json.dumps(place)}")
        section = f"document.getElementById({json.dumps(place[1:])}).closest('section')"
        assert browser.evaluate(f"{section}.firstElementChild.open")
        assert -1 <= browser.evaluate(f"{section}.querySelector('h2').getBoundingClientRect().top") < 844


def test_contents_stay_at_the_side_of_a_wide_screen_where_nothing_is_folded(report, browser) -> None:
    browser.open(report, 1400)
    assert browser.evaluate(
        "document.querySelector('#the-worst-trials table').checkVisibility({contentVisibilityAuto: true})"
    )
    browser.evaluate("window.scrollTo(0, 3000)")
    box = browser.evaluate("(r => [r.top, r.right])(document.querySelector('nav').getBoundingClientRect())")
    assert 0 <= box[0] < 50 and box[1] <= browser.evaluate(
        "document.querySelector('main').getBoundingClientRect().left"
    )


def test_every_drawing_tells_its_values_on_hover_and_in_a_table(report, browser) -> None:
    browser.open(report, 1400)
    assert browser.evaluate(
        "[...document.querySelectorAll('figure')].every(e => e.querySelector('.spots > * > title'))"
    )
    assert browser.evaluate("[...document.querySelectorAll('figure')].every(e => e.querySelector('.values td'))")
    under = """(e => { e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();
      return document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2).textContent;
    })(document.querySelector('.spots > *'))"""
    assert browser.evaluate(under).startswith("exu_net_with_a_long_name, noise 0 dB: EER ")


def test_recordings_can_be_played(report, browser) -> None:
    browser.open(report, 1400)
    sources = browser.evaluate("[...document.querySelectorAll('audio')].map(e => e.getAttribute('src'))")
    assert sources and all((report.parent / source).is_file() for source in sources)
    assert not [address for address in browser.requests if address.endswith(".flac")]  # before somebody asks
    length = """new Promise(done => { const e = document.querySelector('audio'); e.onloadedmetadata = () => done(e.duration);
      e.onerror = () => done(0); e.preload = 'metadata'; e.load(); })"""
    answer = browser.send("Runtime.evaluate", expression=length, awaitPromise=True, returnByValue=True)
    assert answer["result"]["value"] == 1.0


def test_a_dark_screen_gets_light_print(report, browser) -> None:
    shade = "getComputedStyle(document.querySelector({})).{}"
    found = {}
    for scheme in ("light", "dark"):
        browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        browser.open(report, 1400)
        found[scheme] = [
            sum(map(int, re.findall(r"\d+", browser.evaluate(shade.format(json.dumps(what), which)))[:3]))
            for what, which in (("body", "backgroundColor"), ("p", "color"), ("svg text", "fill"))
        ]
    (light_back, *light), (dark_back, *dark) = found["light"], found["dark"]
    assert light_back > 700 and max(light) < 400 and dark_back < 120 and min(dark) > 500


def test_every_section_and_drawing_is_visible(report, browser) -> None:
    browser.open(report, 390, phone=True)
    assert browser.evaluate("document.querySelectorAll('section').length") == 14
    browser.evaluate(UNFOLD)
    sizes = browser.evaluate(
        "[...document.querySelectorAll('svg')].map(e => e.getBoundingClientRect()).map(r => [r.width, r.height])"
    )
    assert len(sizes) == 13
    assert all(300 <= width <= 390 and 150 <= height <= 450 for width, height in sizes)
    texts = browser.evaluate("[...document.querySelectorAll('svg text')].map(e => e.getBoundingClientRect().height)")
    assert min(texts) > 7


def test_it_asks_for_nothing_and_complains_of_nothing(report, browser) -> None:
    browser.open(report, 1280)
    asked = {
        address for address in browser.requests if not address.startswith("data:")
    }  # the browser's icons of a player
    assert asked <= {report.resolve().as_uri(), "about:blank"}
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
