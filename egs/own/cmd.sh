# shellcheck shell=bash
# The only place of this recipe that knows where jobs run: edit me. For memory, retries or a launcher of your own, set
# train_cmd and cuda_cmd below this line, as utils/cmd.sh does.
. utils/cmd.sh
