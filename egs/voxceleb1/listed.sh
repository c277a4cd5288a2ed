# shellcheck shell=bash disable=SC2034,SC2154
# Source me: all stages for models from elsewhere on a trial list with recordings of its own, which nothing here is
# trained for: --trials vox1-e and so on, or any list with --test-audio. It uses run.sh's options, and the recipe ends
# here. Data directories and results lie in data/<list> and exp/<list>. Scores are by cosine, and by the back end and
# calibration that a model folder brings, unless that was trained on speakers of the list, which is refused.

. ./cmd.sh
[[ -n $trials ]] || die "--test-audio goes with --trials, the list of its recordings"
list=$(local/protocols.py --set "$trials")
default data "data/$list" "data/mini/$list"
default exp "exp/$list" "exp/mini/$list"
config=${config:-none} baseline=${baseline:-none} conditions=noise noises='' noise='' draws=1
common_defaults
choose_systems "$config" "$baseline"
name_after_train_set
if ((${#configs[@]})); then
  said=()
  for conf in "${configs[@]}"; do said+=("$(system_of "$conf")"); done
  local/check_leak.py --systems "$(IFS=, && echo "${said[*]}")" --protocol "$trials" --train-set "$train_set"
  die "--trials $trials scores models: train ${said[0]} without it, then give its folder, --model exp/${said[0]}"
fi
if ((${#models[@]} == 0)); then die "--trials $trials scores models: name them, --model NAME or a folder"; fi

test_dir=$data/$list test_sets=("$data/$list") eval_sets=("$data/$list") data_markers=("$data"/.stage{0,1}.done)
audio=() lists=() trained=() cohorts=()
if [[ -n $test_audio ]]; then IFS=, read -ra audio <<< "$test_audio"; fi
for place in "$trials" "$enrolment"; do if [[ -f $place ]]; then lists+=("$place"); fi; done
for conf in "${models[@]}"; do
  trained+=("--trained=${sources_of[$conf]}")
  if [[ -f ${sources_of[$conf]}/backend/cohort.scp ]]; then cohorts+=("${sources_of[$conf]}/backend/cohort.scp"); fi
done

# 0: the list's recordings -> a data directory.
marker=$data/.stage0.done options="trials=$trials enrolment=$enrolment max_bad=$max_bad"
if ((${#audio[@]})); then
  corpus_inputs=()
  for folder in "${audio[@]}"; do corpus_inputs+=("corpus:listed${#corpus_inputs[@]}=$folder"); done
elif [[ $mini == true ]]; then
  die "--trials $trials is of the real corpora: --corpora DIR without --mini"
else
  find_corpora voxceleb1="$voxceleb1"
fi
if stage_needs_run 0 prepare "$marker" "$options" "${corpus_inputs[@]}" "${lists[@]}"; then
  audio=()
  for place in "${corpus_inputs[@]}"; do audio+=("$(linked "${place#corpus:}")"); done
  "${train_cmd[@]}" --num-threads "$nj" "$data/log/import_trial_list.log" local/import_trial_list.py \
    --trials "$trials" ${enrolment:+--enrolment "$enrolment"} "${audio[@]/#/--audio=}" \
    --nj "$nj" --max-bad "$max_bad" "$test_dir"
  found_sets "$test_dir"
  mark_done 0 "$marker" "$options" "${tables[@]}" "$test_dir/trials"
fi

# 1: valid data, no speaker of the list among those that a model or its back end was trained on, as far as it tells.
marker=$data/.stage1.done options="models=$model"
if stage_needs_run 1 "validate" "$marker" "$options" "$data/.stage0.done" "${cohorts[@]}"; then
  utils/validate_data_dir.py "$test_dir"
  local/check_leak.py "${trained[@]}" --protocol "$trials" "$test_dir"
  mark_done 1 "$marker" "$options" "$test_dir/wav.scp"
fi

# 2: nothing.
if runs_stage 2; then log "stage 2: noisy sets: none, published lists are scored as they were recorded"; fi

# 3 to 8: utils/stages.sh.
for conf in "${models[@]}"; do stage_features "$conf"; done
for conf in "${models[@]}"; do stage_link_model "$conf" backend calibration; done
for conf in "${models[@]}"; do stage_extract "$conf" ''; done
for conf in "${models[@]}"; do stage_linked_backend "$conf"; done
for conf in "${models[@]}"; do stage_score "$conf" '' "${test_sets[@]}"; done
stage_report
end_of_recipe
