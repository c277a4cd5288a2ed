#!/usr/bin/env bash
# Build .venv from requirements.lock, unless it was built from this very lock already.
# The stamp is written last, so a set-up that was cut off half-way is built again from the start.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What the environment is made from; the root is in it because an editable install points at this folder.
stamp=.venv/.built-from
wanted=$(cat requirements.lock pyproject.toml; pwd)
[[ -e $stamp && $(<"$stamp") == "$wanted" ]] && exit 0

find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.11 python3.12 python3.13 python3.14; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "setup: no Python 3.11 or newer with venv found (on Debian: apt install python3-venv);" \
    "or name one: make PYTHON=/path/to/python3.11" >&2
  return 1
}

python=$(find_python)
echo "setup: building .venv with $("$python" --version) from requirements.lock (about 6 GB, a few minutes)" >&2
rm -f "$stamp"
"$python" -m venv --clear .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
.venv/bin/python -m compileall -q sv
set -o noclobber # the folder is new: what lies there by that name was planted
printf '%s\n' "$wanted" > "$stamp.tmp"
mv "$stamp.tmp" "$stamp"
echo "setup: done" >&2
