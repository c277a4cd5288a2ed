"""Keys of what `sv embed` is given."""

import os
from pathlib import Path

import pytest

from sv.bin import embed
from sv.embed.naming import keys_of, named_inputs
from sv.kaldi import DataDirError, read_vectors, write_table


def touch(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [folder / name for name in names]


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (("x/a.wav", "y/b.wav"), ["a", "b"]),
        (("x/a.wav", "y/a.wav"), ["x-a", "y-a"]),
        (("id1/vid/00001.wav", "id1/vod/00001.wav", "id1/vod/00002.wav"), ["vid-00001", "vod-00001", "vod-00002"]),
        (("a.wav", "x/a.wav"), ["a", "x-a"]),
        (("x-y/a.wav", "x/y-a.wav", "z/a.wav"), ["x-y%2Fa.wav", "x%2Fy-a.wav", "z%2Fa.wav"]),
        (("x/a.wav", "x/a.flac"), ["a.wav", "a.flac"]),
        (("my voice.wav", "zoë.wav"), ["my%20voice", "zoë"]),
        (("a.b.wav", "a.c.wav"), ["a.b", "a.c"]),
    ],
)
def test_keys_are_names_or_else_paths_below_what_is_shared(tmp_path, monkeypatch, names, keys) -> None:
    files = touch(tmp_path, *names)
    assert list(keys_of(files).values()) == keys
    monkeypatch.chdir(tmp_path)
    assert list(keys_of([Path(name) for name in names]).values()) == keys


def test_a_folder_is_walked(tmp_path) -> None:
    touch(tmp_path, "s1/00001.wav", "s2/00001.FLAC", "s2/notes.txt", "s2/.hidden.wav", ".git/x.wav", "top.m4a")
    found = named_inputs([tmp_path])
    assert list(found) == ["s1-00001", "s2-00001", "top"]
    assert found["s2-00001"][0] == str(tmp_path / "s2/00001.FLAC")


def test_a_data_directory_is_its_wav_scp(tmp_path) -> None:
    touch(tmp_path, "other.wav")
    write_table(tmp_path / "wav.scp", {"utt": "/x/one.wav"})
    assert named_inputs([tmp_path]) == {"utt": ("/x/one.wav", tmp_path / "wav.scp")}


def test_what_cannot_be_named_is_said(tmp_path) -> None:
    (wav,) = touch(tmp_path, "a.wav")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataDirError, match=r"empty: no audio file and no wav\.scp in it"):
        named_inputs([tmp_path / "empty"])
    with pytest.raises(DataDirError, match=r"a\.wav: given twice"):
        named_inputs([wav, tmp_path / "empty" / ".." / "a.wav"])
    with pytest.raises(DataDirError, match=r"a\.wav: given twice"):
        named_inputs([wav, tmp_path])
    write_table(tmp_path / "x.scp", {"a": "/x/one.wav"})
    with pytest.raises(DataDirError, match=r"x\.scp: key 'a' appears twice; rename it in one of the tables"):
        named_inputs([wav, tmp_path / "x.scp"])


def test_a_pattern_is_what_it_matches_and_folders_are_walked(tmp_path, monkeypatch) -> None:
    touch(
        tmp_path, "s1/v/00001.wav", "s1/v/00002.wav", "s2/v/00001.flac", "s2/v/n.txt", "s3[x]/v/00003.wav", ".h/v/4.wav"
    )
    write_table(tmp_path / "kaldi" / "wav.scp", {"utt": "/x/one.wav"})
    monkeypatch.chdir(tmp_path)

    def keys(*patterns: str) -> list[str]:
        return list(named_inputs([Path(pattern) for pattern in patterns]))

    assert keys("s*/*/*.wav") == ["00001", "00002", "00003"]
    assert keys("s[12]/v/0*1.*") == ["s1-v-00001", "s2-v-00001"]
    assert keys("**/*.wav", "s2") == ["s1-v-00001", "s1-v-00002", "s2-v-00001", "s3[x]-v-00003"]
    assert keys("s?") == ["s1-v-00001", "s1-v-00002", "s2-v-00001"]
    assert keys("**") == keys("*") == ["s1-v-00001", "s1-v-00002", "s2-v-00001", "s3[x]-v-00003", "utt"]
    assert keys("k*/wav.scp") == keys("k*") == ["utt"]
    assert keys("s3[x]") == ["00003"]  # a name that is there is no pattern
    with pytest.raises(DataDirError, match=r"^s1/\*\.opus: matches nothing$"):
        keys("s1/*.opus")
    with pytest.raises(DataDirError, match=r"00001\.wav: given twice"):
        keys("s1/v/*1.wav", "s1/*/*.wav")


