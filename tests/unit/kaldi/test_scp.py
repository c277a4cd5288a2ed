import pytest

from sv.kaldi import DataDirError, read_spk2utt, read_table, read_utt2dur, write_table


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a 1\nb\n", "table:2: expected '<key> <value>', got 'b'"),
        (b"a 1\n\nb 2\n", "table:2: expected"),
        (b"a 1\nb 2\na 3\n", "table:3: key 'a' appears twice"),
        (b"a 1\nb \xff\n", "table:2: not UTF-8 text"),
    ],
)
def test_a_bad_line_is_named(tmp_path, content, message):
    (tmp_path / "table").write_bytes(content)
    with pytest.raises(DataDirError, match=message):
        read_table(tmp_path / "table")


def test_values_keep_their_inner_spaces(tmp_path):
    (tmp_path / "wav.scp").write_text("a sox x.wav -t wav - |\nb /p q/r.wav\n")
    assert read_table(tmp_path / "wav.scp") == {"a": "sox x.wav -t wav - |", "b": "/p q/r.wav"}


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "x"])
def test_durations_are_positive_seconds(tmp_path, text):
    (tmp_path / "utt2dur").write_text(f"a 1.5\nb {text}\n")
    with pytest.raises(DataDirError, match=r"utt2dur:2: duration of 'b' must be positive"):
        read_utt2dur(tmp_path / "utt2dur")


def test_tables_are_written_in_byte_order(tmp_path):
    write_table(tmp_path / "t", {"b": "1", "é": "2", "a-b": "3", "a": "4", "B": "5"})
    assert [line.split()[0] for line in (tmp_path / "t").read_text().splitlines()] == ["B", "a", "a-b", "b", "é"]


@pytest.mark.parametrize("key", ["", "a b", "a\n", " a"])
def test_a_key_of_several_words_is_refused(tmp_path, key):
    with pytest.raises(DataDirError, match="it must be one word"):
        write_table(tmp_path / "t", {key: "1"})
    assert not (tmp_path / "t").exists()


def test_spk2utt(tmp_path):
    (tmp_path / "spk2utt").write_text("s s-1 s-2\n")
    assert read_spk2utt(tmp_path / "spk2utt") == {"s": ["s-1", "s-2"]}
