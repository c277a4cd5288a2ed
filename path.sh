# shellcheck shell=bash
# Source me. Puts the library and the utilities in reach; LC_ALL=C because Kaldi tables are sorted by byte.
SV_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export SV_ROOT
export PYTHONPATH="$SV_ROOT${PYTHONPATH:+:$PYTHONPATH}"
export PATH="$SV_ROOT/.venv/bin:$PATH:$SV_ROOT/utils" # utils last: a real Kaldi's tools come first
export LC_ALL=C
