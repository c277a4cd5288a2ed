#!/usr/bin/env bash
# VOiCES, speech replayed in rooms and recorded from afar: error rates by room, distractor, microphone and distance.
#
#   ./run.sh --corpora DIR       train on VoxCeleb1 within the challenge's rules, test on VOiCES
#   ./run.sh --corpora DIR --model ../voxceleb1/exp/diff_sv,campplus    test models from elsewhere
#   ./run.sh --mini              a synthetic corpus and a small model, on any CPU
#
# Stage                 reads                                writes
#   0 prepare           corpora                              data/voices_{devkit,dev,eval}, trials
#                                                            to train: data/voxceleb1_dev data/musan_* data/rirs
#                                                            data/channels
#   1 validate and cut  data/voices_*, data/voxceleb1_dev    data/voxceleb1_{train,valid}, speaker-disjoint
#   2 noisy sets        -                                    - (VOiCES is noisy as it was recorded)
#   3 features          data/voices_*, data/voxceleb1_valid  exp/feats/<features>/<set>, data/<set>/feats.scp
#   4 train             data/voxceleb1_{train,valid}, noise  exp/<system>/{config.json,checkpoints,train.jsonl}
#                                                            with --model: links to the model's
#   5 extract           exp/feats, train wavs, exp/<system>  exp/<system>/embeddings/<set>
#   6 back end          embeddings of voxceleb1_train        exp/<system>/backend: mean, LDA, PLDA, AS-norm cohort
#                                                            with --model: the model's, if it has one
#   7 score             embeddings, back end, trials         exp/<system>/{scores/<set>,calibration,results.json}
#                                                            exp/<system>/breakdown.json
#                                                            with --model: the model's calibration
#   8 report            results of all systems               exp/<system>/report/index.html

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
BASH_ARGV0=./run.sh # wherever it was called from

. ./path.sh
. utils/options.sh
# Options
config=           # the system to train: conf/diff_sv.toml, or conf/mini/exu_net.toml with --mini
baseline=         # what it is compared with: conf/exu_net.toml, or none with --mini; 'none' to go without
corpora=          # folder that holds VOiCES_devkit/ (or VOiCES/) voxceleb1/ musan/ RIRS_NOISES/
voices=           # VOiCES, if elsewhere
voxceleb1=        # VoxCeleb1, if elsewhere
rirs=             # RIRS_NOISES, if elsewhere
trials=           # these sets alone, of voices-devkit, voices-dev, voices-eval; several: a,b; else all that are there
num_targets=4     # target trials of a test recording of the devkit, at most
num_nontargets=12 # nontarget ones
microphones=      # test recordings of the devkit by these alone: mc01,mc05
by=room,distractor,mictype,distance # what the results are broken down by; also mic, angle
valid_fraction=   # share of the training speakers held out for validation: 0.04, or 0.125 with --mini
# End of options
. utils/stages.sh
. utils/parse_options.sh
. ./cmd.sh

