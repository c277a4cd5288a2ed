#!/usr/bin/env bash
# VoxCeleb1 under noise: from the corpora on disk to a table of EER by noise condition, for a system and its baseline.
#
#   ./run.sh --corpora DIR               the real corpora; every stage that is not up to date
#   ./run.sh --mini                      a synthetic corpus and small models, on any CPU, in minutes
#   ./run.sh --stage 3 --stop-stage 5    just those
#   ./run.sh --config conf/embedding_mlp_cosine.toml --extractor exp/exu_net    embeddings to better ones
#
# Stage                 reads                                writes
#   0 prepare           corpora                              data/voxceleb1_{dev,test} data/musan_* data/nonspeech100 data/rirs data/channels
#   1 validate and cut  data/voxceleb1_{dev,test}            data/voxceleb1_{train,valid}, speaker-disjoint
#   2 noisy sets        data/voxceleb1_test, noise (test)    data/voxceleb1_test-<noise>-snr<db>
#   3 features          data/voxceleb1_{valid,test*}         exp/feats/<features>/<set>, data/<set>/feats.scp
#   4 train             data/voxceleb1_{train,valid}, noise  exp/<system>/{config.json,checkpoints,train.jsonl}
#   5 extract           exp/feats, train wavs, exp/<system>  exp/<system>/embeddings/<set>
#   6 back end          embeddings of voxceleb1_train        exp/<system>/backend: mean, LDA, PLDA, AS-norm cohort
#   7 score             embeddings, back end, trials         exp/<system>/{scores/<set>,calibration,results.json}
#   8 report            results of both systems              exp/<system>/report/index.html

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
BASH_ARGV0=./run.sh # wherever it was called from

# Options
stage=0           # first stage to run
stop_stage=8      # last stage to run
config=           # the system: conf/exu_net.toml, or conf/mini/exu_net.toml with --mini
extractor=        # model folder, through stage 7, whose embeddings a system of conf/embedding_*.toml enhances
halves=false      # enhance embeddings of half utterances: a corpus with one utterance a session gets the pairs that da needs
baseline=         # what it is compared with: conf/se_resnet.toml, or conf/mini/se_resnet.toml; 'none' to go without
corpora=          # folder that holds voxceleb1/ musan/ RIRS_NOISES/ Nonspeech100/
voxceleb1=        # VoxCeleb1, if elsewhere
musan=            # MUSAN, if elsewhere
rirs=             # RIRS_NOISES, if elsewhere
nonspeech100=     # Nonspeech100, if elsewhere
download=         # fetch these freely available corpora into --corpora first: musan,rirs
trials=           # trial list within VoxCeleb1; default: veri_test2.txt (cleaned), else veri_test.txt
noises=noise,music,babble,nonspeech # noise types of the test conditions
snrs=0,5,10,15,20 # their signal-to-noise ratios in dB
valid_fraction=   # share of the training speakers held out for validation: 0.04, or 0.125 with --mini
max_bad=0.01      # share of bad recordings that stage 0 tolerates (they go to quarantine.tsv)
compress=false    # store features in two bytes a value
lda_dim=200       # dimensions that the back end keeps, if the training set supports as many
top_n=300         # speakers of the cohort that AS-norm compares a score with; all if there are fewer
mini=false        # the synthetic corpus, small models; data/mini and exp/mini
data=             # data directories: data
exp=              # experiments: exp
nj=               # parallel jobs: one per core
num_gpus=         # GPUs of a node for training, and tasks with a GPU in extraction: all there are here
num_nodes=1       # nodes for training, with --launcher slurm
num_ranks=        # training processes: one per GPU, at least one per node
launcher=local    # where jobs run: local, slurm or sge
despite=          # what compared systems may differ in all the same, for instance crop_scheme
seed=0            # of everything random
dry_run=false     # say what would run and why, and run nothing
# End of options

. ./path.sh
. utils/stage.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh
. ./enhancement.sh

if [[ $mini == true ]]; then
  : "${data:=data/mini}" "${exp:=exp/mini}" "${corpora:=$data/corpora}"
  : "${config:=conf/mini/exu_net.toml}" "${baseline:=conf/mini/se_resnet.toml}" "${valid_fraction:=0.125}"
