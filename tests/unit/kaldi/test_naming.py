import pytest

from sv.kaldi import DataDirError
from sv.kaldi.scp import naming


@pytest.mark.parametrize("error", [KeyError("what is wrong"), ValueError("what is wrong")])
def test_errors_get_the_name_of_the_file(error) -> None:
    with pytest.raises(DataDirError, match=r"^data/trials: what is wrong$"), naming("data/trials"):
        raise error


def test_errors_that_name_a_file_and_other_kinds_stay() -> None:
    with pytest.raises(DataDirError, match=r"^a:1: bad line$"), naming("data/trials"):
        raise DataDirError("a:1: bad line")
    with pytest.raises(ValueError, match=r"^what is wrong$"), naming("data/trials", KeyError):
        raise ValueError("what is wrong")
