#!/usr/bin/env bash
# VOiCES, speech replayed in rooms and recorded from afar: error rates by room, distractor, microphone and distance.
#
#   ./run.sh --corpora DIR                                         train on VoxCeleb1 within the challenge's rules, test on VOiCES
#   ./run.sh --corpora DIR --model ../voxceleb1/exp/diff_sv        test a model that was trained elsewhere; several: a,b
#   ./run.sh --mini                                                a synthetic corpus and a small model, on any CPU
#
# Stage                 reads                                writes
#   0 prepare           corpora                              data/voices_{devkit,dev,eval}, trials; to train: voxceleb1_dev musan_* rirs channels
#   1 validate and cut  data/voices_*, data/voxceleb1_dev    data/voxceleb1_{train,valid}, speaker-disjoint
#   2 noisy sets        -                                    - (VOiCES is noisy as it was recorded)
#   3 features          data/voices_*, data/voxceleb1_valid  exp/feats/<features>/<set>
#   4 train             data/voxceleb1_{train,valid}, noise  exp/<system>/{config.json,checkpoints}; with --model: links to the model's
#   5 extract           exp/feats, train wavs, exp/<system>  exp/<system>/embeddings/<set>
#   6 back end          embeddings of voxceleb1_train        exp/<system>/backend; with --model: the model's, if it has one
#   7 score             embeddings, back end, trials         exp/<system>/{scores/<set>,calibration,results.json,breakdown.json}; with --model: the model's calibration
#   8 report            results of all systems               exp/<system>/report/index.html

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
BASH_ARGV0=./run.sh # wherever it was called from

# Options
stage=0           # first stage to run
stop_stage=8      # last stage to run
config=           # the system to train: conf/diff_sv.toml, or conf/mini/exu_net.toml with --mini
baseline=         # what it is compared with: conf/exu_net.toml, or none with --mini; 'none' to go without
model=            # model folders to test instead of training, separated by commas
corpora=          # folder that holds VOiCES_devkit/ (or VOiCES/) voxceleb1/ musan/ RIRS_NOISES/
voices=           # VOiCES, if elsewhere
voxceleb1=        # VoxCeleb1, if elsewhere
musan=            # MUSAN, if elsewhere
rirs=             # RIRS_NOISES, if elsewhere
num_targets=4     # target trials of a test recording of the devkit, at most
num_nontargets=12 # nontarget ones
microphones=      # test recordings of the devkit by these alone: mc01,mc05
by=room,distractor,mictype,distance # what the results are broken down by; also mic, angle
valid_fraction=   # share of the training speakers held out for validation: 0.04, or 0.125 with --mini
max_bad=0.01      # share of bad recordings that stage 0 tolerates (they go to quarantine.tsv)
compress=false    # store features in two bytes a value
lda_dim=200       # dimensions that the back end keeps, if the training set supports as many
top_n=300         # speakers of the cohort that AS-norm compares a score with; all if there are fewer
mini=false        # the synthetic corpus, a small model; data/mini and exp/mini
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

if [[ $mini == true ]]; then
  : "${data:=data/mini}" "${exp:=exp/mini}" "${corpora:=$data/corpora}"
  : "${config:=conf/mini/exu_net.toml}" "${baseline:=none}" "${valid_fraction:=0.125}"
