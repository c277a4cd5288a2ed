#!/usr/bin/env bash
# VoxCeleb1 under noise: from the corpora on disk to a table of EER by noise condition, for a system and its baseline.
#
#   ./run.sh --corpora DIR               the real corpora; every stage that is not up to date
#   ./run.sh --mini                      a synthetic corpus and small models, on any CPU, in minutes
#   ./run.sh --corpora DIR --model campplus --trials vox1-e-cleaned    a published trial list by its name
#   ./run.sh --stage 3 --stop-stage 5    just those
#   ./run.sh --corpora DIR --model campplus    a model from elsewhere: alone, or beside a --config that is named
#   ./run.sh --config conf/embedding_mlp_cosine.toml --extractor exp/exu_net    enhance an extractor's embeddings
#   ./run.sh --corpora DIR --config conf/adapt_full.toml --extractor campplus    make a trained model robust
#
# Stage                 reads                                writes
#   0 prepare           corpora                              data/voxceleb1_{dev,test} data/musan_* data/nonspeech100
#                                                            data/rirs data/channels data/voxceleb2_dev
#   1 validate and cut  data/voxceleb1_{dev,test}            data/voxceleb1_{train,valid}, speaker-disjoint
#   2 noisy sets        data/voxceleb1_test, noise (test)    data/voxceleb1_test-<noise>-snr<db>[-draw<n>]
#   3 features          data/voxceleb1_{valid,test*}         exp/feats/<features>/<set>, data/<set>/feats.scp
#   4 train             data/voxceleb1_{train,valid}, noise  exp/<system>/{config.json,checkpoints,train.jsonl}
#   5 extract           exp/feats, train wavs, exp/<system>  exp/<system>/embeddings/<set>
#   6 back end          embeddings of voxceleb1_train        exp/<system>/backend: mean, LDA, PLDA, AS-norm cohort
#   7 score             embeddings, back end, trials         exp/<system>/{scores/<set>,calibration,results.json}
#   8 report            results of both systems              exp/<system>/report/index.html

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
BASH_ARGV0=./run.sh # wherever it was called from
. ./path.sh
. utils/options.sh
# Options
config=           # the system: conf/exu_net.toml, or conf/mini/exu_net.toml with --mini
extractor=        # model, as --model takes it, that conf/adapt_*.toml adapts or conf/embedding_*.toml enhances
large_margin=     # conf/tuning/large_margin.toml, or a file like it: --config is trained on with it, beside itself
halves=false      # enhance embeddings of half utterances: with one utterance per session, da gets its pairs from them
baseline=         # what it is compared with: conf/se_resnet.toml, or conf/mini/se_resnet.toml; 'none' to go without
corpora=          # folder that holds voxceleb1/ VoxCeleb2/ musan/ RIRS_NOISES/ Nonspeech100/
voxceleb1=        # VoxCeleb1, if elsewhere
voxceleb2=        # VoxCeleb2, if elsewhere; for --train-set vox2 and vox1+vox2
train_set=vox1    # development set that systems are trained on: of VoxCeleb1 (vox1), VoxCeleb2 (vox2), or vox1+vox2
rirs=             # RIRS_NOISES, if elsewhere
nonspeech100=     # Nonspeech100, if elsewhere
download=         # fetch these freely available corpora into --corpora first: musan,rirs
trials=     # vox1-o vox1-o-cleaned vox1-e vox1-e-cleaned vox1-h vox1-h-cleaned voxsrc23-dev vc-mix cn-celeb; or a file
test_audio=       # folders, a,b, of the recordings of --trials, which then is any list: models alone are scored on it
enrolment=        # list of <model> <recording> ... lines, for --trials that name models
noises=noise,music,babble,nonspeech # noise types of the test conditions
protocol=exact    # how noise is added to the test sets: exact, at the SNR, or exu_net, as that published code does
conditions=noise  # kinds of test condition, of noise,reverb,codec,clip,far; or some alone: reverb-small,codec-opus
snrs=0,5,10,15,20 # their signal-to-noise ratios in dB
draws=1           # draws of whatever is random in a test condition; more than one: the spread over draws is shown, too
valid_fraction=   # share of the training speakers held out for validation: 0.04, or 0.125 with --mini
b_vector=0        # epochs of RawNet1's b-vector network as one more back end; 0: none; as published: 1000
# End of options
. utils/stages.sh
. utils/parse_options.sh
. ./train_set.sh
if [[ -n $test_audio ]] || local/protocols.py --own-audio "$trials"; then . ./listed.sh; exit; fi
. ./cmd.sh
. utils/adaptation.sh
. ./enhancement.sh

