import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

from sv.results.comparison import compare
from sv.results.folder import ScoreLists, load_results


@pytest.fixture
def folders(tmp_path, write_folders) -> list[Path]:
    return write_folders(tmp_path, {"ours": 3.0, "baseline": 1.5})


@pytest.fixture
def lists(tmp_path) -> ScoreLists:
    return ScoreLists(tmp_path / "data")


def test_the_hardest_shared_condition_is_shown_beside_clean(folders) -> None:
    comparison = compare([load_results(folder).rows for folder in folders])[0]
    clean, hardest = comparison.shown
    means = {rows[0]["condition"]: sum(row["eer"] for row in rows) for rows in comparison.shared}
    assert clean[0]["condition"] == "clean"
    assert means[hardest[0]["condition"]] == max(means.values())


def test_speakers_are_numbered_as_they_are_named(folders, lists) -> None:
    result = load_results(folders[0])
    item = lists.of(result, result.rows[0])
    (left, right), names = item.speakers()
    assert [names[i] for i in left] == [utt[:3] for utt in item.trials.enrolment]
    assert [names[i] for i in right] == [utt[:3] for utt in item.trials.test]


def test_trials_that_changed_since_scoring_are_refused(folders, lists) -> None:
    trials = folders[0].parents[1] / "data" / "test" / "trials"
    trials.write_text(trials.read_text().replace("nontarget", "target", 1))
    with pytest.raises(ValueError, match=r"data/test/trials: changed since ours was scored on it; run stage 7 again"):
        lists.of(load_results(folders[0]), load_results(folders[0]).rows[0])


def test_results_without_rows_are_refused(folders) -> None:
    (folders[0] / "results.json").write_text("[]")
    with pytest.raises(ValueError, match=r"results.json holds no rows; run stage 7 again"):
        load_results(folders[0])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("train.jsonl", '{"step": 1}\n{"st', r"train.jsonl:2: not a JSON record \(.*\); remove the line"),
        ("config.json", "{", r"config.json: Expecting property name"),
        ("breakdown.json", "[", r"breakdown.json: Expecting value"),
        ("results.json", "\x00", r"results.json: Expecting value.*; remove it and score again"),
    ],
)
def test_a_file_of_another_origin_is_named(folders, name, text, message) -> None:
    (folders[0] / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        load_results(folders[0])


OPENED: Counter[str] = Counter()
WATCHED: list[str] = []  # the folder whose files are counted; hooks cannot be removed again


def count_opened(event: str, arguments: tuple) -> None:
    if event == "open" and WATCHED and str(arguments[0]).startswith(WATCHED[0]):
        OPENED[str(Path(arguments[0]).relative_to(WATCHED[0]))] += 1


@pytest.fixture
def opened(tmp_path) -> Counter[str]:
    """Number of times that each file below tmp_path is opened."""
    if not getattr(count_opened, "installed", False):
        sys.addaudithook(count_opened)
        count_opened.installed = True
    OPENED.clear()
    WATCHED[:] = [f"{tmp_path}/"]
    yield OPENED
    WATCHED.clear()


def test_a_file_is_read_once_however_often_its_scores_are_asked_for(folders, lists, opened) -> None:
    results = [load_results(folder) for folder in folders]
    shared = compare([result.rows for result in results])[0].shared
    first, again = lists.by_condition(results, shared), lists.by_condition(results, shared)
    assert all(a is b for one, other in zip(first, again) for a, b in zip(one, other))
    read = {name: count for name, count in opened.items() if not name.startswith("exp/") or name.endswith(".scores")}
    assert len(read) == 5 * (2 + 2)  # five sets: scores of two systems, trials and utt2spk
    assert read.pop("data/test/trials") == 2  # digested, then parsed for all sets, whose trials are the same
    assert set(read.values()) == {1}
    assert len({id(item.trials) for own in first for item in own}) == 1


def test_scores_that_nobody_uses_are_let_go_and_other_trials_are_others(folders, lists, opened) -> None:
    result = load_results(folders[0])
    row = result.rows[0]
    for _ in range(2):
        lists.of(result, row)
    assert opened["exp/ours/scores/test/cosine.scores"] == 2
    shutil.rmtree(folders[0].parents[1] / "data" / "test-noise-snr0")
    with pytest.raises(FileNotFoundError, match="data/test-noise-snr0/trials"):
        lists.of(result, next(each for each in result.rows if each["condition"] == "noise-snr0"))
