# shellcheck shell=bash
# Source me. Puts the library and the utilities in reach; LC_ALL=C because Kaldi tables are sorted by byte.
SV_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export SV_ROOT
export PYTHONPATH="$SV_ROOT${PYTHONPATH:+:$PYTHONPATH}"
export PATH="$SV_ROOT/.venv/bin:$PATH:$SV_ROOT/utils" # utils last: a real Kaldi's tools come first
export LC_ALL=C
# Memory that a batch's maps leave is kept for the next one's: to give it back to the system and have it cleared anew
# costs up to a fifth of a batch's time (glibc; others do not read this).
export MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=1099511627776
