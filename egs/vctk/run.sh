#!/usr/bin/env bash
# GE2E on VCTK: speakers enrolled from several utterances, verified on any text and on a fixed phrase, clean and in noise.
#
#   ./run.sh --corpora DIR               the real corpora; every stage that is not up to date
#   ./run.sh --mini                      a synthetic corpus and small models, on any CPU, in minutes
#   ./run.sh --stage 3 --stop-stage 5    just those
#
# Stage                 reads                                writes
#   0 prepare           corpora                              data/{vctk,vctk_phrase,digits} data/musan_* data/vctk_noise_*
#   1 validate and cut  data/{vctk,vctk_phrase}              data/{vctk,vctk_phrase}_{train,valid,test}, speaker-disjoint; enrolment, trials
#   2 noisy sets        data/{vctk_test,digits}, noise       data/{vctk_test,digits}-<noise>-snr<db>, the two published protocols
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

# Options
stage=0           # first stage to run
stop_stage=8      # last stage to run
config=           # the system trained on all sentences: conf/ge2e_tisv.toml, or conf/mini/ge2e_tisv.toml with --mini
baseline=none     # another one, trained on the same, that it is compared with; for instance conf/ge2e_tisv_contrast.toml
phrase_config=    # the system trained on one phrase: conf/ge2e_tdsv.toml, or conf/mini/ge2e_tdsv.toml; 'none' to go without
corpora=          # folder that holds VCTK-Corpus/ fsdd/ musan/ noisy_vctk/
vctk=             # VCTK 0.80 or 0.92, if elsewhere
digits=           # Free Spoken Digit Dataset, if elsewhere
musan=            # MUSAN, if elsewhere
noisy_vctk=       # noisy VCTK, if elsewhere; for --noises demand
download=         # fetch these freely available corpora into --corpora first: musan
noises=noise,music,babble # noise types of training and test conditions, of noise, music, babble, demand
snrs=0,5,10,15,20 # signal-to-noise ratios of the test conditions in dB
num_enrol=5       # utterances that a model is enrolled from
num_test=0        # test speakers, the last in C order; 0: all but nine of each whole ten
vad_top_db=20     # recordings are trimmed to what is louder than the loudest frame less this many dB
num_copies=100    # of the one phrase of each training speaker, in an epoch
valid_fraction=   # share of the training speakers held out for validation: 0.1, or 0.2 with --mini
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
seed=0            # of everything random
note=             # shown with the results, for instance what the corpus is not
dry_run=false     # say what would run and why, and run nothing
# End of options

. ./path.sh
. utils/stage.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

if [[ $mini == true ]]; then
  : "${data:=data/mini}" "${exp:=exp/mini}" "${corpora:=$data/corpora}" "${valid_fraction:=0.2}"
  : "${config:=conf/mini/ge2e_tisv.toml}" "${phrase_config:=conf/mini/ge2e_tdsv.toml}"
  : "${note:=Synthetic corpus (eSpeak NG voices): compares systems with each other; not VCTK results.}"
fi
: "${data:=data}" "${exp:=exp}" "${config:=conf/ge2e_tisv.toml}" "${phrase_config:=conf/ge2e_tdsv.toml}" "${valid_fraction:=0.1}"
count_resources
configs=("$config")
for other in "$baseline" "$phrase_config"; do
  if [[ $other != none && ! $other -ef $config ]]; then configs+=("$other"); fi
done
for conf in "${configs[@]}"; do [[ -f $conf ]] || die "no system configuration $conf; there are: $(echo conf/*.toml)"; done

conditions=()
for set in vctk_test digits; do
  for noise in ${noises//,/ }; do for snr in ${snrs//,/ }; do conditions+=("$data/$set-$noise-snr$snr"); done; done
done
published=("$data/vctk_one_recording" "$data/vctk_shared_recordings")
test_sets=("$data/vctk_test" "$data/digits" "${published[@]}" ${conditions[@]+"${conditions[@]}"})
data_markers=("$data"/.stage{0,1,2}.done)
eval_sets=("$data/vctk_valid" "$data/vctk_one_recording_valid" "${test_sets[@]}")
noise_dirs=()
for noise in ${noises//,/ }; do
  case $noise in
    noise | music) noise_dirs+=(--noise-dir "$noise=$data/musan_${noise}_train") ;;
    babble) noise_dirs+=(--noise-dir "babble=$data/musan_speech_train") ;;
    demand) noise_dirs+=(--noise-dir "demand=$data/vctk_noise_train") ;;
    *) die "--noises: unknown noise type $noise; known are noise, music, babble, demand" ;;
  esac
