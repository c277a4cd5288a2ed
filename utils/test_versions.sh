#!/usr/bin/env bash
# Run the unit tests with other versions than the lock's, in an environment of their own: .venv.newest or .venv.oldest.
#   utils/test_versions.sh newest [PYTEST_ARG...]   the newest of every package that pip finds for pyproject.toml
#   utils/test_versions.sh oldest [PYTEST_ARG...]   its lower bounds of torch, torchaudio, lhotse and kaldiio
# About 3 GB to download, 6 GB of disk; the environment is removed once the tests pass. TORCH=cpu and TORCH_INDEX as for
# make env.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

which=${1-}
if [[ $which != newest && $which != oldest ]]; then
  echo "usage: utils/test_versions.sh newest|oldest [PYTEST_ARG...]" >&2
  exit 2
fi
shift
folder=.venv.$which
extras=$(sed -n 's/^LOCKED := \([a-z ]*[a-z]\).*/\1/p' Makefile)
wanted=(".[${extras// /,}]")
if [[ $which == oldest ]]; then
  mapfile -t bounds < <(sed -n 's/^ *"\(torch\|torchaudio\|lhotse\|kaldiio\)>=\([0-9.]*\)".*/\1==\2/p' pyproject.toml)
  wanted+=("${bounds[@]}")
fi
if [[ ${TORCH-} == cpu ]]; then wanted+=(--extra-index-url "${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}"); fi

"${PYTHON:-python3}" -m venv --clear "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --editable "${wanted[@]}"
"$folder/bin/python" -m pip list --disable-pip-version-check | grep -E '^(torch|torchaudio|lhotse|kaldiio|numpy) '
PATH=$PWD/$folder/bin:$PATH PYTHONPATH=$PWD "$folder/bin/python" -m pytest -n 2 --dist loadfile "${@:-tests/unit}" || {
  echo "test_versions.sh: $folder is kept; rm -r $folder when it is done with" >&2
  exit 1
}
rm -r "$folder"
