#!/usr/bin/env bash
# Run a Python program in NUM_RANKS processes of one process group: on this machine, or on all nodes of the Slurm job we
# are in, with one torchrun a node. A rank that dies makes all of them start again, from the last checkpoint.
#
#   utils/torchrun.sh NUM_RANKS -m sv.bin.train --config conf/exu_net.toml ...
set -euo pipefail
max_restarts=3

(($# >= 2)) || { echo "usage: $0 NUM_RANKS PROGRAM ARGUMENT..." >&2; exit 2; }
num_ranks=$1 num_nodes=${SLURM_JOB_NUM_NODES:-1}
shift
((num_ranks % num_nodes == 0)) ||
  { echo "$0: $num_ranks ranks cannot be shared equally by $num_nodes nodes" >&2; exit 2; }
ranks_a_node=$((num_ranks / num_nodes))
((num_ranks > 1)) || exec python "$@"

# The same threads a rank, however the ranks are spread: results then are the same to the last bit.
cores=${SLURM_CPUS_PER_TASK:-$(nproc)}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cores > ranks_a_node ? cores / ranks_a_node : 1))}
# With one store for all attempts, a restarted rank may read the address of a dead one, and hang (pytorch issue 135712).
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
torchrun=(python -m torch.distributed.run --nproc-per-node "$ranks_a_node" --max-restarts "$max_restarts")

if ((num_nodes == 1)); then
  exec "${torchrun[@]}" --standalone "$@"
fi

# Identity and port are this attempt's own: ranks of an earlier one may still be dying.
attempt=$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0}
port=$((20000 + (SLURM_JOB_ID * 7 + ${SLURM_RESTART_COUNT:-0}) % 10000))
nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
address=$(scontrol show node "${nodes%%$'\n'*}" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p')
# srun returns 0 when a node dies: what counts is that torchrun ended well on every node, and each says so in a file.
proof=${JOB_FOLDER:?is set by utils/slurm.py}/torchrun.$attempt
# shellcheck disable=SC2016  # the variables are the nodes'
srun --nodes "$num_nodes" --ntasks "$num_nodes" --ntasks-per-node 1 --cpus-per-task "${SLURM_CPUS_PER_TASK:-1}" \
  --kill-on-bad-exit=1 \
  bash -c 'proof=$1; shift; "$@" && touch "$proof.$SLURM_NODEID"' torchrun "$proof" \
  "${torchrun[@]}" --nnodes "$num_nodes" --rdzv-backend c10d --rdzv-id "$attempt" --rdzv-endpoint "$address:$port" "$@"
for ((node = 0; node < num_nodes; node++)); do
  [[ -e $proof.$node ]] || { echo "$0: node $node of $SLURM_JOB_NODELIST did not finish" >&2; exit 1; }
done
rm -f "$proof".*
