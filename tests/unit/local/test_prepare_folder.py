"""A folder of speakers or a table -> a data directory whose ids clash nowhere; or one line on what is wrong."""

import argparse
import itertools

import numpy as np
import pytest
import soundfile

from local import prepare_folder
from local.prepare_folder import prepare
from sv.base.layout import id_of
from sv.data.corpus import audio_files
from sv.kaldi import DataDirError, read_scp, read_utt2spk
from sv.kaldi.data_dir import validate_data_dir
from sv.kaldi.scp import read_table


def prepared(root, tmp_path, max_bad=0.0, name=""):
    """The data directory of a folder or table."""
    prepare(argparse.Namespace(root=root, data=tmp_path / "data", nj=1, max_bad=max_bad, name=name))
    return tmp_path / "data" / (name or root.stem)


@pytest.fixture
def calls(tmp_path, speech):
    """Two speakers, two sessions and none, three rates, three types."""
    speech(tmp_path / "calls/anna/2021/a/x.wav", seed=1)
    speech(tmp_path / "calls/anna/2021/b/x.flac", seed=2, rate=44_100, channels=2)
    speech(tmp_path / "calls/anna/y.wav", seed=3, rate=8_000)
    speech(tmp_path / "calls/ben/x.ogg", seed=4, rate=48_000)
    speech(tmp_path / "calls/ben/x.wav", seed=5)
    return tmp_path / "calls"


def test_folders_are_speakers_and_those_below_are_sessions(calls, tmp_path, capsys):
    (calls / "anna/notes.txt").write_text("no audio")
    out = prepared(calls, tmp_path)
    assert validate_data_dir(out) == []
    assert read_table(out / "utt2session") == {
        "anna-2021=2Fa-x.wav": "2021=2Fa",
        "anna-2021=2Fb-x.flac": "2021=2Fb",
        "anna-y.wav": "anna-y.wav",
        "ben-x.ogg": "ben-x.ogg",
        "ben-x.wav": "ben-x.wav",
    }
    assert set(read_utt2spk(out / "utt2spk").values()) == {"anna", "ben"}
    assert capsys.readouterr().out == "calls: 5 recordings of 2 speakers in 2 sessions\n"
    for path in read_scp(out / "wav.scp").values():  # mixed rates become one
        info = soundfile.info(path)
        assert (info.samplerate, info.channels) == (16_000, 1) and abs(info.duration - 0.5) < 0.001


def test_nothing_of_an_earlier_corpus_stays(calls, tmp_path, speech):
    assert (prepared(calls, tmp_path, name="own") / "utt2session").exists()
    for speaker, number in itertools.product("ab", "12"):
        speech(tmp_path / f"flat/{speaker}/{number}.wav")
    out = prepared(tmp_path / "flat", tmp_path, name="own")
    assert len(read_utt2spk(out / "utt2spk")) == 4 and not (out / "utt2session").exists()


ODD = [
    "a",
    "a-b",
    "a+b",
    "a b",
    "a=b",
    "a%b",
    "A",
    "..",
    "é",
    "e\u0301",
    "名前" * 20,
    "a" * 200,
    "a" * 201,
    "-",
    ".x",
    "a,b",
    "~@_",
]


def test_ids_clash_nowhere_leave_no_folder_and_sort_by_speaker():
    names = [*itertools.product(ODD, ODD), *itertools.product(ODD[:8], ODD[:8], ODD[:8])]
    ids = {id_of(*name): name for name in names}
    assert len(ids) == len(names)
    assert all("/" not in one and len(one) < 190 and one.isascii() and one.split() == [one] for one in ids)
    speakers = [id_of(ids[one][0]) for one in sorted(ids)]
    assert speakers == sorted(speakers)
    assert all(one.startswith(f"{id_of(name[0])}-") for one, name in ids.items())
    assert id_of("a/../b") == "a=2F..=2Fb" and id_of("anna", "s-1", "x.wav") == "anna-s=2D1-x.wav"