@pytest.mark.parametrize("name", ["files.txt", "files.lst", "files.list", "files", "files.csv"])
def test_a_list_names_files_from_where_the_command_is_run(tmp_path, monkeypatch, name) -> None:
    touch(tmp_path, "s1/00001.wav", "s2/00001.wav", "my voice.wav")
    (tmp_path / "lists").mkdir()
    text = f"\ufeffs1/00001.wav\r\n{tmp_path}/s2/00001.wav\n\nmy voice.wav\n\n"
    (tmp_path / "lists" / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found = named_inputs([Path("lists", name)])
    assert found == {
        "my%20voice": ("my voice.wav", Path("lists", name)),
        "s1-00001": ("s1/00001.wav", Path("lists", name)),
        "s2-00001": (f"{tmp_path}/s2/00001.wav", Path("lists", name)),
    }


def test_a_list_can_come_through_a_pipe(tmp_path) -> None:
    (wav,) = touch(tmp_path, "a.wav")
    reading, writing = os.pipe()
    os.write(writing, f"{wav}\n".encode())
    os.close(writing)
    assert list(named_inputs([Path(f"/dev/fd/{reading}")])) == ["a"]
    os.close(reading)


def test_inputs_of_all_kinds_are_named_by_one_rule(tmp_path) -> None:
    a, b, *_ = touch(tmp_path, "one/1.wav", "two/1.wav", "three/1.wav", "four/x/1.wav")
    (tmp_path / "list.txt").write_text(f"{b}\n")
    write_table(tmp_path / "wav.scp", {"utt": "/x/one.wav"})
    given = [a, tmp_path / "list.txt", tmp_path / "three", tmp_path / "four" / "*", tmp_path / "wav.scp"]
    assert list(named_inputs(given)) == ["four-x-1", "one-1", "three-1", "two-1", "utt"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.wav\nb.wav\n", r"^l\.txt:2: no file 'b\.wav'; a list has one path a line, from /.* if relative$"),
        ("\na.wav\ntouch ran |\n", r"^l\.txt:3: no file 'touch ran \|'; "),
        ("utt a.wav\n", r"^l\.txt:1: no file 'utt a\.wav'; "),
        ("folder\n", r"^l\.txt:1: folder is a folder; a list names files, give the folder itself$"),
        ("\n \n", r"^l\.txt: no file in this list$"),
        ("", r"^l\.txt: no file in this list$"),
        ("a.wav\n\udcff.wav\n", r"^l\.txt:2: not UTF-8 text$"),
        ("a.wav\n./a.wav\n", r"a\.wav: given twice$"),
    ],
)
def test_a_bad_list_is_said_with_its_line(tmp_path, monkeypatch, text, said) -> None:
    touch(tmp_path, "a.wav", "folder/b.wav")
    (tmp_path / "l.txt").write_text(text, encoding="utf-8", errors="surrogateescape")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataDirError, match=said):
        named_inputs([Path("l.txt")])


def test_what_is_missing_in_a_list_can_be_left_to_reading_but_no_command(tmp_path) -> None:
    (wav,) = touch(tmp_path, "a.wav")
    (tmp_path / "l.txt").write_text(f"{wav}\n{tmp_path}/b.wav\n")
    assert list(named_inputs([tmp_path / "l.txt"], skip_missing=True)) == ["a", "b"]
    (tmp_path / "l.txt").write_text("touch ran |\n")
    with pytest.raises(DataDirError, match=r"l\.txt:1: no file 'touch ran \|'"):
        named_inputs([tmp_path / "l.txt"], skip_missing=True)


def test_sv_embed_says_what_it_wrote(voices, tmp_path, capsys) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "00001.wav").symlink_to(voices / f"{'a' if folder == 'one' else 'b'}.wav")
    out = tmp_path / "out.ark"
    embed.main(["--model", str(voices / "model"), str(tmp_path / "one"), str(tmp_path / "two"), str(out)])
    assert capsys.readouterr().out == f"2 recordings, 12 dimensions, {out}\n"
    assert list(read_vectors(out.with_suffix(".scp"))) == ["one-00001", "two-00001"]
