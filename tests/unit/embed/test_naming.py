"""Keys of what `sv embed` is given."""

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


def test_sv_embed_says_what_it_wrote(voices, tmp_path, capsys) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "00001.wav").symlink_to(voices / f"{'a' if folder == 'one' else 'b'}.wav")
    out = tmp_path / "out.ark"
    embed.main(["--model", str(voices / "model"), str(tmp_path / "one"), str(tmp_path / "two"), str(out)])
    assert capsys.readouterr().out == f"2 recordings, 12 dimensions, {out}\n"
    assert list(read_vectors(out.with_suffix(".scp"))) == ["one-00001", "two-00001"]
