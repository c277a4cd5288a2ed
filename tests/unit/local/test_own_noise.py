"""Noise folders of one's own: names, halves, refusals in one line, data directories, conditions."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from local import own_noise
from local.check_options import problem
from local.make_noisy_test import conditions_of
from local.own_noise import check, halves, own_noises
from sv.kaldi.data_dir import validate_data_dir
from sv.kaldi.scp import read_scp


def record(path: Path, seed: int = 0, rate: int = 22_050, channels: int = 2, level: float = 0.1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, level * np.random.default_rng(seed).standard_normal((rate, channels)), rate)


@pytest.fixture
def street(tmp_path) -> Path:
    """Six recordings in folders, names without digits, of other rates than ours."""
    for number, name in enumerate("abcdef"):
        record(
            tmp_path / "street" / ("a b" if number % 2 else "c") / f"horn {name}.{('wav', 'flac')[number % 2]}", number
        )
    return tmp_path / "street"


def test_names_and_folders_are_parted_at_names_alone() -> None:
    assert own_noises("") == {}
    assert own_noises("street=/a,b/c,works=/d=e") == {"street": Path("/a,b/c"), "works": Path("/d=e")}


@pytest.mark.parametrize(("text", "message"), [
    ("street", "takes NAME=DIR, as in street=/data/street, got 'street'"),
    ("street=", "takes NAME=DIR"),
    ("=/x", "a name is a letter, then letters, digits and _, got ''"),
    ("a b=/x", "got 'a b'"),
    ("5=/x", "got '5'"),
    ("a-b=/x", "got 'a-b'"),
    ("a+b=/x", "got 'a+b'"),
    ("babble=/x", "babble is the name of another noise or condition"),
    ("reverb=/x", "reverb is the name of another noise or condition"),
    ("crowd=/x", "crowd is the name of another noise or condition"),
    ("a=/x,a=/y", "a is given twice"),
])  # fmt: skip
def test_a_name_that_is_none_is_refused(text, message) -> None:
    said = problem({"noises": "noise", "snrs": "5", "noise": text})
    assert said.startswith("--noise ") and message in said and len(said.splitlines()) == 1


def test_the_halves_are_disjoint_whole_seeded_and_stay_when_a_file_comes(street) -> None:
    parts = halves("street", street, 0)
    files = sorted(path for part in parts.values() for path in part)
    assert files == sorted(path for path in street.rglob("*") if path.is_file()) and all(parts.values())
    assert any(halves("street", street, seed) != parts for seed in range(1, 9))
    record(street / "new.wav", 9)
    later = halves("street", street, 0)
    assert all(set(parts[part]) <= set(later[part]) for part in parts)
    moved = street.rename(street.parent / "elsewhere")
    names = {part: {str(path.relative_to(moved)) for path in own} for part, own in halves("street", moved, 0).items()}
    assert names == {part: {str(path.relative_to(street)) for path in own} for part, own in later.items()}


def test_two_recordings_are_one_in_each_half_whatever_the_seed(tmp_path) -> None:
    for name in "ab":
        record(tmp_path / f"{name}.wav")
    for seed in range(20):
        assert [len(part) for part in halves("x", tmp_path, seed).values()] == [1, 1]


@pytest.mark.parametrize(("names", "message"), [
    ([], "holds no audio files (.wav, "),
    (["one.wav"], "holds one recording, and training and tests may not hear the same one; add another, or cut it"),
])  # fmt: skip
def test_too_few_recordings(tmp_path, names, message) -> None:
    for name in names:
        record(tmp_path / name)
    said = problem({"noises": "", "snrs": "", "noise": f"x={tmp_path}"})
    assert said.startswith("--noise x: ") and message in said
    assert problem({"noises": "", "snrs": "", "noise": f"x={tmp_path}", "stage": "5"}) == ""


def test_silence_and_a_missing_folder(tmp_path) -> None:
    for name in "abcd":
        record(tmp_path / "still" / f"{name}.wav", level=0.0)
    with pytest.raises(ValueError, match=r"--noise x: none of the \d recordings for training can be used: .*silent"):
        check(f"x={tmp_path}/still", 0)
    assert problem({"noise": f"x={tmp_path}/none"}) == f"--noise x: takes a folder that is there, got '{tmp_path}/none'"


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (8_000, 2), (16_000, 2), (48_000, 1)])
def test_other_rates_and_channels_are_converted(tmp_path, rate, channels) -> None:
    for number in range(3):
        record(tmp_path / "x" / f"{number}.wav", number, rate, channels)
    assert problem({"noises": "", "snrs": "5", "noise": f"x={tmp_path}/x"}) == ""
    own_noise.main(["--noise", f"x={tmp_path}/x", str(tmp_path / "data")])
    tables = [read_scp(tmp_path / f"data/noise_x_{part}/wav.scp") for part in ("train", "test")]
    found = [soundfile.info(path) for table in tables for path in table.values()]
    assert [(one.samplerate, one.channels) for one in found] == [(16_000, 1)] * 3
    assert all(one.frames == pytest.approx(16_000, abs=2) for one in found)  # a second each


def test_silence_among_recordings_is_more_than_may_be_bad(tmp_path) -> None:
    for number in range(4):
        record(tmp_path / "x" / f"{number}.wav", number, level=0.1 * (number % 2))
    with pytest.raises(SystemExit) as failure:
        own_noise.main(["--noise", f"x={tmp_path}/x", str(tmp_path / "data")])
    said = str(failure.value)
    assert said.startswith("own_noise.py: ") and len(said.splitlines()) == 1 and "bad" in said


def test_data_directories_and_conditions(street, tmp_path, monkeypatch) -> None:
    own_noise.main(["--noise", f"street={street}", str(tmp_path / "data")])
    keys = {}
    for part in ("train", "test"):
        folder = tmp_path / f"data/noise_street_{part}"
        assert validate_data_dir(folder) == []
        keys[part] = set(read_scp(folder / "wav.scp"))
        assert all(soundfile.info(path).samplerate == 16_000 for path in read_scp(folder / "wav.scp").values())
    assert not keys["train"] & keys["test"] and "a%20b%2Fhorn%20b.flac" in keys["train"] | keys["test"]
    assert conditions_of("noise", "0,5", f"street={street}") == [
        ("noise", 0.0), ("noise", 5.0), ("street", 0.0), ("street", 5.0),
    ]  # fmt: skip


def test_it_lists_for_the_recipe(capsys) -> None:
    own_noise.main(["--list", "--noise", "a=/x,b=/y", "data"])
    assert capsys.readouterr().out == "a=/x\nb=/y\n"
    with pytest.raises(SystemExit, match=r"own_noise\.py: --noise: takes NAME=DIR"):
        own_noise.main(["--list", "--noise", "a", "data"])