def test_odd_names_make_a_valid_directory(tmp_path, speech):
    for speaker in ("Anna", "Anna Maria", "Anna-Maria", "名前" * 25):
        for session in ("a-b", "a"):
            speech(tmp_path / "odd" / speaker / session / "b c'\"$.wav")
    out = prepared(tmp_path / "odd", tmp_path)
    assert validate_data_dir(out) == [] and len(read_utt2spk(out / "utt2spk")) == 8


def test_what_cannot_be_used_is_quarantined_by_name_up_to_a_share(calls, tmp_path, speech):
    speech(calls / "stray.wav")
    speech(calls / "ben/line\nend.wav")
    speech(calls / ".trash/old.wav")
    soundfile.write(calls / "ben/still.wav", np.zeros(8000), 16_000)
    with pytest.raises(DataDirError, match=r"3 of 8 files are bad, more than --max-bad 0\.3 allows"):
        prepared(calls, tmp_path, max_bad=0.3)
    out = prepared(calls, tmp_path, max_bad=0.4)
    rows = [line.split("\t") for line in (out / "quarantine.tsv").read_text().splitlines()]
    assert sorted((path.rpartition("/")[2], why) for _, path, why in rows) == [
        ("line\\nend.wav", "a line end in its name, or a name that is not UTF-8"),
        ("still.wav", "silent: every sample is zero"),
        ("stray.wav", "in no speaker's folder"),
    ]
    assert len(read_utt2spk(out / "utt2spk")) == 5


def test_a_name_that_is_not_utf_8_is_quarantined(calls, tmp_path):
    (calls / "ben/x.wav").rename(calls / "ben" / b"\xff.wav".decode(errors="surrogateescape"))
    out = prepared(calls, tmp_path, max_bad=0.2)
    assert "\\udcff.wav\ta line end in its name" in (out / "quarantine.tsv").read_text()


def test_a_link_upwards_is_not_followed_for_ever(calls):
    (calls / "ben/up").symlink_to(calls)
    assert len(audio_files(calls, (".wav", ".flac", ".ogg"))) == 5


@pytest.mark.parametrize(("files", "message"), [
    ([], "no audio files (.wav, .flac,"),
    (["a/notes.txt"], "no audio files (.wav, .flac,"),
    (["1.wav", "2.wav"], "2 recordings, in no speaker's folder: "),
    (["a/1.wav", "a/s/2.wav"], "one speaker, a; if those in it are speakers (s), give {root}/a; it takes one folder a speaker"),
    (["a/1.wav", "a/2.wav"], "one speaker, a; it takes one folder a speaker"),
    (["a/1.wav", "b/1.wav", "c/s/1.wav"], "3 speakers with one recording each; target trials need two of a speaker"),
    (["dev/a/1.wav", "Test/b/1.wav"], "folders that are no speakers, Test, dev; if those in it are speakers (a, b), give"),
    (["wav/a/1.wav", "wav/b/1.wav"], "one speaker, wav; if those in it are speakers (a, b), give {root}/wav"),
    (["m/1.wav", "f/1.wav"], "folders that are no speakers, f, m; it takes"),
])  # fmt: skip
def test_folders_without_speakers_are_one_line(tmp_path, files, message):
    root = tmp_path / "own"
    root.mkdir()
    for name in files:  # refused before anything is decoded
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    with pytest.raises(DataDirError) as error:
        prepared(root, tmp_path)
    assert str(error.value).startswith(f"{root}: {message.format(root=root)}")
    assert len(str(error.value).splitlines()) == 1 and not (tmp_path / "data").exists()


