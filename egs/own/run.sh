#!/usr/bin/env bash
# A corpus of one's own under noise: from a folder of speakers to a table of EER by noise condition.
#
#   ./run.sh --corpus DIR --model campplus --musan DIR    a model from elsewhere, tested with all of one's speakers
#   ./run.sh --corpus TABLE.tsv --corpora DIR --num-test 20    a system trained on them, but for 20 test speakers
#   ./run.sh --corpus DIR --corpora DIR --config conf/adapt_full.toml --extractor campplus    a model adapted to them
#   ./run.sh --mini                                       synthetic voices and a small model, on any CPU, in minutes
# DIR holds one folder a speaker, recordings at any depth (deeper folders are sessions); TABLE has a line a recording,
# below a header of path, speaker, session, gender. <name> is that of DIR or TABLE.
#
# Stage                 reads                              writes
#   0 prepare           the corpus; MUSAN, RIRS_NOISES     data/<name>/<name> musan_* rirs channels
#   1 validate and cut  data/<name>/<name>                 <name>_{test,train,valid}, speaker-disjoint; trials
#   2 noisy sets        <name>_test, noise (test)          <name>_test-<noise>-snr<db>[-draw<n>]
#   3 features          <name>_{valid,test*}               exp/<name>/feats/<features>/<set>, feats.scp
#   4 train             <name>_{train,valid}, noise        exp/<name>/<system>/{config.json,checkpoints,train.jsonl}
#   5 extract           feats, train wavs, <system>        exp/<name>/<system>/embeddings/<set>
#   6 back end          embeddings of <name>_train         exp/<name>/<system>/backend: mean, LDA, PLDA, AS-norm cohort
#   7 score             embeddings, back end, trials       exp/<name>/<system>/{scores/<set>,calibration,results.json}
#   8 report            results                            exp/<name>/<system>/report/index.html

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
BASH_ARGV0=./run.sh # wherever it was called from

. ./path.sh
. utils/options.sh
# Options
corpus=           # a folder of speakers, or a table: path, speaker, session, gender (tsv or csv)
num_test=         # test speakers: a number, or a share as 0.2; default: a fifth, or all with --model alone
config=           # the system to train: conf/exu_net_light.toml, or conf/mini/exu_net.toml with --mini
extractor=        # model, as --model takes it, that conf/adapt_*.toml makes robust
baseline=none     # what it is compared with: another of conf/*.toml
corpora=          # folder that holds musan/ RIRS_NOISES/ Nonspeech100/
rirs=             # RIRS_NOISES, if elsewhere
nonspeech100=     # Nonspeech100, if elsewhere
download=         # fetch these freely available corpora into --corpora first: musan,rirs
noises=           # noise types of the tests, of noise,music,babble,nonspeech: the first three, or none but --noise
protocol=exact    # how noise is added to the test sets: exact, at the SNR, or exu_net, as that published code does
conditions=noise  # kinds of test condition, of noise,reverb,codec,clip,far; or some alone: reverb-small,codec-opus
snrs=0,5,10,15,20 # their signal-to-noise ratios in dB
draws=1           # draws of whatever is random in a test condition; more than one: the spread over draws is shown, too
max_targets=10000 # target trials, at most
max_nontargets=30000 # nontarget trials, at most
valid_fraction=0.125 # share of the other speakers held out for validation
# End of options
. utils/stages.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/adaptation.sh

if [[ $mini == true ]]; then corpus=synthetic; fi
[[ -n $corpus ]] || die "name a folder of speakers, or a table of recordings: --corpus DIR|TABLE"
name=$(corpus_name "$corpus")
default data "data/$name" data/mini
default exp "exp/$name" exp/mini
common_defaults
default config conf/exu_net_light.toml conf/mini/exu_net.toml
default note '' 'Synthetic corpus (eSpeak NG voices): compares systems with each other; not results of speech.'
if [[ $mini == true ]]; then corpus=$corpora/voxceleb1/dev/wav; fi
choose_systems_of "$config"
for conf in "${configs[@]}"; do [[ ${reads_of[$conf]} != embeddings ]] || die "$conf: see egs/voxceleb1"; done

