"""The four lists: their making, their text, their reading."""

from collections import Counter

import pytest

from sv.data.trial_lists import sessions_of, trial_list
from sv.enhancement.lists import distribution_list, normal_list, read_list, read_test_list, triplet_list, write_list
from sv.kaldi import DataDirError


def corpus(**speakers: dict[str, int]) -> dict[str, str]:
    """Utterances of each speaker: session -> how many."""
    return {
        f"{speaker}-{session}-{number:05d}": speaker
        for speaker, sessions in speakers.items()
        for session, count in sessions.items()
        for number in range(count)
    }


UTT2SPK = corpus(id1={"x": 3, "y_-z": 4}, id2={"x": 5}, id3={"a": 2, "b": 2, "c": 5})


def test_sessions_are_the_middle_of_the_ids() -> None:
    sessions = sessions_of(UTT2SPK)
    assert sessions["id1-y_-z-00003"] == "y_-z"
    assert sessions["id2-x-00000"] == "x"
    with pytest.raises(DataDirError, match="utterance 'id1-00001' does not tell its session"):
        sessions_of({"id1-00001": "id1"})


def test_normal_list_holds_every_utterance_once() -> None:
    assert normal_list(UTT2SPK) == sorted((spk, utt) for utt, spk in UTT2SPK.items())


def test_triplet_list_names_another_speaker_each_equally_often() -> None:
    utt2spk = corpus(**{f"id{i}": {"s": 200} for i in range(5)})
    lines = triplet_list(utt2spk, seed=0)
    assert [line[1] for line in lines] == sorted(utt2spk)
    others = Counter(line[2] for line in lines if line[0] == "id2")
    assert set(others) == {"id0", "id1", "id3", "id4"}
    assert min(others.values()) > 30
    assert triplet_list(utt2spk, seed=0) == lines != triplet_list(utt2spk, seed=1)


def test_a_line_does_not_depend_on_the_others() -> None:
    fewer = {utt: spk for utt, spk in UTT2SPK.items() if utt != "id2-x-00000"}
    lines = dict.fromkeys(triplet_list(UTT2SPK, seed=3))
    assert all(line in lines for line in triplet_list(fewer, seed=3))


def test_test_list_has_four_partners_of_each_kind_in_turn() -> None:
    lines = trial_list(UTT2SPK, seed=0)
    assert len(lines) == 8 * len(UTT2SPK)
    for first in range(0, len(lines), 8):
        block = lines[first : first + 8]
        assert [line[0] for line in block] == ["1", "0"] * 4
        utt = block[0][1]
        assert {line[1] for line in block} == {utt}
        for flag in "10":
            partners = [line[2] for line in block if line[0] == flag]
            assert len(set(partners)) == 4 and utt not in partners
            assert all((UTT2SPK[other] == UTT2SPK[utt]) == (flag == "1") for other in partners)


def test_distribution_list_pairs_within_then_across_sessions() -> None:
    lines, left_out = distribution_list(UTT2SPK, sessions_of(UTT2SPK), seed=0)
    assert left_out == ["id2"]
    sessions = sessions_of(UTT2SPK)
    kinds = [line[3] for line in lines]
    assert kinds == sorted(kinds, reverse=True)
    within = [line[1:3] for line in lines if line[0] == "id1" and line[3] == "1"]
    assert within == [
        ("id1-x-00000", "id1-x-00001"),
        ("id1-y_-z-00000", "id1-y_-z-00001"),
        ("id1-y_-z-00002", "id1-y_-z-00003"),
    ]
    for speaker, count in (("id1", 3), ("id3", 4)):
        across = [line[1:3] for line in lines if line[0] == speaker and line[3] == "0"]
        assert len(across) == count
        assert all(sessions[one] != sessions[other] for one, other in across)
        used = [utt for pair in across for utt in pair]
        assert len(set(used)) == len(used)


def test_across_sessions_takes_from_the_smallest_and_the_largest_until_one_is_left() -> None:
    utt2spk = corpus(id1={"a": 1, "b": 2, "c": 6})
    lines, _ = distribution_list(utt2spk, sessions_of(utt2spk), seed=0)
    sessions = sessions_of(utt2spk)
    across = [{sessions[line[1]], sessions[line[2]]} for line in lines if line[3] == "0"]
    assert across == [{"a", "c"}, {"b", "c"}, {"b", "c"}]  # 4 within, but only 3 others to pair with


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: trial_list(corpus(id1={"x": 4}, id2={"x": 9}), 0),
            r"needs 5 utterances .* 1 have fewer, e.g. \['id1'\]",
        ),
        (lambda: trial_list(corpus(id1={"x": 9}), 0), "a test list needs two speakers or more"),
        (lambda: triplet_list(corpus(id1={"x": 4}), 0), "a triplet list needs two speakers or more, got 1"),
    ],
)
def test_corpora_that_make_no_list_are_named(make, message) -> None:
    with pytest.raises(DataDirError, match=message):
        make()


def test_what_is_written_is_read_back(tmp_path) -> None:
    pairs, _ = distribution_list(UTT2SPK, sessions_of(UTT2SPK), seed=0)
    made = {
        "normal": normal_list(UTT2SPK),
        "test": trial_list(UTT2SPK, 0),
        "triplet": triplet_list(UTT2SPK, 0),
        "distribution": pairs,
    }
    for kind, lines in made.items():
        write_list(tmp_path / "list.txt", lines)
        assert read_list(tmp_path / "list.txt", kind) == lines


def test_published_files_are_utterances(tmp_path) -> None:
    (tmp_path / "list.txt").write_text("id1 id1/abc/00001.wav id1/de-f/00002.npy 1\n")
    assert read_list(tmp_path / "list.txt", "distribution") == [("id1", "id1-abc-00001", "id1-de-f-00002", "1")]
    (tmp_path / "test.txt").write_text("1 id1/abc/00001.wav id1/x/00002.wav\n0 a b\n")
    trials = read_test_list(tmp_path / "test.txt")
    assert (trials.enrolment, trials.test) == (["id1-abc-00001", "a"], ["id1-x-00002", "b"])
    assert trials.is_target.tolist() == [True, False]


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("normal", "id1 a\nid1\n", "list.txt:2: expected '<speaker> <utterance>', got 'id1'"),
        ("test", "2 a b\n", "list.txt:1: expected '<0 or 1> <utterance> <utterance>', got '2 a b'"),
        ("distribution", "id1 a b yes\n", "list.txt:1: expected '<speaker> <utterance> <utterance> <0 or 1>'"),
        ("triplet", "", "list.txt: no lines"),
    ],
)
def test_bad_lines_are_named(kind, text, message, tmp_path) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(DataDirError, match=message):
        read_list(tmp_path / "list.txt", kind)
