#!/usr/bin/env bash
# GE2E on VCTK: speakers enrolled from several utterances, verified on any text and a fixed phrase, clean and in noise.
#
#   ./run.sh --corpora DIR               the real corpora; every stage that is not up to date
#   ./run.sh --mini                      a synthetic corpus and small models, on any CPU, in minutes
#   ./run.sh --corpora DIR --model campplus    a model from elsewhere: alone, or beside a --config that is named
#
# Stage                 reads                                writes
#   0 prepare           corpora                              data/{vctk,vctk_phrase,digits,musan_*,vctk_noise_*}
#   1 validate and cut  data/{vctk,vctk_phrase}              data/{vctk,vctk_phrase}_{train,valid,test},
#                                                            speaker-disjoint; enrolment, trials
#   2 noisy sets        data/{vctk_test,digits}, noise       data/{vctk_test,digits}-<noise>-snr<db>,
#                                                            the two published protocols
#   3 features          data/vctk_valid, test sets           exp/feats/<features>/<set>, data/<set>/feats.scp
#   4 train             data/{vctk_train,vctk_phrase_copies} exp/<system>/{config.json,checkpoints,train.jsonl}
#   5 extract           exp/feats, train wavs, exp/<system>  exp/<system>/embeddings/<set>
#   6 back end          embeddings of vctk_train             exp/<system>/backend: mean, LDA, PLDA, AS-norm cohort
#   7 score             embeddings, back end, enrolment      exp/<system>/{scores/<set>,calibration,results.json}
#   8 report            results of all systems               exp/<system>/report/index.html
#
# Test set                 measures
#   vctk_test              text-independent verification: models of several sentences against other sentences
#   digits                 text-dependent verification: models of several takes of a digit against other takes of it
#   vctk_one_recording     robustness of one recording to noise (the published text-dependent protocol)
#   vctk_shared_recordings pieces of the same recordings on both sides (the published text-independent protocol)

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
BASH_ARGV0=./run.sh # wherever it was called from

. ./path.sh
. utils/options.sh
# Options
config=           # the system trained on all sentences: conf/ge2e_tisv.toml, or conf/mini/ge2e_tisv.toml with --mini
baseline=none     # another one, trained on the same, to compare it with: for instance conf/ge2e_tisv_contrast.toml
phrase_config=    # the system trained on one phrase: conf/ge2e_tdsv.toml, or conf/mini/ge2e_tdsv.toml; or 'none'
corpora=          # folder that holds VCTK-Corpus/ fsdd/ musan/ noisy_vctk/ RIRS_NOISES/
vctk=             # VCTK 0.80 or 0.92, if elsewhere
digits=           # Free Spoken Digit Dataset, if elsewhere
noisy_vctk=       # noisy VCTK, if elsewhere; for --noises demand
rirs=             # RIRS_NOISES, if elsewhere; for --conditions reverb,far
download=         # fetch these freely available corpora into --corpora first: musan,rirs
noises=noise,music,babble # noise types of training and test conditions, of noise, music, babble, demand
protocol=exact    # how noise is added to the test sets: exact, at the SNR, or exu_net, as that published code does
conditions=noise  # kinds of test condition, of noise,reverb,codec,clip,far; or some alone: reverb-small,codec-opus
snrs=0,5,10,15,20 # signal-to-noise ratios of the test conditions in dB
draws=1           # draws of whatever is random in a test condition; more than one: the spread over draws is shown, too
num_enrol=5       # utterances that a model is enrolled from
num_test=0        # test speakers, the last in C order; 0: all but nine of each whole ten
vad_top_db=20     # recordings are trimmed to what is louder than the loudest frame less this many dB
num_copies=100    # of the one phrase of each training speaker, in an epoch
valid_fraction=   # share of the training speakers held out for validation: 0.1, or 0.2 with --mini
despite=crop_scheme,normalisation,calibration # what compared systems may differ in all the same: here each has its own
# End of options
. utils/stages.sh
. utils/parse_options.sh
. ./cmd.sh

common_defaults
default config conf/ge2e_tisv.toml conf/mini/ge2e_tisv.toml
default phrase_config conf/ge2e_tdsv.toml conf/mini/ge2e_tdsv.toml
default valid_fraction 0.1 0.2
default note '' 'Synthetic corpus (eSpeak NG voices): compares systems with each other; not VCTK results.'
choose_systems "$config" "$baseline" "$phrase_config"
choose_noises "$noises"
list_conditions "$data"/{vctk_test,digits}
published=("$data"/vctk_{one_recording,shared_recordings}) data_markers=("$data"/.stage{0,1,2}.done)
test_sets=("$data"/{vctk_test,digits} "${published[@]}" "${noisy_sets[@]}" "${more_sets[@]}")
eval_sets=("${test_sets[@]}" "$data"/vctk_{valid,one_recording_valid}) # the first is the one of the report's tables
valid_set_of() { [[ $1 != "$phrase_config" ]] && echo "$data/vctk_valid" || echo "$data/vctk_one_recording_valid"; }

