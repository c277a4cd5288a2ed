import html.parser
import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import pytest

from sv.base.layout import condition_name, parse_condition
from sv.report.blocks import brief
from sv.report.drawing import PALETTE
from sv.report.page import page
from sv.report.rates import flatten, verdict_text
from sv.results.comparison import compare
from sv.results.folder import ScoreLists, load_results
from sv.results.tables import interval_cell
from sv.results.verdicts import replicates, verdicts
from sv.scoring.errors import worst_trials

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folders(tmp_path, write_folders) -> list[Path]:
    return write_folders(tmp_path, {"ours<1>": 3.0, "baseline": 1.5})


class Reader(html.parser.HTMLParser):
    """Checks that tags are balanced; collects texts, tags and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):  # without end tags
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.texts.append(data)


def lists_of(folders: list[Path]) -> ScoreLists:
    return ScoreLists(folders[0].parents[1] / "data")


def read_page(folders: list[Path], note: str = "") -> Reader:
    results = [load_results(folder) for folder in folders]
    return Reader(page(results, lists_of(folders), note))


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(folders) -> None:
    text = page([load_results(folder) for folder in folders], lists_of(folders), "A <note>.")
    reader = Reader(text)
    assert reader.open == []
    assert not {tag for tag, _ in reader.tags} & {"script", "link", "img", "iframe", "object"}
    for _, attributes in reader.tags:
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith("#")
    assert not re.search(r"@import|url\((?!#)", text)
    assert "A <note>." in reader.texts


def test_the_page_says_all_that_was_promised(folders) -> None:
    reader = read_page(folders)
    for heading in (
        "At a glance", "Error rates by condition", "Side by side", "Costs by condition", "Means over conditions",
        "EER over SNR", "Detection error trade-off", "Scores", "Calibration", "Training", "Which speakers cause the errors",
        "The worst trials", "Back ends", "Where the numbers come from",
    ):  # fmt: skip
        assert heading in reader.texts
    drawings = [attributes["aria-label"] for tag, attributes in reader.tags if tag == "svg"]
    assert drawings[:3] == ["EER over SNR in noise", "EER over SNR in babble", "DET curves"]
    assert sum(label.startswith("Scores of ") for label in drawings) == 4
    assert sum(label.startswith("Actual and minimum cost over the prior") for label in drawings) == 2
    assert sum(label.startswith("Miss and false-alarm rate by speaker") for label in drawings) == 2
    assert "held-out EER (%) over training steps" in drawings
    assert "20 steps, best held-out EER 12.50 %" in reader.texts
    assert "model.type" in reader.texts  # the configurations differ in it


def test_the_spread_over_draws_stands_beside_the_interval_and_changes_nothing_else(folders, add_draws) -> None:
    without = read_page(folders)
    add_draws(folders)
    reader = read_page(folders)
    assert "Spread over draws" in reader.texts and "Spread over draws" not in without.texts
    for folder in folders:
        rows = [row for row in load_results(folder).rows if row["backend"] == "cosine" and row["snr_db"] == 0]
        eers = [row["eer"] for row in rows if row["noise"] == "noise"]
        assert len(eers) == 3
        at = reader.texts.index(f"{fmean(eers):.2f} \u00b1 {stdev(eers):.2f} (3)")
        assert interval_cell(rows[0]) in reader.texts[at + 1 : at + 3]
    assert "draw2" not in " ".join(reader.texts)
    rest = [text for text in without.texts if text.strip()]
    assert [text for text in rest if text not in reader.texts] == []


def test_the_matrices_hold_the_rows(folders) -> None:
    reader = read_page(folders)
    for row in (row for folder in folders for row in load_results(folder).rows if row["backend"] == "cosine"):
        assert f"{row['eer']:.1f}" in reader.texts
        assert f"{brief(row['eer_low'])}\u2013{brief(row['eer_high'])}" in reader.texts
        assert f"{row['min_dcf']['0.01']:.2f}" in reader.texts


def test_the_verdict_says_who_errs_less_and_by_how_much(folders) -> None:
    results = [load_results(folder) for folder in folders]
    shared = compare([result.rows for result in results])[0].shared
    (found,) = verdicts(replicates(lists_of(folders).by_condition(results, shared)))
    said = next(text for text in read_page(folders).texts if "errs less than" in text)
    assert said.startswith(
        "ours<1> errs less than baseline in the mean of 4 noisy conditions: ours<1> minus baseline is \u2212"
    )
    assert f"{-found.overall.difference:.2f} points of EER" in said
    assert page(results[::-1], lists_of(folders)).count("ours&lt;1&gt; errs less than baseline") == 1
    equal = verdict_text("a", replace(found, overall=replace(found.overall, p_value=0.2, low=-1.0, high=1.0)))
    assert equal.startswith("a and baseline: no difference shown in the mean of 4 noisy conditions (")
    assert equal.endswith("interval \u22121.00 to +1.00, p\u00a0=\u00a00.200).")


def test_breakdowns_and_broken_rules_are_shown(folders) -> None:
    part = {"system": "baseline", "test_set": "test", "backend": "cosine", "by": "room", "value": "rm1", "num_target": 3,
            "num_nontarget": 4, "eer": 5.0, "eer_low": 4.0, "eer_high": 7.0, "min_dcf": {"0.01": 0.75}}  # fmt: skip
    (folders[1] / "breakdown.json").write_text(json.dumps([part]))
    rows = json.loads((folders[1] / "results.json").read_text())
    rules = {"rules": "voices", "broken_rules": ["MUSAN's speech is mixed in"]}
    (folders[1] / "results.json").write_text(json.dumps([row | rules for row in rows]))
    reader = read_page(folders[1:])
    assert "test by room" in reader.texts and "rm1" in reader.texts and "[4.0, 7.0]" in reader.texts
    assert "baseline breaks the voices challenge's rules: MUSAN's speech is mixed in" in reader.texts


def test_speakers_and_trials_that_cause_errors_are_named(folders) -> None:
    reader = read_page(folders)
    item = lists_of(folders).of(load_results(folders[1]), load_results(folders[1]).rows[0])
    misses, _ = worst_trials(item.scores, item.is_target, 1)
    sides = (item.trials.enrolment[misses[0]], item.trials.test[misses[0]])
    assert sides in zip(reader.texts, reader.texts[1:])
    assert any(text.endswith("of 8 speakers cause half of the errors.") for text in reader.texts)
    assert {f"s{i:02d}" for i in range(8)} <= set(reader.texts)


def test_one_system_without_noise_or_training_makes_a_page(folders) -> None:
    folder = folders[1]
    rows = [row for row in load_results(folder).rows if row["noise"] is None and row["backend"] == "cosine"]
    (folder / "results.json").write_text(json.dumps(rows))
    (folder / "train.jsonl").unlink()
    reader = read_page([folder])
    assert "EER over SNR" not in reader.texts and "Training" not in reader.texts
    assert "Side by side" not in reader.texts and "Calibration" not in reader.texts
    assert "not recorded" in reader.texts


def rename_noise(root: Path, folders: list[Path], old: str, new: str) -> None:
    """Rename a noise type in data directories, score files and results."""
    for snr_db in (0, 20):
        names = [condition_name("test", noise, snr_db) for noise in (old, new)]
        for folder in (root / "data", *(path / "scores" for path in folders)):
            (folder / names[0]).rename(folder / names[1])
    for path in folders:
        rows = json.loads((path / "results.json").read_text())
        for row in rows:
            if row["noise"] == old:
                name = condition_name("test", new, row["snr_db"])
                row["condition"], row["noise"] = parse_condition(name).name, parse_condition(name).noise
        (path / "results.json").write_text(json.dumps(rows))


@pytest.mark.parametrize("noise", ["street noise", "Straße-laut", "<img src=x>", "a$b$_^"])
def test_conditions_of_any_noise_are_shown_under_its_name(folders, noise) -> None:
    rename_noise(folders[0].parents[1], folders, "babble", noise)
    reader = read_page(folders)
    assert noise in reader.texts
    assert {f"EER over SNR in {noise}"} <= {attributes["aria-label"] for tag, attributes in reader.tags if tag == "svg"}
    assert not [tag for tag, _ in reader.tags if tag == "img"]


def test_every_link_leads_to_a_place_and_no_two_places_have_one_name(folders) -> None:
    tags = read_page(folders).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    bodies = [attributes["id"] for tag, attributes in tags if tag == "div" and attributes.get("class") == "body"]
    figures = [attributes["id"] for tag, attributes in tags if tag == "figure"]
    assert len(figures) == sum(tag == "svg" for tag, _ in tags)
    assert links[: len(bodies)] == [f"#{name}" for name in bodies]  # the contents, in the page's order
    assert {f"#{name}" for name in figures} <= set(links)


def test_what_is_essential_is_open_and_the_rest_is_folded(folders) -> None:
    tags = read_page(folders).tags
    sections = [attributes for i, (tag, attributes) in enumerate(tags) if i and tags[i - 1][0] == "section"]
    assert ["open" in attributes for attributes in sections] == [True, True] + [False] * (len(sections) - 2)


def test_the_page_is_the_same_each_time(folders) -> None:
    results = [load_results(folder) for folder in folders]
    assert page(results, lists_of(folders)) == page(results, lists_of(folders))


def test_no_colour_of_the_palette_is_left_in_a_drawing(folders) -> None:
    text = page([load_results(folder) for folder in folders], lists_of(folders))
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    for colour in ("#000000", *(own for own, _ in PALETTE.values())):
        assert not [drawing for drawing in drawings if f": {colour}" in drawing]
    assert any("var(--orange)" in drawing for drawing in drawings)


def test_a_page_without_audio_says_so_and_has_no_players(folders) -> None:
    reader = read_page(folders)
    assert "The page was made without audio." in reader.texts
    assert not [tag for tag, _ in reader.tags if tag == "audio"]


def test_the_template_is_part_of_an_installed_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["tool"]["setuptools"]["package-data"]["sv.report"] == ["*.j2"]
    assert any(line.startswith("jinja2") for line in settings["project"]["optional-dependencies"]["recipes"])


def test_nested_keys_are_dotted() -> None:
    assert flatten({"a": {"b": [1, 2], "c": {"d": None}}, "e": "x"}) == {"a.b": "[1, 2]", "a.c.d": "null", "e": '"x"'}
