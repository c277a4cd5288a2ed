# shellcheck shell=bash disable=SC2034,SC2154
# Source me, from a recipe's cmd.sh: where jobs run. train_cmd is for array jobs on CPUs, cuda_cmd for jobs that may ask
# for GPUs. Partitions, queues and accounts: conf/slurm.conf or conf/sge.conf; to begin with, copy that of utils/conf.
case $launcher in
  local) train_cmd=(utils/run.py) cuda_cmd=(utils/run.py) ;;
  slurm | sge)
    train_cmd=("utils/$launcher.py" --mem 4G --num-tries 3)
    cuda_cmd=("utils/$launcher.py" --mem 16G --num-tries 3)
    ;;
  *) die "--launcher $launcher: known are local, slurm, sge" ;;
esac
[[ -x ${train_cmd[0]} ]] || die "--launcher $launcher: ${train_cmd[0]} is not there"
