#!/usr/bin/env python3
"""Say which tasks failed, or did not end, and show their last lines: a whole folder of logs in one screen.

utils/summarize_logs.py exp/exu_net/log
utils/summarize_logs.py exp/exu_net/q/extract.JOB        # the state folder of an array
"""

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path

ENDED = re.compile(r"# (?:Ended \(code (\d+)(?:; signal (\d+))?\)|Finished at .* with status (\d+))")


def ending(log: Path) -> str:
    """End of a task, from the last lines of its log: `done`, `code 1`, `signal 9` or `no end`; Kaldi's logs do as well."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2000))
        found = ENDED.findall(file.read().decode("utf-8", errors="replace"))
    if not found:
        return "no end"
    code, signum, status = found[-1]
    if signum:
        return f"signal {signum}"
    return "done" if (code or status) == "0" else f"code {code or status}"


def logs_of(path: Path) -> list[tuple[Path, str]]:
    """Logs and how their tasks ended; for the state folder of an array, also of tasks that left no log."""
    request = path / "request.json"
    if not request.exists():
        logs = sorted(path.rglob("*.log")) if path.is_dir() else [path]
        return [(log, ending(log)) for log in logs]
    stored = json.loads(request.read_text(encoding="utf-8"))
    pairs = []
    for task in range(stored["first"], stored["last"] + 1):
        log = Path(stored["cwd"], stored["log"].replace(stored["word"], str(task)) if stored["word"] else stored["log"])
        pairs.append((log, ending(log) if log.exists() else "did not start"))
    return pairs


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines that the command itself wrote."""
    if not log.exists():
        return []
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line[:200] for line in lines if not line.startswith("# ")][-count:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--lines", type=int, default=5, help="last lines of each failed task (5)")
    parser.add_argument("paths", type=Path, nargs="+", metavar="FOLDER|LOG")
    args = parser.parse_args()
    try:
        logs = [pair for path in args.paths for pair in logs_of(path)]
    except OSError as error:
        sys.exit(f"summarize_logs.py: {error}")
    failed = [(log, how) for log, how in logs if how != "done"]
    print(
        f"{len(logs)} logs: "
        + ", ".join(f"{count} {how}" for how, count in Counter(how for _, how in logs).most_common())
    )
    seen: set[tuple[str, ...]] = set()
    shown = 0
    for log, how in failed:
        lines = last_lines(log, args.lines)
        # Tasks that fail alike are shown once; numbers apart, as these name the task.
        kind = (how, *(re.sub(r"\d+", "N", line) for line in lines))
        if kind not in seen and shown < 6:
            print(f"\n{log} ({how}):", *(f"  {line}" for line in lines), sep="\n")
            shown += 1
        seen.add(kind)
    if len(failed) > shown:
        print(f"\nand {len(failed) - shown} more; {len(seen)} different endings in all")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