common_defaults
default config conf/exu_net.toml conf/mini/exu_net.toml
default baseline conf/se_resnet.toml conf/mini/se_resnet.toml
default valid_fraction 0.04 0.125
default note '' 'Synthetic corpus (eSpeak NG voices): compares systems with each other; not VoxCeleb1 results.'
choose_systems_of "$config"

list_conditions "$data/voxceleb1_test"
choose_noises
test_sets=("$data/voxceleb1_test" "${noisy_sets[@]}" "${more_sets[@]}")
choose_train_set # train_set.sh: $train_dir, $held_out, $eval_sets
data_markers=("$data"/.stage{0,1,2}.done)

# 0: corpora -> data directories.
marker=$data/.stage0.done options="trials=$trials max_bad=$max_bad seed=$seed"
find_corpora voxceleb1="$voxceleb1" musan="$musan" nonspeech100="$nonspeech100" rirs="$rirs"
if [[ -f $trials ]]; then corpus_inputs+=("$trials"); fi
if stage_needs_run 0 prepare "$marker" "$options" "${corpus_inputs[@]}"; then
  if [[ $mini == true ]]; then synthesise local/make_synthetic_corpus.py; fi
  prepare_corpora voxceleb1 ${trials:+--trials "$trials"}
  local/make_channels.py --seed "$seed" "$data"
  found_sets "$data"/{voxceleb1_{dev,test},musan_*,rirs,nonspeech100}
  mark_done 0 "$marker" "$options" "${tables[@]}" "$data/channels/wav.scp" "$data/voxceleb1_test/trials"
fi
hold_out_rooms
stage_voxceleb2

# 1: valid data, a speaker-disjoint validation set, no trial speaker in training.
marker=$data/.stage1.done options="valid_fraction=$valid_fraction seed=$seed"
if stage_needs_run 1 "validate and cut" "$marker" "$options" "$data/.stage0.done"; then
  found_sets "$data"/{voxceleb1_{dev,test},musan_*}
  utils/validate_data_dir.py "${found[@]}"
  local/split_validation.py --fraction "$valid_fraction" --seed "$seed" "$data"/voxceleb1_{dev,train,valid}
  local/check_leak.py "$data"/voxceleb1_{train,test,valid}
  mark_done 1 "$marker" "$options" "$data"/voxceleb1_{train,valid}/{wav.scp,utt2spk,utt2dur,reco2digest,cuts.jsonl.gz} \
    "$data/voxceleb1_valid/trials"
fi
stage_train_set

# 2: noisy copies of the test set, as lhotse cuts.
marker=$data/.stage2.done options="noises=$noises snrs=$snrs seed=$seed$own_said$encoder_said"
if stage_needs_run 2 "noisy sets" "$marker" "$options" "$data"/.stage{0,1}.done "${own_markers[@]}"; then
  make_noisy_sets "$data/voxceleb1_test"
  files_of_noisy_sets "${noisy_sets[@]}"
  mark_done 2 "$marker" "$options" "${files[@]}"
fi
stage_more_draws "$data/voxceleb1_test"
# 3 to 8: utils/stages.sh, utils/adaptation.sh, enhancement.sh for systems that read an extractor's embeddings.
for conf in "${systems[@]}"; do stage_features_for "$conf"; done
for conf in "${models[@]}"; do stage_link_model "$conf"; done
for conf in "${configs[@]}"; do
  if enhances "$conf"; then
    noise_args_of "$conf"
    if [[ -n $linked ]]; then stage_extract "$linked" "$train_dir"; fi # it is trained on these
    stage_train_enhancement "$conf"
  else
    stage_train_or_adapt "$conf" "$train_dir" "$held_out"
  fi
done
for conf in "${systems[@]}"; do
  if enhances "$conf"; then
    stage_enhance "$conf" "${eval_sets[@]##*/}" ${own_held_out:+"${own_held_out##*/}"} "${train_dir##*/}"
  elif [[ $conf != "$linked" ]] || ! enhances "$config"; then
    stage_extract "$conf" "$train_dir"
  fi
done
for conf in "${systems[@]}"; do stage_backend "$conf" "$train_dir" "$held_out"; done
for conf in "${systems[@]}"; do stage_score "$conf" "$held_out" "${test_sets[@]}" "$held_out"; done
if [[ -n $extractor && -z $linked ]]; then stage_report "$extractor"; else stage_report; fi
end_of_recipe