fi
: "${data:=data}" "${exp:=exp}" "${config:=conf/exu_net.toml}" "${baseline:=conf/se_resnet.toml}" "${valid_fraction:=0.04}"
count_resources
if [[ -n $extractor ]]; then
  extractor=${extractor%/} baseline=none
  [[ -f $extractor/config.json ]] || die "no trained system in --extractor $extractor"
fi
if [[ $baseline == none || $baseline -ef $config ]]; then configs=("$config"); else configs=("$config" "$baseline"); fi
for conf in "${configs[@]}"; do [[ -f $conf ]] || die "no system configuration $conf; there are: $(echo conf/*.toml)"; done

test_set=voxceleb1_test
conditions=()
for noise in ${noises//,/ }; do for snr in ${snrs//,/ }; do conditions+=("$data/$test_set-$noise-snr$snr"); done; done
eval_sets=("$data/voxceleb1_valid" "$data/$test_set" ${conditions[@]+"${conditions[@]}"})
data_markers=("$data"/.stage{0,1,2}.done)
noise_args=(--noise-dir noise="$data/musan_noise_train" --noise-dir music="$data/musan_music_train"
  --noise-dir babble="$data/musan_speech_train" --rirs "$data/rirs" --channels "$data/channels")
if enhances "$config" && [[ -z $extractor ]]; then
  die "$config enhances embeddings: name the model folder that they come from, --extractor DIR"
fi

# --- 0: corpora -> data directories ---------------------------------------------------------------------------------
marker=$data/.stage0.done
options="corpora=$corpora voxceleb1=$voxceleb1 musan=$musan rirs=$rirs nonspeech100=$nonspeech100 trials=$trials noises=$noises max_bad=$max_bad seed=$seed"
if stage_needs_run 0 prepare "$marker" "$options"; then
  if [[ $mini == true ]]; then
    "${train_cmd[@]}" --num-threads "$nj" "$data/log/synthesise.log" local/make_synthetic_corpus.py --nj "$nj" --seed "$seed" "$corpora"
  fi
  for corpus in ${download//,/ }; do local/download_corpora.py "$corpora" "$corpus"; done
  corpus_dirs=$(local/check_corpora.py --corpora "$corpora" --voxceleb1 "$voxceleb1" --musan "$musan" --rirs "$rirs" \
    --nonspeech100 "$nonspeech100" --noises "$noises")
  while IFS=$'\t' read -r corpus dir; do
    extra=()
    if [[ $corpus == voxceleb1 && -n $trials ]]; then extra=(--trials "$trials"); fi
    log "stage 0: $corpus in $dir"
    "${train_cmd[@]}" --num-threads "$nj" "$data/log/prepare_$corpus.log" "local/prepare_$corpus.py" --nj "$nj" --max-bad "$max_bad" \
      ${extra[@]+"${extra[@]}"} "$dir" "$data"
  done <<< "$corpus_dirs"
  local/make_channels.py --seed "$seed" "$data"
  outputs=()
  for set in rirs nonspeech100; do if [[ -d $data/$set ]]; then outputs+=("$data/$set/wav.scp"); fi; done
  mark_done 0 "$marker" "$options" ${outputs[@]+"${outputs[@]}"} "$data"/{voxceleb1_dev,voxceleb1_test,musan_*,channels}/{wav.scp,utt2spk,utt2dur,cuts.jsonl.gz} "$data/$test_set/trials"
fi

# --- 1: valid data, a speaker-disjoint validation set, no trial speaker in training ---------------------------------
marker=$data/.stage1.done
options="valid_fraction=$valid_fraction seed=$seed"
if stage_needs_run 1 "validate and cut" "$marker" "$options" "$data/.stage0.done"; then
  utils/validate_data_dir.py "$data/voxceleb1_dev" "$data/$test_set" "$data"/musan_*
  local/split_validation.py --fraction "$valid_fraction" --seed "$seed" "$data"/voxceleb1_{dev,train,valid}
  local/check_leak.py "$data/voxceleb1_train" "$data/$test_set" "$data/voxceleb1_valid"
  mark_done 1 "$marker" "$options" "$data"/voxceleb1_{train,valid}/{wav.scp,utt2spk,utt2dur,cuts.jsonl.gz} "$data/voxceleb1_valid/trials"
fi

# --- 2: noisy copies of the test set, as lhotse cuts ----------------------------------------------------------------
marker=$data/.stage2.done
options="noises=$noises snrs=$snrs seed=$seed"
if stage_needs_run 2 "noisy sets" "$marker" "$options" "$data"/.stage{0,1}.done; then
  "${train_cmd[@]}" --num-threads "$nj" "$data/log/make_noisy_test.log" local/make_noisy_test.py --noises "$noises" --snrs "$snrs" \
    --seed "$seed" --nj "$nj" "$data/$test_set" "$data"
  mark_done 2 "$marker" "$options" "${conditions[@]/%//cuts.jsonl.gz}" "${conditions[@]/%//wav.scp}"
fi

# --- 3: features of what is evaluated; training computes its own from augmented waveforms ---------------------------
for conf in "${configs[@]}"; do stage_features "$conf"; done

# --- 4: train -------------------------------------------------------------------------------------------------------
for conf in "${configs[@]}"; do
  if enhances "$conf"; then
    stage_train_enhancement "$conf"
  else
    stage_train "$conf" "$data"/voxceleb1_{train,valid} "$data"/.stage{0,1}.done -- "${noise_args[@]}"
  fi
done

# --- 5: embeddings of every condition, and, from waveforms, of the training set -------------------------------------
for conf in "${configs[@]}"; do
  if enhances "$conf"; then
    stage_enhance "$conf" "${eval_sets[@]##*/}" voxceleb1_train
  else
    stage_extract "$conf" "$data/voxceleb1_train" "${eval_sets[@]}"
  fi
done

# --- 6: back end, from the training set -----------------------------------------------------------------------------
for conf in "${configs[@]}"; do stage_backend "$conf" "$data/voxceleb1_train"; done

# --- 7: scores and metrics ------------------------------------------------------------------------------------------
for conf in "${configs[@]}"; do
  system=$(system_of "$conf")
  marker=$exp/$system/.stage7.done
  options="noises=$noises snrs=$snrs top_n=$top_n"
  if stage_needs_run 7 "score $system" "$marker" "$options" "$exp/$system"/.stage{5,6}.done "${data_markers[@]}"; then
    "${train_cmd[@]}" "$exp/$system/log/score.log" python -m sv.bin.score_sets --model "$exp/$system" --seed "$seed" --top-n "$top_n" \
      "$data/$test_set" ${conditions[@]+"${conditions[@]}"} "$data/voxceleb1_valid"
    "${train_cmd[@]}" "$exp/$system/log/calibrate.log" python -m sv.bin.calibrate_sets --model "$exp/$system" --seed "$seed" \
      --held-out "$data/voxceleb1_valid" "$data/$test_set" ${conditions[@]+"${conditions[@]}"}
    mark_done 7 "$marker" "$options" "$exp/$system/results.json" "$exp/$system"/scores/*/*.scores "$exp/$system"/calibration/*.json
  fi
done

# --- 8: report ------------------------------------------------------------------------------------------------------
main=$exp/$(system_of "$config")
systems=() inputs=()
for conf in "${configs[@]}"; do systems+=("$exp/$(system_of "$conf")") inputs+=("$exp/$(system_of "$conf")/.stage7.done"); done
if [[ -n $extractor ]]; then systems+=("$extractor") inputs+=("$extractor/.stage7.done"); fi
marker=$main/.stage8.done
options="systems=${systems[*]} despite=$despite"
if stage_needs_run 8 report "$marker" "$options" "${inputs[@]}"; then
  note=()
  if [[ $mini == true ]]; then note=(--note "Synthetic corpus (eSpeak NG voices): compares systems with each other; not VoxCeleb1 results."); fi
  python -m sv.bin.report --data "$data" ${note[@]+"${note[@]}"} ${despite:+--despite "$despite"} --out "$main/report/index.html" "${systems[@]}" | tee "$main/report.txt"
  mark_done 8 "$marker" "$options" "$main/report/index.html"
elif runs_stage 8 && [[ $dry_run == false && -e $main/report.txt ]]; then
  cat "$main/report.txt"
fi

end_of_recipe
