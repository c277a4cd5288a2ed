"""Databases of voices: sv enrol and sv identify."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sv.base.config import ConfigError
from sv.base.files import sha256_of
from sv.bin import enrol as enrol_command
from sv.bin import identify
from sv.embed import database
from sv.embed.database import enrol, ranked, read_database
from sv.embed.opening import ModelSource, find_source
from sv.kaldi import DataDirError, read_vectors
from sv.kaldi.scp import read_num_utts


@pytest.fixture
def source(voices) -> ModelSource:
    return find_source(voices / "model")


def vectors(*rows: tuple[float, ...]) -> list[np.ndarray]:
    return [np.array(row, dtype=np.float32) for row in rows]


def test_means_and_counts_are_in_kaldis_formats(source, tmp_path) -> None:
    assert enrol(tmp_path / "db", source, "zoë", vectors((1, 0), (0, 3))) == (2, 1)
    assert enrol(tmp_path / "db", source, "al", vectors((5, 5))) == (1, 2)
    found = read_vectors(tmp_path / "db" / "spk_xvector.scp")
    assert {name: vector.tolist() for name, vector in found.items()} == {"al": [5, 5], "zoë": [0.5, 1.5]}
    assert read_num_utts(tmp_path / "db" / "num_utts") == {"al": 1, "zoë": 2}
    record, means = read_database(tmp_path / "db", source)
    assert record.checkpoint_sha256 == sha256_of(source.weights)
    assert means.keys() == found.keys()
    assert len(list((tmp_path / "db").glob("*.ark"))) == 1  # older ones are gone


def test_a_speaker_is_enrolled_once_or_added_to(source, tmp_path) -> None:
    enrol(tmp_path, source, "al", vectors((1, 0), (3, 0)))
    with pytest.raises(ConfigError, match="al is enrolled already, from 2 recordings; --add adds to them"):
        enrol(tmp_path, source, "al", vectors((9, 9)))
    assert enrol(tmp_path, source, "al", vectors((2, 6)), add=True) == (3, 1)
    assert read_database(tmp_path, source)[1]["al"].tolist() == [2, 2]
    assert enrol(tmp_path, source, "bo", vectors((1, 1)), add=True) == (1, 2)


def test_another_model_is_refused(source, voices, tmp_path) -> None:
    enrol(tmp_path / "db", source, "al", vectors((1, 0)))
    other = tmp_path / "other"
    shutil.copytree(voices / "model", other)
    best = other / "checkpoints" / "best.pt"
    best.write_bytes(best.read_bytes() + b"\0")
    for act in (lambda: read_database(tmp_path / "db", find_source(other)),
                lambda: enrol(tmp_path / "db", find_source(other), "bo", vectors((1, 0)))):  # fmt: skip
        with pytest.raises(ConfigError, match=r"made with other weights \(model, .*\) than those of other"):
            act()
    assert read_database(tmp_path / "db", source)[1].keys() == {"al"}


def test_what_is_no_database_is_said(source, tmp_path) -> None:
    with pytest.raises(ConfigError, match="not a database of voices; sv enrol makes one"):
        read_database(tmp_path / "none", source)
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(ConfigError, match="notes: a file; a database of voices is a folder"):
        enrol(tmp_path / "notes", source, "al", vectors((1, 0)))
    with pytest.raises(ConfigError, match="holds notes and no database of voices"):
        enrol(tmp_path, source, "al", vectors((1, 0)))
    with pytest.raises(DataDirError, match="'two words' cannot be a key"):
        enrol(tmp_path / "db", source, "two words", vectors((1, 0)))
    enrol(tmp_path / "db", source, "al", vectors((1, 0)))
    (ark,) = (tmp_path / "db").glob("*.ark")
    ark.write_bytes(ark.read_bytes()[:-1])
    with pytest.raises(DataDirError, match="the database is damaged"):
        read_database(tmp_path / "db", source)
    (tmp_path / "db" / "database.json").write_text("{")
    with pytest.raises(ConfigError, match=r"database\.json"):
        read_database(tmp_path / "db", source)


@pytest.mark.parametrize("step", ["write_json", "write_table"])
def test_an_interrupted_change_leaves_a_whole_database(source, tmp_path, monkeypatch, step) -> None:
    enrol(tmp_path, source, "al", vectors((1, 0)))

    def fail(*arguments: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(database, step, fail)
    with pytest.raises(OSError, match="no space left"):
        enrol(tmp_path, source, "bo", vectors((0, 1)))
    monkeypatch.undo()
    before_or_after = {"write_json": {"al"}, "write_table": {"al", "bo"}}[step]
    assert read_database(tmp_path, source)[1].keys() == before_or_after
    assert read_vectors(tmp_path / "spk_xvector.scp").keys() == {"al"}  # its archive is still there
    enrol(tmp_path, source, "cy", vectors((1, 1)))
    assert read_vectors(tmp_path / "spk_xvector.scp").keys() == before_or_after | {"cy"}
    assert len(list(tmp_path.glob("*.ark"))) == 1


def test_the_nearest_comes_first_and_equals_by_name() -> None:
    means = {"b": np.array([1.0, 0]), "a": np.array([2.0, 0]), "c": np.array([1.0, 1])}
    found = ranked(means, np.array([0.0, 3.0]))
    assert [name for name, _ in found] == ["c", "a", "b"]
    assert [score for _, score in found] == pytest.approx([0.5**0.5, 0, 0])


def command(main, *arguments: object) -> None:
    main([str(argument) for argument in arguments])


def test_the_commands_find_who_speaks(voices, tmp_path, capsys) -> None:
    model, db = ("--model", voices / "model"), tmp_path / "db"
    command(enrol_command.main, *model, db, "al", voices / "a.wav")
    command(enrol_command.main, *model, db, "bo", voices / "b.wav", voices / "c.wav")
    assert capsys.readouterr().out.splitlines() == [
        f"al: 1 recordings; {db}: 1 speakers",
        f"bo: 2 recordings; {db}: 2 speakers",
    ]
    command(identify.main, *model, db, voices / "a.wav")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1.0000  al" and lines[-1] == "decision   none: scores are uncalibrated"
    command(identify.main, *model, "--top", 1, "--json", db, voices / "a.wav")
    found = json.loads(capsys.readouterr().out)
    assert (found["decision"], len(found["speakers"]), found["speakers"][0]["speaker"]) == (None, 1, "al")
    assert found["speech_seconds"] == 0  # noise
    place = tmp_path / "mine.json"
    hash_ = sha256_of(voices / "model" / "checkpoints" / "best.pt")
    for threshold, who in ((0.999, "al"), (1.001, "nobody")):
        place.write_text(json.dumps({"threshold": threshold, "checkpoint_sha256": hash_}))
        command(identify.main, *model, "--threshold", place, db, voices / "a.wav")
        assert capsys.readouterr().out.splitlines()[-1] == f"decision   {who}"


def test_the_commands_refuse(voices, tmp_path, capsys) -> None:
    model, db = ("--model", voices / "model"), tmp_path / "db"

    def refused(main, *arguments: object, code: int | None = None) -> str:
        with pytest.raises(SystemExit) as exit_:
            command(main, *model, *arguments)
        if code:
            assert exit_.value.code == code
            return capsys.readouterr().err
        assert "\n" not in exit_.value.code
        return exit_.value.code

    assert "a recording is given twice" in refused(enrol_command.main, db, "al", *[voices / "a.wav"] * 2, code=2)
    assert "not a database of voices" in refused(identify.main, db, voices / "a.wav")
    short = tmp_path / "short.wav"
    soundfile.write(short, 0.1 * np.ones(100), 16_000)
    assert "cannot use" in refused(enrol_command.main, db, "al", voices / "a.wav", short)
    assert not db.exists()
    command(enrol_command.main, *model, db, "al", voices / "a.wav")
    assert "enrolled already" in refused(enrol_command.main, db, "al", voices / "b.wav")
    assert "argument --top: takes a whole number from 1" in refused(
        identify.main, "--top", 0, db, voices / "a.wav", code=2
    )
    assert "no speech in it" in refused(identify.main, "--vad", "silero", db, voices / "a.wav")
    assert Path(db / "database.json").is_file()
