import numpy as np
import pytest

from sv.data.index import UtteranceIndex, read_columns
from sv.kaldi.scp import DataDirError, read_scp, read_utt2dur, read_utt2spk

ROWS = {"a-1": ("a", 2.5), "a-2": ("a", 0.0000625), "ab-1": ("ab", 3.1), "z-x-9": ("z", 1e2), "é-1": ("é", 4.000125)}


@pytest.fixture
def data_dir(tmp_path):
    (tmp_path / "wav.scp").write_text("".join(f"{utt} /corpus of ü/{utt}.wav\n" for utt in ROWS))
    (tmp_path / "utt2spk").write_text("".join(f"{utt} {speaker}\n" for utt, (speaker, _) in ROWS.items()))
    (tmp_path / "utt2dur").write_text("".join(f"{utt} {seconds!r}\n" for utt, (_, seconds) in ROWS.items()))
    return tmp_path


def test_agrees_with_the_readers_of_the_tables(data_dir):
    index = UtteranceIndex(data_dir)
    wav_scp, utt2spk = read_scp(data_dir / "wav.scp"), read_utt2spk(data_dir / "utt2spk")
    assert [index.utterances[row] for row in range(len(index))] == list(wav_scp)
    assert [index.paths[row] for row in range(len(index))] == list(wav_scp.values())
    assert [index.speakers[speaker] for speaker in index.speaker_ids] == list(utt2spk.values())
    assert index.speakers == ["a", "ab", "z", "é"]  # by bytes, not by alphabet
    seconds = np.array(list(read_utt2dur(data_dir / "utt2dur").values()))
    np.testing.assert_array_equal(index.num_samples, np.round(seconds * 16_000))


@pytest.mark.parametrize(
    "text",
    [
        "a-1 x y\nb-1 z\n",
        "a-1  x y \nb-1\tz\n",
        "a-1 \t x y\t\r\nb-1 z\r\n",
        f"a-1{' ' * 9}x y{' ' * 99}\nb-1{' ' * 200_000}z\n",
    ],
)
def test_blanks_around_values_are_no_part_of_them(tmp_path, text):
    (tmp_path / "table").write_bytes(text.encode())
    keys, values = read_columns(tmp_path / "table")
    assert [keys[0], keys[1], values[0], values[1]] == ["a-1", "b-1", "x y", "z"]


def test_every_exact_number_of_samples_survives_the_text(tmp_path):
    num_samples = np.concatenate([np.arange(1, 2000), np.random.default_rng(0).integers(1, 10**8, 2000)])
    keys = [f"u{row:05d}" for row in range(len(num_samples))]
    (tmp_path / "wav.scp").write_text("".join(f"{key} {key}.wav\n" for key in keys))
    (tmp_path / "utt2spk").write_text("".join(f"{key} {key}\n" for key in keys))
    (tmp_path / "utt2dur").write_text("".join(f"{key} {n / 16_000!r}\n" for key, n in zip(keys, num_samples.tolist())))
    np.testing.assert_array_equal(UtteranceIndex(tmp_path).num_samples, num_samples)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("wav.scp", "", r"wav\.scp: no utterances"),
        ("wav.scp", "a-1 x\n\nb-1 y\n", r"wav\.scp:2: expected '<key> <value>'"),
        ("wav.scp", "a-1 x\nb-1\n", r"wav\.scp:2: expected '<key> <value>'"),
        ("wav.scp", "a-1 x\nb-1  \n", r"wav\.scp:2: expected '<key> <value>'"),
        ("wav.scp", "a-1 x\n b-1 y\n", r"wav\.scp:2: expected '<key> <value>'"),
        ("wav.scp", "a-1 x\nb-1 sox y.mp3 -t wav - |\n", r"wav\.scp:2: 'b-1' is a pipe; training reads files only"),
        ("wav.scp", "b-1 x\na-1 y\n", r"wav\.scp:2: 'a-1' after 'b-1'; expected byte order, each utterance once"),
        ("wav.scp", "a-1 x\na-1 y\n", r"wav\.scp:2: 'a-1' after 'a-1'"),
        ("wav.scp", "a-1 x\nb-1 y", r"wav\.scp:2: the last line has no line end"),
        ("wav.scp", "a-1 x\nb-1 y\0\n", r"wav\.scp:2: a NUL byte"),
        ("utt2dur", "a-1 1\na-2 1_0\nab-1 1\nz-x-9 1\né-1 1\n", r"utt2dur: not a number of seconds \(an underscore"),
        ("utt2spk", "a-1 a\n", r"utt2spk:2: its utterances are not those of wav\.scp, in its order, from here on"),
        ("utt2spk", "a-1 a\na-3 a\nab-1 ab\nz-x-9 z\né-1 é\n", r"utt2spk:2: its utterances are not those"),
        ("utt2dur", "a-1 1\na-2 x\nab-1 1\nz-x-9 1\né-1 1\n", r"utt2dur: not a number of seconds \(could not .*'x'\)"),
        (
            "utt2dur",
            "a-1 1\na-2 2\nab-1 -3\nz-x-9 1\né-1 1\n",
            r"utt2dur:3: .*'ab-1' must be positive seconds, got '-3'",
        ),
        (
            "utt2dur",
            "a-1 1\na-2 2\nab-1 3\nz-x-9 1\né-1 nan\n",
            r"utt2dur:5: .*'é-1' must be positive seconds, got 'nan'",
        ),
    ],
)
def test_a_bad_table_is_named_with_its_line(data_dir, name, text, message):
    (data_dir / name).write_text(text)
    with pytest.raises(DataDirError, match=message):
        UtteranceIndex(data_dir)


def test_a_table_that_is_not_utf8(data_dir):
    (data_dir / "wav.scp").write_bytes(b"a-1 x\nb-1 \xff\n")
    with pytest.raises(DataDirError, match=r"wav\.scp:2: not UTF-8 text"):
        UtteranceIndex(data_dir)


def test_a_difference_is_found_beyond_the_first_stretch_of_rows(tmp_path):
    keys = [f"u{row:06d}" for row in range(70_000)]
    (tmp_path / "one").write_text("".join(f"{key} x\n" for key in keys))
    (tmp_path / "two").write_text("".join(f"{key} x\n" for key in [*keys[:-1], "v000000"]))
    one, two = read_columns(tmp_path / "one")[0], read_columns(tmp_path / "two")[0]
    assert one.differing_row(one) is None
    assert one.differing_row(two) == 69_999
