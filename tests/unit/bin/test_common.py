import subprocess
import sys
from pathlib import Path

import pytest

from sv.bin.common import fail_in_one_line


@pytest.mark.parametrize("error", [ValueError("what is wrong"), KeyError("what is wrong")])
def test_errors_of_our_checks_are_one_line_and_exit_code_one(error) -> None:
    @fail_in_one_line
    def command(argv: list[str]) -> None:
        raise error

    with pytest.raises(SystemExit) as exit_:
        command([])
    assert exit_.value.code == "error: what is wrong"  # printed to stderr by Python, which then exits with 1


def test_other_errors_keep_their_traceback() -> None:
    @fail_in_one_line
    def command(argv: list[str]) -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        command([])


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    program = "from sv.bin.common import fail_in_one_line as f\nf(lambda: [print(n) for n in range(99999)])()"
    root = Path(__file__).parents[3]
    done = subprocess.run(
        ["bash", "-c", '"$0" -c "$1" | head -1; echo ${PIPESTATUS[0]}', sys.executable, program],
        capture_output=True, text=True, cwd=root, env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("0\n1\n", "")
