#!/usr/bin/env bash
# Everything worth asking a GPU in a quarter of an hour: number formats, torch.compile, NCCL, rates of training and
# extraction, and a small synthetic table. Without a GPU it tries the same on the CPU, small, in less than a minute.
#
#     benchmarks/gpu.sh [OUT.json]        default: gpu.json; prints it too; exit code 1 if a part failed
#
# Needs this checkout and a Python with its packages: .venv/bin/python, else $PYTHON, else python3. No data, no network.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/.venv/bin/python
if [[ ! -x $python ]]; then python=${PYTHON:-python3}; fi
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
exec timeout --signal=INT 840 "$python" "$root/benchmarks/gpu.py" "${1:-gpu.json}"
