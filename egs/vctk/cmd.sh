# shellcheck shell=bash disable=SC2034,SC2154
# The only place that knows where jobs run: train_cmd for array jobs on CPUs, cuda_cmd for jobs that may ask for GPUs.
case $launcher in
  local) train_cmd=(utils/run.py) cuda_cmd=(utils/run.py) ;;
  slurm | sge) train_cmd=("utils/$launcher.py" --mem 4G) cuda_cmd=("utils/$launcher.py" --mem 16G) ;;
  *) die "--launcher $launcher: known are local, slurm, sge" ;;
esac
[[ -x ${train_cmd[0]} ]] || die "--launcher $launcher: ${train_cmd[0]} is not there"
