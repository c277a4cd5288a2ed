#!/usr/bin/env bash
# Build .venv from requirements.lock, unless it was built from this very lock already.
#   TORCH=cpu    torch without CUDA, from TORCH_INDEX (https://download.pytorch.org/whl/cpu), or pip's own settings
#   TORCH=cuda   the lock's own torch; without TORCH, as .venv was built before, or this
# The stamp is written last, so a set-up that was cut off half-way is built again from the start.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stamp=.venv/.built-from
built=cuda
if [[ -e $stamp ]] && grep -qx 'torch: cpu' "$stamp"; then built=cpu; fi
torch=${TORCH:-$built}
index=${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}
[[ $torch == cpu || $torch == cuda ]] || { echo "setup: TORCH=$torch: cpu and cuda are known" >&2; exit 2; }

# What the environment is made from; the root is in it because an editable install points at this folder.
wanted=$(cat requirements.lock pyproject.toml; pwd; echo "torch: $torch")
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

install() { # install ARGUMENT...: by pip, into .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"
}

install_cpu() { # torch's builds for CPUs have versions and hashes of their own; all else is as the lock says
  local builds
  builds=$(awk -F '[= ]+' '$1 ~ /^(torch|torchaudio)$/ {print $1 "==" $2 "+cpu"}' requirements.lock)
  # shellcheck disable=SC2086  # one word a build
  install --no-deps --index-url "$index" $builds || {
    echo "setup: ${builds//$'\n'/ and } cannot be had from $index; TORCH_INDEX=URL names another index," \
      "TORCH=cuda make env takes the lock's own torch" >&2
    return 1
  }
  awk '/^[a-z0-9]/ {kept = $0 !~ /^(torch==|torchaudio==|triton==|nvidia-|cuda-)/} kept' requirements.lock \
    > .venv/cpu.lock
  install --no-deps --require-hashes -r .venv/cpu.lock
}

python=$(find_python)
echo "setup: building .venv with $("$python" --version) from requirements.lock" >&2
if [[ $torch == cpu ]]; then
  echo "setup: 0.5 GB to download, 1.7 GB of disk, a few minutes; torch is for CPUs only, from $index" >&2
else
  echo "setup: 3.0 GB to download (torch with CUDA 2.7 GB), 5.6 GB of disk, a few minutes;" \
    "for CPUs only, 0.5 and 1.7 GB: TORCH=cpu make env" >&2
fi
rm -f "$stamp"
"$python" -m venv --clear .venv
if [[ $torch == cpu ]]; then install_cpu; else install --require-hashes -r requirements.lock; fi
install --no-deps --no-build-isolation --editable .
.venv/bin/python -m compileall -q sv
set -o noclobber # the folder is new: what lies there by that name was planted
printf '%s\n' "$wanted" > "$stamp.tmp"
mv "$stamp.tmp" "$stamp"
echo "setup: done" >&2