def test_a_table_with_and_without_sessions_and_genders(calls, tmp_path, capsys):
    table = tmp_path / "mine.csv"
    table.write_text(
        '\ufeffSpeaker, path ,gender,session,age\r\nanna,calls/anna/2021/a/x.wav,Female,one,30\r\n'
        f'"Müller, B",{calls}/ben/x.wav,male,,\r\n"Müller, B","calls/ben/x.ogg",,,\r\nanna,calls/anna/y.wav,f,two,\r\n\r\n'
    )  # fmt: skip
    out = prepared(table, tmp_path)
    ben = "M=C3=BCller=2C=20B"
    assert read_utt2spk(out / "utt2spk") == {
        f"{ben}-x.ogg": ben, f"{ben}-x.wav": ben, "anna-one-x.wav": "anna", "anna-two-y.wav": "anna",
    }  # fmt: skip
    assert read_table(out / "spk2gender") == {ben: "m", "anna": "f"}
    assert read_table(out / "utt2session")["anna-one-x.wav"] == "one"
    assert "in 2 sessions" in capsys.readouterr().out


def test_equal_names_in_two_folders_of_a_table_do_not_clash(calls, tmp_path):
    table = tmp_path / "mine.tsv"
    rows = ["anna/2021/a/x.wav\tanna", "ben/x.wav\tanna", "anna/y.wav\tben"]
    table.write_text("path\tspeaker\n" + "".join(f"calls/{row}\n" for row in rows))
    utts = list(read_utt2spk(prepared(table, tmp_path) / "utt2spk"))
    assert len(utts) == 3 and utts[2] == "ben-y.wav"
    assert all(utt.startswith("anna-x.wav=~") and len(utt) == 28 for utt in utts[:2])


@pytest.mark.parametrize(("text", "message"), [
    ("", ": empty; expected a header of path, speaker, session, gender"),
    ("path,speaker\n", ": a header and no recordings"),
    ("file,speaker\na,b\n", ":1: no column path among file, speaker; expected a header of path, speaker, session, gender"),
    ("a.wav\tanna\n", ":1: no column path or speaker among a.wav, anna; expected"),
    ("path,speaker\ncalls/ben/x.wav,ben\ncalls/ben/z.wav,ben\n", ":3: no such file {folder}/calls/ben/z.wav"),
    ("path,speaker\ncalls/ben,ben\n", ":2: no such file {folder}/calls/ben"),
    ("path,speaker\necho 1 |,ben\n", ":2: no such file {folder}/echo 1 |"),
    ("path,speaker\ncalls/ben/x.wav\n", ":2: expected 2 fields (path, speaker), got 1"),
    ("path,speaker\ncalls/ben/x.wav,\n", ":2: the speaker is empty"),
    ("path,speaker\n,ben\n", ":2: the path is empty"),
    ('path,speaker\n"calls/ben/x.wav,ben\n', ":2: unexpected end of data"),
    ("path,speaker\ncalls/ben/x.wav,ben\n./calls/ben/x.wav,anna\n", ":3: {folder}/calls/ben/x.wav stands in line 2, too"),
    ("path,speaker\ncalls/ben/x.wav,ben\ncalls/ben/x.ogg,ben\n", ": one speaker, ben; trials need two at least"),
    ("path,speaker\ncalls/ben/x.wav,ben\ncalls/ben/x.ogg,anna\n", ": 2 speakers with one recording each"),
    ("path,speaker,gender\ncalls/ben/x.wav,ben,m\ncalls/ben/x.ogg,ben,f\ncalls/anna/y.wav,a,f\n",
     ":3: ben is f, and of another gender before"),
    ("path,speaker\ncalls/ben/x.wav,\udcff\n", ":2: not UTF-8 text"),
])  # fmt: skip
def test_a_table_that_cannot_be_used_is_named_by_line(calls, tmp_path, text, message):
    table = tmp_path / "mine.csv"
    table.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DataDirError) as error:
        prepared(table, tmp_path)
    assert str(error.value).startswith(f"{table}{message.format(folder=tmp_path)}")
    assert len(str(error.value).splitlines()) == 1 and not (tmp_path / "data").exists()


def test_the_program_ends_in_one_line(run, tmp_path):
    (tmp_path / "own").mkdir()
    done = run("local/prepare_folder.py", tmp_path / "own", tmp_path / "data")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert done.stderr.startswith(f"prepare_folder.py: {tmp_path}/own: no audio files")
    assert prepare_folder.CORPUS.layouts