done
valid_set_of() { if [[ $1 == "$phrase_config" ]]; then echo vctk_one_recording_valid; else echo vctk_valid; fi; }

# --- 0: corpora -> data directories ---------------------------------------------------------------------------------
marker=$data/.stage0.done
options="corpora=$corpora vctk=$vctk digits=$digits musan=$musan noisy_vctk=$noisy_vctk noises=$noises vad_top_db=$vad_top_db max_bad=$max_bad seed=$seed"
if stage_needs_run 0 prepare "$marker" "$options"; then
  if [[ $mini == true ]]; then
    "${train_cmd[@]}" --num-threads "$nj" "$data/log/synthesise.log" local/make_synthetic_vctk.py --nj "$nj" --seed "$seed" "$corpora"
  fi
  for corpus in ${download//,/ }; do local/download_corpora.py "$corpora" "$corpus"; done
  names=vctk,digits,musan
  if [[ ,$noises, == *,demand,* ]]; then names+=,noisy_vctk; fi
  corpus_dirs=$(local/check_corpora.py --names "$names" --corpora "$corpora" --vctk "$vctk" --digits "$digits" \
    --musan "$musan" --noisy-vctk "$noisy_vctk")
  while IFS=$'\t' read -r corpus dir; do
    extra=()
    if [[ $corpus == vctk ]]; then extra=(--top-db "$vad_top_db"); fi
    log "stage 0: $corpus in $dir"
    "${train_cmd[@]}" --num-threads "$nj" "$data/log/prepare_$corpus.log" "local/prepare_$corpus.py" --nj "$nj" --max-bad "$max_bad" \
      ${extra[@]+"${extra[@]}"} "$dir" "$data"
  done <<< "$corpus_dirs"
  mark_done 0 "$marker" "$options" "$data"/{vctk,vctk_phrase,digits,musan_*}/{wav.scp,utt2spk,utt2dur,cuts.jsonl.gz}
fi

# --- 1: valid data; speakers for testing, validation and training; enrolled models and their trials -------------------
marker=$data/.stage1.done
options="num_test=$num_test num_enrol=$num_enrol num_copies=$num_copies valid_fraction=$valid_fraction seed=$seed"
if stage_needs_run 1 "validate and cut" "$marker" "$options" "$data/.stage0.done"; then
  utils/validate_data_dir.py "$data"/{vctk,vctk_phrase,digits} "$data"/musan_*
  local/split_test.py --num-test "$num_test" "$data"/vctk{,_dev,_test}
  local/split_validation.py --fraction "$valid_fraction" --seed "$seed" "$data"/vctk_{dev,train,valid}
  for part in train valid test; do local/subset_speakers.py "$data"/vctk{_$part,_phrase,_phrase_$part}; done
  local/repeat_utterances.py --copies "$num_copies" "$data"/vctk_phrase_{train,copies}
  for part in valid test; do local/make_enrolment.py --num-enrol "$num_enrol" "$data/vctk_$part"; done
  local/make_enrolment.py --num-enrol "$num_enrol" --by-phrase "$data/digits"
  for part in vctk_train vctk_phrase_copies; do local/check_leak.py "$data/$part" "$data"/{vctk_test,digits,vctk_valid,vctk_phrase_valid}; done
  mark_done 1 "$marker" "$options" "$data"/{vctk_train,vctk_valid,vctk_test,vctk_phrase_copies}/{wav.scp,utt2spk,utt2dur} \
    "$data"/{vctk_test,vctk_valid,digits}/{enrolment,trials}
fi

# --- 2: noisy copies of the test sets, and the published protocols, as lhotse cuts ------------------------------------
marker=$data/.stage2.done
options="noises=$noises snrs=$snrs num_enrol=$num_enrol seed=$seed"
if stage_needs_run 2 "noisy sets" "$marker" "$options" "$data"/.stage{0,1}.done; then
  for set in vctk_test digits; do
    "${train_cmd[@]}" --num-threads "$nj" "$data/log/make_noisy_$set.log" local/make_noisy_test.py --noises "$noises" --snrs "$snrs" \
      --seed "$seed" --nj "$nj" "$data/$set" "$data"
  done
  local/make_one_recording_test.py --copies "$num_enrol" --noises "$noises" --seed "$seed" "$data"/vctk_phrase_test "$data"{,/vctk_one_recording}
  local/make_one_recording_test.py --copies "$num_enrol" --noises "$noises" --seed "$seed" "$data"/vctk_phrase_valid "$data"{,/vctk_one_recording_valid}
  local/make_shared_recordings_test.py --pieces "$num_enrol" "$data"/vctk_{test,shared_recordings}
  for set in "$data/vctk_one_recording_valid" "${published[@]}"; do local/make_enrolment.py --num-enrol "$num_enrol" "$set"; done
  mark_done 2 "$marker" "$options" "${conditions[@]/%//cuts.jsonl.gz}" "${published[@]/%//cuts.jsonl.gz}" "${published[@]/%//trials}"
fi

# --- 3: features of what is evaluated; training computes its own from augmented waveforms ---------------------------
for conf in "${configs[@]}"; do stage_features "$conf"; done

# --- 4: train -------------------------------------------------------------------------------------------------------
for conf in "${configs[@]}"; do
  train_set=vctk_train
  if [[ $conf == "$phrase_config" ]]; then train_set=vctk_phrase_copies; fi
  stage_train "$conf" "$data/$train_set" "$data/$(valid_set_of "$conf")" "${data_markers[@]}" -- ${noise_dirs[@]+"${noise_dirs[@]}"}
done

# --- 5: embeddings of every condition, and, from waveforms, of the training set -------------------------------------
for conf in "${configs[@]}"; do stage_extract "$conf" "$data/vctk_train" "${eval_sets[@]}"; done

# --- 6: back end, from the sentences of the training speakers ---------------------------------------------------------
for conf in "${configs[@]}"; do stage_backend "$conf" "$data/vctk_train"; done

# --- 7: scores and metrics ------------------------------------------------------------------------------------------
for conf in "${configs[@]}"; do
  system=$(system_of "$conf")
  marker=$exp/$system/.stage7.done
  options="noises=$noises snrs=$snrs top_n=$top_n"
  if stage_needs_run 7 "score $system" "$marker" "$options" "$exp/$system"/.stage{5,6}.done "${data_markers[@]}"; then
    "${train_cmd[@]}" "$exp/$system/log/score.log" python -m sv.bin.score_sets --model "$exp/$system" --seed "$seed" --top-n "$top_n" "${eval_sets[@]}"
    "${train_cmd[@]}" "$exp/$system/log/calibrate.log" python -m sv.bin.calibrate_sets --model "$exp/$system" --seed "$seed" \
      --held-out "$data/$(valid_set_of "$conf")" "${test_sets[@]}"
    mark_done 7 "$marker" "$options" "$exp/$system/results.json" "$exp/$system"/scores/*/*.scores "$exp/$system"/calibration/*.json
  fi
done

# --- 8: report ------------------------------------------------------------------------------------------------------
main=$exp/$(system_of "$config")
systems=() inputs=()
for conf in "${configs[@]}"; do systems+=("$exp/$(system_of "$conf")") inputs+=("$exp/$(system_of "$conf")/.stage7.done"); done
marker=$main/.stage8.done
options="systems=${systems[*]} note=$note"
if stage_needs_run 8 report "$marker" "$options" "${inputs[@]}"; then
  # Segments, cohorts and held-out trials are each system's own.
  python -m sv.bin.report --despite crop_scheme --despite normalisation --despite calibration --data "$data" ${note:+--note "$note"} --out "$main/report/index.html" "${systems[@]}" | tee "$main/report.txt"
  mark_done 8 "$marker" "$options" "$main/report/index.html"
elif runs_stage 8 && [[ $dry_run == false && -e $main/report.txt ]]; then
  cat "$main/report.txt"
fi

end_of_recipe
