import pytest

from sv.kaldi import DataDirError, open_ark_scp, read_spk2utt, read_table, read_utt2dur, read_utt2spk, write_table
from sv.kaldi.specifiers import open_records


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


@pytest.mark.parametrize("value", ["/a\nb 1.wav", " x.wav", "x.wav ", "a\0b", "/a/\udcff.wav", "x\r"])
def test_a_value_that_would_break_its_line_is_refused(tmp_path, value):
    with pytest.raises(DataDirError, match=r"/table'.*cannot stand on a line of a table"):
        write_table(tmp_path / "table", {"a": "fine", "b": value})
    assert list(tmp_path.iterdir()) == []


def test_an_ark_that_no_scp_can_name_is_refused(tmp_path):
    for name in ("two\nlines", "\udcff"):
        folder = tmp_path / name
        with (
            pytest.raises(DataDirError, match="cannot stand on a line of a table"),
            open_ark_scp(folder / "x.ark", folder / "x.scp"),
        ):
            pass
        with (
            pytest.raises(DataDirError, match="cannot stand on a line of a table"),
            open_records(f"ark,scp:{folder}/x.ark,{tmp_path}/x.scp"),
        ):
            pass
        assert list(tmp_path.iterdir()) == []


def test_the_middle_of_a_long_message_is_left_out(tmp_path):
    (tmp_path / "utt2dur").write_text("a " + "x " * 200_000 + "\n")
    (tmp_path / "utt2spk").write_text("a " + "x " * 200_000 + "\n")
    for read, message in (
        (read_utt2dur, "utt2dur:1: duration of 'a'"),
        (read_utt2spk, "utt2spk:1: the speaker of 'a' must be one word"),
    ):
        with pytest.raises(DataDirError, match=message) as raised:
            read(tmp_path / message.partition(":")[0])
        assert len(str(raised.value)) < 1200


@pytest.mark.parametrize("text", ["1e10", "1e300", "1e400"])
def test_a_duration_of_centuries_is_none(tmp_path, text):
    (tmp_path / "utt2dur").write_text(f"a {text}\n")
    with pytest.raises(DataDirError, match="utt2dur:1: duration of 'a' must be positive seconds, got"):
        read_utt2dur(tmp_path / "utt2dur")
