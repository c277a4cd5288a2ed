import shlex
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


def run(program: str, rest: str) -> tuple[str, str]:
    """Texts on stdout and stderr of a Python program in a line of bash, `"$@" REST`."""
    root = Path(__file__).parents[3]
    words = shlex.split(program)
    done = subprocess.run(
        ["bash", "-c", f'"$@" {rest}', "bash", sys.executable, *words],
        capture_output=True, text=True, cwd=root, env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return done.stdout, done.stderr


NUMBERS = "-c 'from sv.bin.common import fail_in_one_line as f\nf(lambda: [print(n) for n in range(99999)])()'"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    assert run(NUMBERS, "| head -1; echo ${PIPESTATUS[0]}") == ("0\n1\n", "")


@pytest.mark.parametrize("words", ["--help", "--version", "embed --help", "models list"])
def test_every_command_is_quiet_where_nobody_reads(words) -> None:
    assert run(f"-m sv {words}", "| true; echo ${PIPESTATUS[0]}")[1] == ""


def test_an_error_is_said_though_nobody_reads_the_output() -> None:
    program = (
        "-c 'import sys; from sv.bin.common import fail_in_one_line as f\n"
        "def main(): print(1); sys.stdin.read(); raise ValueError(2)\nf(main)()'"
    )
    said = run(program, "< <(sleep 0.5) | true; echo ${PIPESTATUS[0]}")
    assert said == ("1\n", "error: 2\n")


def test_output_may_be_closed() -> None:
    assert run("-m sv --version", ">&-; echo $? >&2") == ("", "0\n")


def test_a_full_disk_is_one_line() -> None:
    said = run(
        "-c 'from sv.bin.common import fail_in_one_line as f\nf(lambda: print(1))()'", "> /dev/full; echo $? >&2"
    )
    assert said == ("", "error: output: No space left on device\n1\n")