common_defaults
default config conf/diff_sv.toml conf/mini/exu_net.toml
default baseline conf/exu_net.toml none
default valid_fraction 0.04 0.125
default note '' 'Synthetic corpus (eSpeak NG voices in simulated rooms): not VOiCES results.'
IFS=, read -ra sets <<< "${trials:-voices-devkit,voices-dev,voices-eval}"
for name in "${sets[@]}"; do [[ $name =~ ^voices-(devkit|dev|eval)$ ]] || die "--trials: no $name; see --help"; done
sets=("${sets[@]/#voices-/$data/voices_}")
choose_systems "$config" "$baseline"
choose_noises
data_markers=("$data"/.stage{0,1}.done) score_options=(--rules voices) places=(voices="$voices") trains=
if ((${#configs[@]})); then places+=(voxceleb1="$voxceleb1" musan="$musan" rirs="$rirs") trains=yes; fi

# 0: corpora -> data directories, trials.
marker=$data/.stage0.done
options="training=${training:-none} max_bad=$max_bad seed=$seed"
options+=" num_targets=$num_targets num_nontargets=$num_nontargets microphones=$microphones"
find_corpora "${places[@]}"
if stage_needs_run 0 prepare "$marker" "$options" "${corpus_inputs[@]}"; then
  if [[ $mini == true ]]; then
    synthesise local/make_synthetic_corpus.py
    "${train_cmd[@]}" "$data/log/synthesise_voices.log" local/make_synthetic_voices.py --seed "$seed" "$corpora"
  fi
  prepare_corpora voices
  for test_set in "$data"/voices_{devkit,dev,eval}; do
    rules=(--num-targets "$num_targets" --num-nontargets "$num_nontargets" --seed "$seed")
    if [[ $test_set == */voices_devkit && -n $microphones ]]; then rules+=(--microphones "$microphones"); fi
    if [[ -d $test_set ]]; then local/make_voices_trials.py --corpus "$(place_of voices)" "${rules[@]}" "$test_set"; fi
  done
  found_sets "$data"/{voices_{devkit,dev,eval},voxceleb1_dev,musan_*,rirs}
  outputs=("$data"/voices_*/trials "${tables[@]}")
  if [[ -n $trains ]]; then
    local/make_channels.py --seed "$seed" "$data"
    outputs+=("$data/channels/wav.scp")
  fi
  mark_done 0 "$marker" "$options" "${outputs[@]}"
fi
test_sets=()
for test_set in "${sets[@]}"; do if [[ -d $test_set || -n $trials ]]; then test_sets+=("$test_set"); fi; done
if ((${#test_sets[@]} == 0)); then test_sets=("$data/voices_devkit"); fi # of a dry run before stage 0
eval_sets=("${test_sets[@]}") train_set='' valid_set=''
if [[ -n $trains ]]; then
  train_set=$data/voxceleb1_train valid_set=$data/voxceleb1_valid
  eval_sets+=("$valid_set")
fi

# 1: valid data; to train, a speaker-disjoint validation set and no test speaker in training.
marker=$data/.stage1.done options="valid_fraction=$valid_fraction seed=$seed training=${training:-none}"
if stage_needs_run 1 "validate and cut" "$marker" "$options${trials:+ trials=$trials}" "$data/.stage0.done"; then
  utils/validate_data_dir.py "${test_sets[@]}"
  outputs=("${test_sets[@]/%//wav.scp}")
  if [[ -n $trains ]]; then
    found_sets "$data"/{voxceleb1_dev,musan_*}
    utils/validate_data_dir.py "${found[@]}"
    local/split_validation.py --fraction "$valid_fraction" --seed "$seed" "$data"/voxceleb1_{dev,train,valid}
    local/check_leak.py "$train_set" "${test_sets[@]}" "$valid_set"
    outputs+=("$data"/voxceleb1_{train,valid}/{wav.scp,utt2spk,utt2dur,reco2digest,cuts.jsonl.gz} "$valid_set/trials")
  fi
  mark_done 1 "$marker" "$options" "${outputs[@]}"
fi

# 2: nothing.
if runs_stage 2; then log "stage 2: noisy sets: not needed, VOiCES is noisy as it was recorded"; fi

# 3 to 8: utils/stages.sh.
for conf in "${systems[@]}"; do stage_features "$conf"; done
for conf in "${models[@]}"; do
  if [[ -n $trains ]]; then stage_link_model "$conf"; else stage_link_model "$conf" backend calibration; fi
done
for conf in "${configs[@]}"; do
  list_noise_dirs "$conf"
  stage_train "$conf" "$train_set" "$valid_set" "${data_markers[@]}" "${noise_markers[@]}" -- \
    "${noise_dirs[@]}" --rirs "$data/rirs" --channels "$data/channels"
done
for conf in "${systems[@]}"; do stage_extract "$conf" "$train_set"; done
for conf in "${systems[@]}"; do
  if [[ -n $trains ]]; then stage_backend "$conf" "$train_set"; else stage_linked_backend "$conf"; fi
done
for conf in "${systems[@]}"; do stage_score "$conf" "$valid_set" "${eval_sets[@]}"; done
stage_report
end_of_recipe