# 0: corpora -> data directories.
marker=$data/.stage0.done options="vad_top_db=$vad_top_db max_bad=$max_bad seed=$seed"
places=(vctk="$vctk" digits="$digits" musan="$musan")
if [[ ,$noises, == *,demand,* ]]; then places+=(noisy_vctk="$noisy_vctk"); fi
if tests_rooms; then places+=(rirs="$rirs"); fi
find_corpora "${places[@]}"
if stage_needs_run 0 prepare "$marker" "$options" "${corpus_inputs[@]}"; then
  if [[ $mini == true ]]; then synthesise local/make_synthetic_vctk.py; fi
  prepare_corpora vctk --top-db "$vad_top_db"
  found_sets "$data"/{vctk,vctk_phrase,digits,vctk_noise_*,musan_*,rirs}
  mark_done 0 "$marker" "$options" "${tables[@]}"
fi
hold_out_rooms

# 1: valid data; speakers for testing, validation and training; enrolled models and their trials.
marker=$data/.stage1.done
options="num_test=$num_test num_enrol=$num_enrol num_copies=$num_copies valid_fraction=$valid_fraction seed=$seed"
if stage_needs_run 1 "validate and cut" "$marker" "$options" "$data/.stage0.done"; then
  found_sets "$data"/{vctk,vctk_phrase,digits,musan_*}
  utils/validate_data_dir.py "${found[@]}"
  local/split_test.py --num-test "$num_test" "$data"/vctk{,_dev,_test}
  local/split_validation.py --fraction "$valid_fraction" --seed "$seed" "$data"/vctk_{dev,train,valid}
  for part in train valid test; do local/subset_speakers.py "$data"/vctk{_$part,_phrase,_phrase_$part}; done
  local/repeat_utterances.py --copies "$num_copies" "$data"/vctk_phrase_{train,copies}
  for part in valid test; do local/make_enrolment.py --num-enrol "$num_enrol" "$data/vctk_$part"; done
  local/make_enrolment.py --num-enrol "$num_enrol" --by-phrase "$data/digits"
  for part in train phrase_copies; do local/check_leak.py "$data"/{vctk_{$part,test,valid,phrase_valid},digits}; done
  mark_done 1 "$marker" "$options" "$data"/vctk_{train,valid,test,phrase_copies}/{wav.scp,utt2spk,utt2dur,reco2digest} \
    "$data"/{vctk_test,vctk_valid,digits}/{enrolment,trials}
fi

# 2: noisy copies of the test sets, and the published protocols, as lhotse cuts.
marker=$data/.stage2.done options="noises=$noises snrs=$snrs num_enrol=$num_enrol seed=$seed$own_said$encoder_said"
if stage_needs_run 2 "noisy sets" "$marker" "$options" "$data"/.stage{0,1}.done "${own_markers[@]}"; then
  for test_set in vctk_test digits; do make_noisy_sets "$data/$test_set"; done
  for pair in test:vctk_one_recording valid:vctk_one_recording_valid; do
    local/make_one_recording_test.py --copies "$num_enrol" --noises "$noises" --seed "$seed" \
      "$data/vctk_phrase_${pair%:*}" "$data" "$data/${pair#*:}"
  done
  local/make_shared_recordings_test.py --pieces "$num_enrol" "$data"/vctk_{test,shared_recordings}
  for own in "$data/vctk_one_recording_valid" "${published[@]}"; do local/make_enrolment.py --first-half "$own"; done
  files_of_noisy_sets "${noisy_sets[@]}" "$data/vctk_one_recording_valid" "${published[@]}"
  mark_done 2 "$marker" "$options" "${files[@]}"
fi
stage_more_draws "$data"/{vctk_test,digits}

for conf in "${systems[@]}"; do stage_features "$conf"; done
for conf in "${models[@]}"; do stage_link_model "$conf"; done
for conf in "${configs[@]}"; do
  [[ $conf == "$phrase_config" ]] && train_set=vctk_phrase_copies || train_set=vctk_train
  list_noise_dirs "$conf"
  stage_train "$conf" "$data/$train_set" "$(valid_set_of "$conf")" "${data_markers[@]}" "${noise_markers[@]}" -- \
    "${noise_dirs[@]}"
done
for conf in "${systems[@]}"; do stage_extract "$conf" "$data/vctk_train"; done
for conf in "${systems[@]}"; do stage_backend "$conf" "$data/vctk_train"; done
for conf in "${systems[@]}"; do stage_score "$conf" "$(valid_set_of "$conf")" "${eval_sets[@]}"; done
stage_report
end_of_recipe
