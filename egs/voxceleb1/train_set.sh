# shellcheck shell=bash disable=SC2034,SC2154
# Source me: the option --train-set, the speakers that systems are trained on: VoxCeleb1's (vox1), VoxCeleb2's (vox2) or
# both (vox1+vox2). Test sets are VoxCeleb1's in any case, and its sets are made even where a training set has no use of
# them, so that another --train-set makes none of them anew. Speakers of VoxCeleb1 are held out; with vox2, speakers of
# VoxCeleb2: then nothing has heard VoxCeleb1, and vox1-e and vox1-h may test.

valid_fraction_of_vox2=${valid_fraction:-0.01} # 60 speakers; of VoxCeleb1, 0.04 are 49

choose_train_set() { # $train_dir and $held_out; of another set than vox1 also $own_held_out and $own_train_markers
  train_dir=$data/voxceleb1_train held_out=$data/voxceleb1_valid
  eval_sets=("$held_out" "${test_sets[@]}")
  name_after_train_set
  if [[ $train_set == vox1 ]]; then
    if [[ -n $voxceleb2 ]]; then log "--voxceleb2 is not read: --train-set vox1 goes without it (vox2, vox1+vox2)"; fi
    return
  fi
  own_train_markers=("$data/.stage1-$train_set.done")
  if [[ $train_set == vox2 ]]; then
    train_dir=$data/voxceleb2_train held_out=$data/voxceleb2_valid own_held_out=$held_out
  else
    train_dir=$data/voxceleb1+2_train
  fi
}

name_after_train_set() { # after choose_systems: a system of another training set is another system
  local conf initial
  if [[ $train_set == vox1 ]]; then return; fi
  for conf in "${configs[@]}"; do
    if [[ $conf != *.toml ]]; then continue; fi
    # shellcheck disable=SC2004 # the index is a name
    names_of[$conf]=$(system_of "$conf")_$train_set
    initial=$(utils/system_info.py "$conf" train.initial=)
    if [[ -n $initial && $initial != *_"$train_set" ]]; then
      log "$conf starts from $exp/$initial; --set train.initial=${initial}_$train_set is that of --train-set $train_set"
    fi
  done
}

# 0: VoxCeleb2 -> a data directory, with a marker of its own: VoxCeleb1's are left alone.
stage_voxceleb2() {
  local marker=$data/.stage0-corpus-voxceleb2.done options="max_bad=$max_bad" located tables
  if [[ $train_set == vox1 ]] || ! runs_stage 0; then return; fi
  locate_corpora voxceleb2="$voxceleb2"
  ((${#located[@]})) || die "--train-set $train_set needs VoxCeleb2: --voxceleb2 DIR, or below --corpora"
  if stage_needs_run 0 VoxCeleb2 "$marker" "$options" "corpus:${located[0]}"; then
    log "stage 0: voxceleb2 in ${located[0]#*=}"
    "${train_cmd[@]}" --num-threads "$nj" "$data/log/prepare_voxceleb2.log" local/prepare_voxceleb2.py \
      --nj "$nj" --max-bad "$max_bad" "$(linked "${located[0]}")" "$data"
    show_warnings 0 "$data/log/prepare_voxceleb2.log"
    utils/validate_data_dir.py "$data/voxceleb2_dev"
    tables_of "$data/voxceleb2_dev"
    mark_done 0 "$marker" "$options" "${tables[@]}"
  fi
}

# 1: the training set of more than VoxCeleb1, no speaker of which is tested or held out.
stage_train_set() {
  local marker=$data/.stage1-$train_set.done options tables inputs=("$data"/.stage0{,-corpus-voxceleb2}.done) drawn=()
  if [[ $train_set == vox1 ]]; then return; fi
  options="set=$train_set"
  if [[ $train_set == vox2 ]]; then
    options+=" valid_fraction=$valid_fraction_of_vox2 seed=$seed" drawn=("$held_out/trials")
  else
    inputs+=("$data/.stage1.done")
  fi
  if stage_needs_run 1 "training set $train_set" "$marker" "$options" "${inputs[@]}"; then
    if [[ $train_set == vox2 ]]; then
      local/split_validation.py --fraction "$valid_fraction_of_vox2" --seed "$seed" "$data"/voxceleb2_{dev,train,valid}
    else
      local/combine_sets.py "$train_dir" "$data"/voxceleb{1_train,2_dev}
    fi
    local/check_leak.py "$train_dir" "$data/voxceleb1_test" "$held_out"
    tables_of "$train_dir" ${own_held_out:+"$own_held_out"}
    mark_done 1 "$marker" "$options" "${tables[@]}" "${drawn[@]}"
  fi
}
