# shellcheck shell=bash disable=SC2034
# Source me before the recipe's own options: those that every recipe has. A recipe that declares one of them again gives
# it a default and a comment of its own.

# Options
model=            # models from elsewhere to score: of sv models list, folders, checkpoints, .onnx files; several: a,b
initial=          # model whose weights the training of --config starts from: what --model takes
set=              # SECTION.KEY=VALUE instead of what the systems' files say: train.lr=1e-4; again for another key
stage=0           # first stage to run
stop_stage=8      # last stage to run
musan=            # MUSAN, if elsewhere
noise=            # NAME=DIR: a folder of recordings as one more noise of the tests; again for another folder
max_bad=0.01      # share of bad recordings that stage 0 tolerates (they go to quarantine.tsv)
verify_audio=false # read all recordings again before stage 0, and compare them with what it read
precision=float32 # of extraction: float32, bf16, or auto, which asks the processor that computes
runtime=          # what computes networks in extraction: torch, onnxruntime, openvino or mnn; default: the model's own
compress=false    # store features in two bytes per value
lda_dim=200       # dimensions that the back end keeps, if the training set supports as many
top_n=300         # speakers of the cohort that AS-norm compares a score with; all if there are fewer
despite=          # what compared systems may differ in all the same, for instance crop_scheme; several: a,b
note=             # shown with the results, for instance what the corpus is not
mini=false        # the synthetic corpus, small models; data/mini and exp/mini
data=             # data directories: data
exp=              # experiments: exp
nj=               # parallel jobs: one per core
num_gpus=         # GPUs of a node for training, and tasks with a GPU in extraction: all there are here
num_nodes=1       # nodes for training, with --launcher slurm
num_ranks=        # training processes: one per GPU, at least one per node
launcher=local    # where jobs run: local, slurm or sge
seed=0            # of everything random
quiet=false       # do not show how far a stage is while it runs
dry_run=false     # say what would run and why, and run nothing
probe=0           # a dry run that trains so many steps, keeps nothing, and says what all of stage 4 takes
# End of options

# Types and ranges of all options: OPTIONS of local/check_options.py, which utils/parse_options.sh calls.
# Options of some recipes, which what recipes share asks for:
b_vector=0 by='' download='' noises='' snrs='' conditions=noise draws=1
repeatable_options=noise # each value is added to those before, after a comma
repeatable_lines='set' # likewise, each on a line of its own
protocol=exact # likewise asked for
common_options=${BASH_SOURCE[0]} option_checker=$(dirname "${BASH_SOURCE[0]}")/../local/check_options.py