fi
: "${data:=data}" "${exp:=exp}" "${config:=conf/diff_sv.toml}" "${baseline:=conf/exu_net.toml}" "${valid_fraction:=0.04}"
count_resources
if [[ -n $model ]]; then
  configs=()
  for folder in ${model//,/ }; do configs+=("$folder/config.json"); done
elif [[ $baseline == none || $baseline -ef $config ]]; then
  configs=("$config")
else
  configs=("$config" "$baseline")
fi
for conf in "${configs[@]}"; do [[ -f $conf ]] || die "no $conf; systems to train: $(echo conf/*.toml)"; done


# --- 0: corpora -> data directories, trials -------------------------------------------------------------------------
marker=$data/.stage0.done
options="corpora=$corpora voices=$voices voxceleb1=$voxceleb1 musan=$musan rirs=$rirs training=${model:+none} max_bad=$max_bad seed=$seed"
options+=" num_targets=$num_targets num_nontargets=$num_nontargets microphones=$microphones"
if stage_needs_run 0 prepare "$marker" "$options"; then
  if [[ $mini == true ]]; then
    "${train_cmd[@]}" --num-threads "$nj" "$data/log/synthesise.log" local/make_synthetic_corpus.py --nj "$nj" --seed "$seed" "$corpora"
    "${train_cmd[@]}" "$data/log/synthesise_voices.log" local/make_synthetic_voices.py --seed "$seed" "$corpora"
  fi
  names=voices
  if [[ -z $model ]]; then names=voices,voxceleb1,musan,rirs; fi
  corpus_dirs=$(local/check_corpora.py --names "$names" --noises noise,music,babble --corpora "$corpora" --voices "$voices" \
    --voxceleb1 "$voxceleb1" --musan "$musan" --rirs "$rirs")
  while IFS=$'\t' read -r corpus dir; do
    log "stage 0: $corpus in $dir"
    "${train_cmd[@]}" --num-threads "$nj" "$data/log/prepare_$corpus.log" "local/prepare_$corpus.py" --nj "$nj" --max-bad "$max_bad" "$dir" "$data"
    if [[ $corpus == voices ]]; then
      for set in "$data"/voices_{devkit,dev,eval}; do
        rules=(--num-targets "$num_targets" --num-nontargets "$num_nontargets" --seed "$seed")
        if [[ $set == */voices_devkit && -n $microphones ]]; then rules+=(--microphones "$microphones"); fi
        if [[ -d $set ]]; then local/make_voices_trials.py --corpus "$dir" "${rules[@]}" "$set"; fi
      done
    fi
  done <<< "$corpus_dirs"
  outputs=("$data"/voices_*/{wav.scp,utt2spk,utt2dur,trials})
  if [[ -z $model ]]; then
    local/make_channels.py --seed "$seed" "$data"
    outputs+=("$data"/{voxceleb1_dev,musan_*,channels}/{wav.scp,utt2spk,utt2dur,cuts.jsonl.gz})
    if [[ -d $data/rirs ]]; then outputs+=("$data/rirs/wav.scp"); fi
  fi
  mark_done 0 "$marker" "$options" "${outputs[@]}"
fi
test_sets=()
for set in "$data"/voices_{devkit,dev,eval}; do if [[ -d $set ]]; then test_sets+=("$set"); fi; done
if ((${#test_sets[@]} == 0)); then test_sets=("$data/voices_devkit"); fi # of a dry run before stage 0
names=("${test_sets[@]##*/}")
sets=$(IFS=, && echo "${names[*]}")
eval_sets=("${test_sets[@]}") train_set='' data_markers=("$data"/.stage{0,1}.done)
if [[ -z $model ]]; then eval_sets+=("$data/voxceleb1_valid") train_set=$data/voxceleb1_train; fi

# --- 1: valid data; to train, a speaker-disjoint validation set and no test speaker in training ---------------------
marker=$data/.stage1.done
options="valid_fraction=$valid_fraction seed=$seed training=${model:+none}"
if stage_needs_run 1 "validate and cut" "$marker" "$options" "$data/.stage0.done"; then
  utils/validate_data_dir.py "${test_sets[@]}"
  outputs=()
  if [[ -z $model ]]; then
    utils/validate_data_dir.py "$data/voxceleb1_dev" "$data"/musan_*
    local/split_validation.py --fraction "$valid_fraction" --seed "$seed" "$data"/voxceleb1_{dev,train,valid}
    local/check_leak.py "$data/voxceleb1_train" "${test_sets[@]}" "$data/voxceleb1_valid"
    outputs=("$data"/voxceleb1_{train,valid}/{wav.scp,utt2spk,utt2dur,cuts.jsonl.gz} "$data/voxceleb1_valid/trials")
  fi
  mark_done 1 "$marker" "$options" "${test_sets[@]/%//wav.scp}" ${outputs[@]+"${outputs[@]}"}
fi

# --- 2: noisy sets --------------------------------------------------------------------------------------------------
if runs_stage 2; then log "stage 2: noisy sets: not needed, VOiCES is noisy as it was recorded"; fi

# --- 3: features of what is evaluated -------------------------------------------------------------------------------
for conf in "${configs[@]}"; do stage_features "$conf"; done

# --- 4: train, or link to what was trained elsewhere ----------------------------------------------------------------
for conf in "${configs[@]}"; do
  system=$(system_of "$conf") marker=$exp/$(system_of "$conf")/.stage4.done
  if [[ -n $model ]]; then
    source=$(realpath "$(dirname "$conf")") options="model=$(dirname "$conf")"
    [[ $source != $(realpath -m "$exp/$system") ]] || die "--model $source is where this recipe writes; give another --exp"
    if stage_needs_run 4 "model $system" "$marker" "$options" "$conf" "$source/checkpoints/best.pt"; then
      mkdir -p "$exp/$system"
      for part in config.json checkpoints train.jsonl backend calibration; do
        if [[ -e $source/$part ]]; then ln -sfn "$source/$part" "$exp/$system/$part"; fi
      done
      mark_done 4 "$marker" "$options" "$exp/$system"/{config.json,checkpoints/best.pt}
    fi
    continue
  fi
  stage_train "$conf" "$data"/voxceleb1_{train,valid} "${data_markers[@]}" -- \
    --noise-dir noise="$data/musan_noise_train" --noise-dir music="$data/musan_music_train" \
    --noise-dir babble="$data/musan_speech_train" --rirs "$data/rirs" --channels "$data/channels"
done

# --- 5: embeddings --------------------------------------------------------------------------------------------------
for conf in "${configs[@]}"; do stage_extract "$conf" "$train_set" "${eval_sets[@]}"; done

# --- 6: back end, from the training set -----------------------------------------------------------------------------
for conf in "${configs[@]}"; do
  system=$(system_of "$conf") backend=$exp/$(system_of "$conf")/backend
  if [[ -n $model ]]; then
    if runs_stage 6; then log "stage 6: back end $system: $([[ -e $backend ]] && echo "the model's" || echo "not needed, the model has none: cosine")"; fi
    continue
  fi
  stage_backend "$conf" "$train_set"
done

# --- 7: scores and metrics, in all and by room and so on; the challenge's rules for training are checked ------------
for conf in "${configs[@]}"; do
  system=$(system_of "$conf")
  marker=$exp/$system/.stage7.done inputs=("$exp/$system"/.stage{5,6}.done)
  if [[ -n $model ]]; then inputs=("$exp/$system/.stage5.done"); fi
  options="by=$by top_n=$top_n sets=$sets"
  if stage_needs_run 7 "score $system" "$marker" "$options" "${inputs[@]}" "$data/.stage0.done"; then
    no_backend=()
    if [[ ! -e $exp/$system/backend ]]; then no_backend=(--no-backend); fi
    "${train_cmd[@]}" "$exp/$system/log/score.log" python -m sv.bin.score_sets --model "$exp/$system" --seed "$seed" --top-n "$top_n" \
      --rules voices ${no_backend[@]+"${no_backend[@]}"} "${eval_sets[@]}"
    sed -n 's/.* WARNING /stage 7: /p' "$exp/$system/log/score.log" | while read -r line; do log "$line"; done
    calibrate=()
    if [[ -z $model ]]; then
      calibrate=(--held-out "$data/voxceleb1_valid")
    elif [[ -e $exp/$system/calibration ]]; then
      calibrate=(--stored)
    fi
    if ((${#calibrate[@]})); then
      "${train_cmd[@]}" "$exp/$system/log/calibrate.log" python -m sv.bin.calibrate_sets --model "$exp/$system" --seed "$seed" \
        "${calibrate[@]}" "${test_sets[@]}"
    fi
    "${train_cmd[@]}" "$exp/$system/log/breakdown.log" python -m sv breakdown --by "$by" --data "$data" --sets "$sets" \
      --seed "$seed" "$exp/$system"
    mark_done 7 "$marker" "$options" "$exp/$system"/{results,breakdown}.json "$exp/$system"/scores/*/*.scores
  fi
done

# --- 8: report ------------------------------------------------------------------------------------------------------
main=$exp/$(system_of "${configs[0]}")
systems=() inputs=()
for conf in "${configs[@]}"; do systems+=("$exp/$(system_of "$conf")") inputs+=("$exp/$(system_of "$conf")/.stage7.done"); done
marker=$main/.stage8.done
options="systems=${systems[*]} despite=$despite"
if stage_needs_run 8 report "$marker" "$options" "${inputs[@]}"; then
  note=()
  if [[ $mini == true ]]; then note=(--note "Synthetic corpus (eSpeak NG voices in simulated rooms): not VOiCES results."); fi
  {
    python -m sv.bin.report --data "$data" ${note[@]+"${note[@]}"} ${despite:+--despite "$despite"} --out "$main/report/index.html" "${systems[@]}"
    echo
    python -m sv breakdown --by "$by" --data "$data" --sets "$sets" --seed "$seed" "${systems[@]}"
  } | tee "$main/report.txt"
  mark_done 8 "$marker" "$options" "$main/report/index.html"
elif runs_stage 8 && [[ $dry_run == false && -e $main/report.txt ]]; then
  cat "$main/report.txt"
fi

end_of_recipe
