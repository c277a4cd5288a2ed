import pytest

from sv.kaldi.score_files import find_layout, iter_scores
from sv.kaldi.scp import DataDirError

KNOWN = {"a", "b", "c", "d"}


@pytest.fixture
def read(tmp_path):
    """read(text) -> rows of a score file, without line numbers."""

    def rows(text: str):
        path = tmp_path / "scores"
        path.write_text(text)
        return [row[1:] for row in iter_scores(path, find_layout(path, KNOWN))]

    return rows


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("a b 1.5\nc d -2\n", None),  # Kaldi
        ("a b 1.5 target\nc d -2 nontarget\n", True),  # WeSpeaker
        ("a b 1 1.5\nc d 0 -2\n", True),  # SpeechBrain
        ("1.5 a b\n-2 c d\n", None),  # VoxSRC
        ("a,b,1.5\nc,d,-2\n", None),
        ("a\tb\t1.5\n c ; d;-2 \n", None),
        ("modelid\tsegmentid\tside\tLLR\na\tb\tx\t1.5\nc\td\tx\t-2\n", None),  # NIST
        ("enrol test score\na b 1.5\nc d -2\n", None),
    ],
)
def test_what_toolkits_write(read, text, label) -> None:
    labels = (None, None) if label is None else (True, False)
    assert read(text) == [("a", "b", 1.5, labels[0]), ("c", "d", -2.0, labels[1])]


def test_scores_that_look_like_labels_are_scores_if_there_is_nothing_else(read) -> None:
    assert read("a b 1\nc d 0\n") == [("a", "b", 1.0, None), ("c", "d", 0.0, None)]


def test_pairs_of_strangers_do_not_hide_the_columns(read) -> None:
    assert read("x y 3\na b 1.5\n") == [("x", "y", 3.0, None), ("a", "b", 1.5, None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; expected lines of '<enrolment-utt> <test-utt> <score>'"),
        ("x y 1\n", "none of its first 1 lines names two utterances of the trial list, e.g. 'x y 1'"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_told_apart_are_refused(read, text, message) -> None:
    with pytest.raises(DataDirError) as error:
        read(text)
    assert str(error.value).endswith(f"scores: {message}")


@pytest.mark.parametrize("line", ["a b", "a b inf", "a b x", "a b 1 2"])
def test_a_bad_line_is_told_with_its_number(read, line) -> None:
    with pytest.raises(DataDirError, match=rf"scores:2: expected '<enrolment-utt> <test-utt> <score>', got '{line}'"):
        read(f"c d 1\n{line}\n")


def test_a_bad_label_is_told_with_its_number(read) -> None:
    with pytest.raises(
        DataDirError, match=r"scores:3: expected '<enrolment-utt> <test-utt> <score> target\|nontarget'"
    ):
        read("a b 1.5 target\nc d 2 imp\nc d 1.5 maybe\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b\nc d\n", "1: expected two columns of utterances and one of scores, got 'a b' (columns of "
         "utterances 1 2; scores none; "),
        ("a b 1.5 2.5\nc d 3.5 4.5\n", "1: expected two columns of utterances and one of scores, got 'a b 1.5 2.5' (columns of "
         "utterances 1 2; scores 3 4; labels none)"),
        ("a b c 1.5\nb c d 2\n", "1: expected two columns of utterances and one of scores, got 'a b c 1.5' (columns of "
         "utterances 1 2 3; "),
        ("a b 1 0\nc d 0 1\n", "1: expected two columns of utterances and one of scores, got 'a b 1 0' (columns of utterances 1 2; "
         "scores none; labels 3 4)"),
        ("e t d l s\na b 1 target 1.5\nc d 0 nontarget -1\n", "2: expected one column of labels at most, got 'a b 1 target 1.5'"),
        ("a b 1 7\nc d 0 7\n", "1: expected scores that differ beside the column of 1 and 0, which may be the scores, got"),
    ],
)  # fmt: skip
def test_ambiguous_columns_are_named_with_a_line(read, text, message) -> None:
    with pytest.raises(DataDirError) as error:
        read(text)
    assert f"scores:{message}" in str(error.value)


@pytest.mark.parametrize(
    "names", [("1089", "1089-134686-0001", "61", "61-70968-0000"), ("p225", "p225-001", "p226", "s5-366")]
)
@pytest.mark.parametrize("form", ["{0} {1} {2}", "{2} {0} {1}", "{3} {0} {1} {2}", "{0} {1} {4} {2}"])
def test_ids_that_look_like_numbers_are_ids(tmp_path, names, form) -> None:
    rows = [(names[0], names[1], 0.5, 1, "target"), (names[2], names[3], 1089.0, 0, "nontarget")]
    (tmp_path / "scores").write_text("".join(form.format(*row) + "\n" for row in rows))
    found = [row[1:4] for row in iter_scores(tmp_path / "scores", find_layout(tmp_path / "scores", set(names)))]
    assert found == [row[:3] for row in rows]


def test_scores_that_are_all_names_of_utterances_are_ambiguous(tmp_path) -> None:
    (tmp_path / "scores").write_text("1 2 1\n2 3 3\n")
    with pytest.raises(DataDirError, match=r"scores:1: expected two columns .*utterances 1 2 3; scores none"):
        find_layout(tmp_path / "scores", {"1", "2", "3"})
    (tmp_path / "scores").write_text("1 2 1\n2 3 0.5\n")  # one of them is not
    assert find_layout(tmp_path / "scores", {"1", "2", "3"}).score == 2