test_set=$data/${name}_test held_out=$data/${name}_valid train_set=$data/${name}_train own_parts=()
if [[ ${#configs[@]},$num_test == 0, ]]; then # nothing to train, nobody held out: all speakers are tested
  test_set=$data/$name held_out='' train_set='' own_parts=(backend calibration) # if a model from elsewhere has them
fi
if [[ -z $noises$noise && $conditions =~ (noise|far) ]]; then noises=noise,music,babble; fi
list_conditions "$test_set"
choose_noises
test_sets=("$test_set" "${noisy_sets[@]}" "${more_sets[@]}")
eval_sets=("${test_sets[@]}" ${held_out:+"$held_out"}) data_markers=("$data"/.stage{0,1,2}.done)

# 0: the corpus, and those of noise and rooms -> data directories.
marker=$data/.stage0.done options="name=$name max_bad=$max_bad seed=$seed"
find_corpora musan="$musan" nonspeech100="$nonspeech100" rirs="$rirs"
if [[ -f $corpus ]]; then corpus_inputs+=("$corpus"); fi
if [[ -d $corpus && $mini == false ]]; then corpus_inputs+=("corpus:own-$name=$corpus"); fi
if stage_needs_run 0 prepare "$marker" "$options" "${corpus_inputs[@]}"; then
  if [[ $mini == true ]]; then synthesise local/make_synthetic_corpus.py; fi
  log "stage 0: $name in $corpus"
  "${train_cmd[@]}" --num-threads "$nj" "$data/log/prepare_$name.log" local/prepare_folder.py --name "$name" \
    --nj "$nj" --max-bad "$max_bad" "$(linked "own-$name=$corpus")" "$data"
  prepare_corpora ''
  local/make_channels.py --seed "$seed" "$data"
  found_sets "$data"/{"$name",musan_*,nonspeech100,rirs}
  mark_done 0 "$marker" "$options" "${tables[@]}" "$data/channels/wav.scp"
fi
hold_out_rooms

# 1: valid data, test speakers and their trials, speaker-disjoint training and validation sets.
marker=$data/.stage1.done options="test=${test_set##*/} num_test=$num_test valid_fraction=$valid_fraction seed=$seed"
options+=" max_targets=$max_targets max_nontargets=$max_nontargets"
if stage_needs_run 1 "validate and cut" "$marker" "$options" "$data/.stage0.done"; then
  found_sets "$data"/{"$name",musan_*}
  utils/validate_data_dir.py "${found[@]}"
  if [[ -n $train_set ]]; then
    local/split_test.py --num-test "${num_test:-0}" --draw "$seed" "$data/$name" "$data/${name}_dev" "$test_set"
    local/split_validation.py --fraction "$valid_fraction" --seed "$seed" "$data/${name}_dev" "$train_set" "$held_out"
  fi
  python -m sv make-trials --max-targets "$max_targets" --max-nontargets "$max_nontargets" --seed "$seed" \
    "$test_set" "$test_set/trials"
  found_sets "$test_set" ${train_set:+"$train_set" "$held_out"}
  if [[ -n $train_set ]]; then local/check_leak.py "$train_set" "$test_set" "$held_out"; fi
  mark_done 1 "$marker" "$options" "${tables[@]}" "$test_set/trials" ${held_out:+"$held_out/trials"}
fi

# 2: noisy copies of the test set, as lhotse cuts.
marker=$data/.stage2.done options="noises=$noises snrs=$snrs seed=$seed$own_said$encoder_said"
if stage_needs_run 2 "noisy sets" "$marker" "$options" "$data"/.stage{0,1}.done "${own_markers[@]}"; then
  make_noisy_sets "$test_set"
  files_of_noisy_sets "${noisy_sets[@]}"
  mark_done 2 "$marker" "$options" "${files[@]}"
fi
stage_more_draws "$test_set"

# 3 to 8: utils/stages.sh, utils/adaptation.sh.
for conf in "${systems[@]}"; do stage_features_for "$conf"; done
for conf in "${models[@]}"; do stage_link_model "$conf" "${own_parts[@]}"; done
for conf in "${configs[@]}"; do stage_train_or_adapt "$conf" "$train_set" "$held_out"; done
for conf in "${systems[@]}"; do stage_extract "$conf" "$train_set"; done
for conf in "${systems[@]}"; do
  if [[ -n $train_set ]]; then stage_backend "$conf" "$train_set"; else stage_linked_backend "$conf"; fi
done
for conf in "${systems[@]}"; do stage_score "$conf" "$held_out" "${test_sets[@]}" ${held_out:+"$held_out"}; done
if [[ -n $extractor && -z $linked ]]; then stage_report "$extractor"; else stage_report; fi
end_of_recipe
