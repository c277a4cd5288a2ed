import json
import re
import shutil
from pathlib import Path

import pytest

from sv.bin import report, score_sets

NOTE = "Synthetic corpus: not VoxCeleb1 results."


@pytest.fixture
def systems(folder, staged, trained_backend, tmp_path) -> list[Path]:
    """Two model folders with results on a clean and a noisy set."""
    names = ("test", "test-babble-snr5")
    for name in names:
        shutil.copytree(folder / "data" / "test", tmp_path / "data" / name)
    for system in ("ours", "baseline"):
        model = tmp_path / "exp" / system
        shutil.copytree(folder / "model", model)
        shutil.copytree(trained_backend, model / "backend")
        for name in names:
            (model / "embeddings" / name).mkdir(parents=True)
            for kind in ("xvector", "segments"):
                shutil.copy(staged[0] / "test" / f"{kind}.1.scp", model / "embeddings" / name / f"{kind}.scp")
        score_sets.main(["--model", str(model), *(str(tmp_path / "data" / name) for name in names)])
    return [tmp_path / "exp" / system for system in ("ours", "baseline")]


def run(systems: list[Path], *options: str) -> None:
    root = systems[0].parents[1]
    report.main(["--data", str(root / "data"), "--out", str(root / "index.html"), *options, *map(str, systems)])


def test_terminal_and_page_hold_the_same_numbers(systems, tmp_path, capsys) -> None:
    run(systems, "--note", NOTE)
    said, page = capsys.readouterr().out, (tmp_path / "index.html").read_text()
    for text in (said, page):
        assert NOTE in text
    assert all(label in said for label in ("clean", "babble 5 dB"))
    clean = next(line for line in said.splitlines() if line.startswith("clean")).split()
    assert f">{float(clean[1]):.1f}<" in page
    assert said.splitlines()[0] == NOTE
    assert said.rstrip().endswith(f"report: {tmp_path / 'index.html'}")


def test_other_test_sets_with_conditions_have_tables_of_their_own(systems, tmp_path, capsys) -> None:
    run(systems)
    assert "test:" not in capsys.readouterr().out.splitlines()  # one set needs no title
    for system in systems:
        rows = json.loads((system / "results.json").read_text())
        clean = [row for row in rows if row["condition"] == "clean"]
        rows += [row | {"test_set": "digits", "eer": 12.34} for row in rows]
        rows += [row | {"test_set": "held_out"} for row in clean]
        (system / "results.json").write_text(json.dumps(rows))
    run(systems)
    said, page = capsys.readouterr().out.splitlines(), (tmp_path / "index.html").read_text()
    assert [line for line in said if line in ("test:", "digits:", "held_out:")] == ["test:", "digits:"]
    below = said[said.index("digits:") :]
    assert len([line for line in below if line.split("  ")[0] in ("clean", "babble 5 dB") and "12.34" in line]) == 2
    assert not [line for line in said[: said.index("digits:")] if "12.34" in line]
    assert "Error rates by condition: digits" in page and "Error rates by condition: held_out" not in page


def test_other_crops_are_compared_only_if_it_is_said(systems, fails, tmp_path) -> None:
    path = systems[1] / "results.json"
    path.write_text(path.read_text().replace("segment_samples 4000", "segment_samples 9000"))
    options = ("--data", tmp_path / "data", "--out", tmp_path / "x.html")
    said = fails(report.main, *options, *systems)
    assert said == (
        "error: ours and baseline cannot share a table: on test clean (cosine) crop_scheme is consecutive, "
        "segment_samples 4000, unit_segments and consecutive, segment_samples 9000, unit_segments"
    )
    report.main([*map(str, options), "--despite", "crop_scheme", *map(str, systems)])
    assert "segment_samples 9000" in (tmp_path / "x.html").read_text()


def test_the_same_results_make_the_same_page(systems, tmp_path) -> None:
    run(systems)
    before = (tmp_path / "index.html").read_bytes()
    run(systems)
    assert (tmp_path / "index.html").read_bytes() == before


def test_recordings_lie_beside_the_page_and_those_of_an_earlier_page_go(systems, tmp_path) -> None:
    audio = tmp_path / "index-audio"
    audio.mkdir()
    for name in (f"{'0' * 16}.flac", "mine.txt"):
        (audio / name).write_text("x")
    run(systems)
    sources = re.findall(r'<audio controls preload="none" src="([^"]*)"', (tmp_path / "index.html").read_text())
    assert sources
    assert {path.name for path in audio.iterdir()} == {Path(source).name for source in sources} | {"mine.txt"}
    assert all((tmp_path / source).is_file() for source in sources)


def test_a_system_without_results_says_which_stage_makes_them(systems, fails, tmp_path) -> None:
    (systems[1] / "results.json").unlink()
    said = fails(report.main, "--data", tmp_path / "data", "--out", tmp_path / "x.html", *systems)
    assert said == f"error: {systems[1]}/results.json: not there; run stage 7 first"


def test_a_missing_score_file_is_named(systems, fails, tmp_path) -> None:
    (systems[0] / "scores" / "test" / "cosine.scores").unlink()
    said = fails(report.main, "--data", tmp_path / "data", "--out", tmp_path / "x.html", *systems)
    assert "ours/scores/test/cosine.scores" in said
    assert not (tmp_path / "x.html").exists()
