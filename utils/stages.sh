# shellcheck shell=bash disable=SC2154
# Source me: stages 3 to 8, which recipes have in common. They use the options of the recipe and of utils/options.sh,
# the commands of cmd.sh, and what the recipe sets: $systems (utils/recipe.sh), $data_markers (of the stages that made
# the data directories), $eval_sets (data directories of which features and embeddings are made) and $test_sets (those
# of them that the results are about).
# shellcheck source=utils/stage.sh
. utils/stage.sh
# shellcheck source=utils/recipe.sh
. utils/recipe.sh

score_options=() # of sv.bin.score_sets
VECTOR_FILES='xvector.ark xvector.scp segments.ark segments.scp spk_xvector.ark spk_xvector.scp'

probe_stage_3() { # for the estimate of a dry run, within stage_features: some utterances, timed
  python -m sv.bin.compute_feats --probe --config "$conf" --compress "$compress" --num-jobs "$nj" --out "$feats" \
    "${sets[@]}"
}

files_of_sets() { # files_of_sets FOLDER 'PATTERN ...' SET...: $files, those of each set's folder below FOLDER
  local set pattern
  files=()
  # shellcheck disable=SC2206 # patterns are to be expanded
  for set in "${@:3}"; do for pattern in $2; do files+=("$1/${set##*/}"/$pattern); done; done
}

# 3: features of what is evaluated, draw by draw; training computes its own from augmented waveforms.
stage_features() { # stage_features CONF: of $eval_sets, and of $own_held_out
  local conf=$1 feats draw sets suffix
  feats=$(feats_of "$conf")
  if [[ -z $feats ]]; then
    if runs_stage 3; then
      log "stage 3: features of $(system_of "$conf"): not needed, it reads waveforms or embeddings"
    fi
    return
  fi
  for draw in 1 "${more_draws[@]}"; do
    sets_of_draw "$draw" "${eval_sets[@]}"
    features_of_sets "${data_markers[@]/%.stage2.done/.stage2$suffix.done}"
  done
  if [[ -n $own_held_out ]]; then
    sets=("$own_held_out") suffix=-${own_held_out##*/}
    features_of_sets "${own_train_markers[@]}"
  fi
}

features_of_sets() { # features_of_sets INPUT...: of $sets to $feats; the marker's name has the suffix
  local set files marker options stale
  marker=$feats/.stage3$suffix.done options="compress=$compress sets=${sets[*]##*/}"
  if stage_needs_run 3 "features ${feats##*/}${suffix/-draw/, draw }" "$marker" "$options" "$@"; then
    choose_stale 3 "$marker" "${sets[@]}"
    if ((${#stale[@]})); then
      for set in "${stale[@]}"; do rm -rf "${feats:?}/${set##*/}"; done
      OMP_NUM_THREADS=1 "${train_cmd[@]}" JOB=1:"$nj" "$feats/log/compute_feats.JOB.log" \
        python -m sv.bin.compute_feats --config "$conf" --compress "$compress" --job JOB --num-jobs "$nj" \
        --out "$feats" "${stale[@]}"
      utils/merge_scp.py --num-jobs "$nj" feats "$feats" "${stale[@]}"
    fi
    files_of_sets "$feats" 'feats.scp feats.*.ark' "${sets[@]}"
    mark_done 3 "$marker" "$options" "${files[@]}"
    for set in "${sets[@]}"; do rm -f "$set/feats.scp"; done
  fi
  if runs_stage 3 && [[ $dry_run == false ]]; then # also into data directories that were made anew
    for set in "${sets[@]}"; do [[ -e $set/feats.scp ]] || cp "$feats/${set##*/}/feats.scp" "$set/feats.scp"; done
  fi
}

# 4: train.
stage_train() { # stage_train CONF TRAIN_DIR VALID_DIR INPUT... -- ARGUMENT...: the arguments go to sv.bin.train
  local conf=$1 train_dir=$2 valid_dir=$3 system feats marker options inputs=("$1") start=() training
  shift 3
  while [[ $1 != -- ]]; do inputs+=("$1") && shift; done
  shift
  system=$(system_of "$conf") feats=$(feats_of "$conf")
  marker=$exp/$system/.stage4.done options="seed=$seed set=${train_dir##*/} $*"
  if [[ -n ${initial-} && $conf == "${config-}" ]]; then
    start=(--initial "$initial") options+=" initial=$initial"
    inputs+=("$initial_weights")
  elif [[ $conf == "$tuned" ]]; then
    start=(--initial "$exp/$(system_of "$config")")
    inputs+=("${start[1]}/.stage4.done")
  fi
  training=(utils/torchrun.sh "$num_ranks" -m sv.bin.train --config "$conf" --seed "$seed" --train-dir "$train_dir"
    --valid-dir "$valid_dir" ${feats:+--feats "$feats"} "$@" "${start[@]}" --exp-dir "$exp/$system")
  if stage_needs_run 4 "train $system" "$marker" "$options" "${inputs[@]}"; then
    "${cuda_cmd[@]}" --gpu "$num_gpus" "${nodes[@]}" "$exp/$system/log/train.log" "${training[@]}"
    mark_done 4 "$marker" "$options" "$exp/$system"/{config.json,checkpoints/best.pt}
  elif [[ -v pending_markers[$marker] ]]; then
    probe_training "$system" "${training[@]}"
  fi
}

probe_training() { # probe_training SYSTEM COMMAND...: with --probe, what a training takes that would run
  local system=$1 log=$exp/$1/log/probe.log input
  if ((probe == 0)); then return; fi
  for input in "${!pending_markers[@]}"; do
    if [[ $input == "$data"/.stage[01].done ]]; then
      log "stage 4: no probe of $system: run stages 0 to 1 first"
      return
    fi
  done
  "${cuda_cmd[@]}" --gpu "$num_gpus" "${nodes[@]}" "$log" "${@:2}" --probe "$probe"
  log "stage 4: $(sed -n 's/^probe: //p' "$log")"
}

# 4: link to a model from elsewhere, which nothing here trains.
stage_link_model() { # stage_link_model CONF [PART...]: with these parts of its folder besides, for instance backend
  local conf=$1 system marker options
  system=$(system_of "$conf")
  marker=$exp/$system/.stage4.done options="model=${sources_of[$conf]} with=${*:2}"
  if stage_needs_run 4 "model $system" "$marker" "$options" "$conf" "${weights_of[$conf]}"; then
    python -m sv models link --with "$(IFS=, && echo "${*:2}")" "${sources_of[$conf]}" "$exp/$system"
    mark_done 4 "$marker" "$options" "$exp/$system/config.json"
  fi
}

# 5: embeddings of every condition from its features, draw by draw, and of the training set from its waveforms.
stage_extract() { # stage_extract CONF TRAIN_DIR: of $eval_sets, $own_held_out and TRAIN_DIR, unless that is empty
  local draw sets suffix own
  own_sets_of "$1"
  sets_of_draw 1 "${eval_sets[@]}" ${own_held_out:+"$own_held_out"}
  extract_sets "$1" "" "$2"
  for draw in "${more_draws[@]}"; do
    sets_of_draw "$draw" "${eval_sets[@]}" "${own[@]}"
    extract_sets "$1" "$suffix" ""
  done
}

own_sets_of() { # own_sets_of CONF: $own, names under which a system that draws noise embeds anew what is not random
  local set first
  own=()
  if [[ ${samples_of[$1]} != true ]]; then return; fi
  own=("${own_sets[@]}")
  if [[ $dry_run == true ]] || ! runs_stage 5; then return; fi
  for set in "${own[@]}"; do # the same recordings, as of the first draw
    first=${set%-draw*}
    ln -sfn "$(basename "${first%-clean}")" "$set"
  done
}

extract_sets() { # extract_sets CONF SUFFIX TRAIN_DIR: of $sets and of TRAIN_DIR; the marker's name has the suffix
  local conf=$1 suffix=$2 train_dir=$3 system feats folder all extract files marker options inputs stale
  system=$(system_of "$conf") feats=$(feats_of "$conf") folder=$exp/$(system_of "$conf")
  all=("${sets[@]}" ${train_dir:+"$train_dir"})
  marker=$folder/.stage5$suffix.done options="sets=${all[*]##*/}"
  if [[ $precision != float32 ]]; then options+=" precision=$precision"; fi
  if [[ $runtime != torch ]]; then options+=${runtime:+ runtime=$runtime}; fi
  inputs=("${data_markers[@]/%.stage2.done/.stage2$suffix.done}")
  if [[ -n $feats ]]; then inputs=("$feats/.stage3$suffix.done"); fi
  if [[ -n $feats && -n $train_dir && -n $own_held_out ]]; then inputs+=("$feats/.stage3-${own_held_out##*/}.done"); fi
  if [[ -n $train_dir ]]; then inputs+=("${own_train_markers[@]}"); fi
  if [[ -n $suffix && -n ${own[*]} ]]; then inputs+=("$folder/.stage5.done"); fi
  if stage_needs_run 5 "extract $system${suffix/-draw/, draw }" "$marker" "$options" "$folder/.stage4.done" \
    "${inputs[@]}"; then
    extract=(python -m sv.bin.extract --model "${sources_of[$conf]-$folder}" --job JOB --num-jobs "$num_tasks"
      --precision "$precision" ${runtime:+--runtime "$runtime"} --out "$folder/embeddings")
    choose_stale 5 "$marker" "${all[@]}"
    embed_stale
    files_of_sets "$folder/embeddings" "$VECTOR_FILES" "${all[@]}"
    mark_done 5 "$marker" "$options" "${files[@]}"
  fi
}

embed_stale() { # within extract_sets: those of $sets that are in $stale from $feats, the training set from its audio
  local name
  if ((${#stale[@]} == 0)); then return; fi
  OMP_NUM_THREADS=1 "${cuda_cmd[@]}" --gpu "$((num_gpus > 0))" JOB=1:"$num_tasks" "$folder/log/extract.JOB.log" \
    "${extract[@]}" ${feats:+--feats "$feats"} ${train_dir:+--from-audio "$train_dir"} "${stale[@]}"
  show_warnings 5 "$folder/log/extract.1.log"
  for name in xvector segments; do
    utils/merge_scp.py --num-jobs "$num_tasks" --single-ark "$name" "$folder/embeddings" "${stale[@]}"
  done
  python -m sv.bin.speaker_means --embeddings "$folder/embeddings" "${stale[@]}"
}

# 6: back ends, from the training set.
stage_backend() { # stage_backend CONF TRAIN_DIR [VALID_DIR]; the latter for recipes with the option --b-vector
  local conf=$1 train_dir=$2 valid_dir=${3-} system folder embeddings backend marker options outputs kinds=plda more=()
  system=$(system_of "$conf") folder=$exp/$(system_of "$conf")
  embeddings=$folder/embeddings backend=$folder/backend marker=$folder/.stage6.done options="lda_dim=$lda_dim"
  outputs=("$backend"/{mean.vec,transform.mat,plda,cohort.ark,cohort.scp})
  if ((b_vector > 0)); then
    kinds+=,b_vector options+=" b_vector=$b_vector" outputs+=("$backend/b_vector.npz")
    more=(--set b_vector.num_epochs="$b_vector" --valid-trials "$valid_dir/trials")
    more+=(--valid-scp "$embeddings/${valid_dir##*/}/xvector.scp")
  fi
  if stage_needs_run 6 "back end $system" "$marker" "$options" "$folder/.stage5.done"; then
    rm -f "$backend/b_vector.npz" # stage 7 scores by what the folder holds
    "${train_cmd[@]}" "$folder/log/backend.log" python -m sv backend --kinds "$kinds" --seed "$seed" \
      --lda-dim "$lda_dim" "${more[@]}" "$embeddings/${train_dir##*/}/xvector.scp" "$train_dir/utt2spk" "$backend"
    show_warnings 6 "$folder/log/backend.log"
    mark_done 6 "$marker" "$options" "${outputs[@]}"
  fi
}

# 6: the back end of a model from elsewhere.
stage_linked_backend() { # stage_linked_backend CONF
  local system
  system=$(system_of "$1")
  if ! runs_stage 6; then return; fi
  if [[ -e $exp/$system/backend ]]; then
    log "stage 6: back end $system: the model's"
  else
    log "stage 6: back end $system: not needed, the model has none: cosine"
  fi
}

# 7: scores and metrics, in all and, with --by, by room and so on.
stage_score() { # stage_score CONF HELD_OUT SET...: scores of SETs, calibrated by HELD_OUT those of $test_sets
  # An empty HELD_OUT: a model from elsewhere, with its own back end and calibration, if it has them.
  local conf=$1 held_out=$2 sets=("${@:3}") own system folder marker options inputs outputs draw
  local calibrate=() no_backend=()
  system=$(system_of "$conf") folder=$exp/$(system_of "$conf")
  own_sets_of "$conf"
  sets+=("${own[@]}")
  marker=$folder/.stage7.done inputs=("$folder/.stage5.done") outputs=("$folder/results.json")
  options="top_n=$top_n by=$by ${score_options[*]} sets=${sets[*]##*/}"
  if [[ -n $held_out ]]; then inputs+=("$folder/.stage6.done"); fi
  for draw in "${more_draws[@]}"; do inputs+=({"$data/.stage2","$folder/.stage5"}-draw"$draw".done); done
  inputs+=("${data_markers[@]}" "${own_train_markers[@]}")
  if stage_needs_run 7 "score $system" "$marker" "$options" "${inputs[@]}"; then
    if [[ ! -e $folder/backend ]]; then no_backend=(--no-backend); fi
    "${train_cmd[@]}" "$folder/log/score.log" python -m sv.bin.score_sets --model "$folder" --seed "$seed" \
      --whole --top-n "$top_n" "${score_options[@]}" "${no_backend[@]}" "${sets[@]}"
    show_warnings 7 "$folder/log/score.log"
    if [[ -n $held_out ]]; then
      calibrate=(--held-out "$held_out")
    elif [[ -e $folder/calibration ]]; then
      calibrate=(--stored)
    fi
    if ((${#calibrate[@]})); then
      "${train_cmd[@]}" "$folder/log/calibrate.log" python -m sv.bin.calibrate_sets --model "$folder" --seed "$seed" \
        "${calibrate[@]}" "${test_sets[@]}" "${own[@]}"
      show_warnings 7 "$folder/log/calibrate.log"
      if compgen -G "$folder/calibration/*.json" > /dev/null; then outputs+=("$folder"/calibration/*.json); fi
    fi
    if [[ -n $by ]]; then
      "${train_cmd[@]}" "$folder/log/breakdown.log" python -m sv breakdown --by "$by" --data "$data" \
        --sets "$(IFS=, && echo "${test_sets[*]##*/}")" --seed "$seed" "$folder"
      outputs+=("$folder/breakdown.json")
    fi
    mark_done 7 "$marker" "$options" "${outputs[@]}" "$folder"/scores/*/*.scores
  fi
}

# 8: report.
# shellcheck disable=SC2120 # not every recipe has other model folders
stage_report() { # stage_report [MODEL_DIR...]: a page of $systems and other folders, in the first one's folder
  local conf set folders=() inputs marker options noted=() field
  for set in "${test_sets[@]}"; do note_list "$set"; done
  for conf in "${systems[@]}"; do folders+=("$exp/$(system_of "$conf")"); done
  folders+=("$@") inputs=("${folders[@]/%//.stage7.done}") marker=${folders[0]}/.stage8.done
  options="systems=${folders[*]} despite=$despite note=$note by=$by"
  if [[ -n $note ]]; then noted=(--note "$note"); fi
  for field in ${despite//,/ }; do noted+=(--despite "$field"); done
  if stage_needs_run 8 report "$marker" "$options" "${inputs[@]}"; then
    {
      python -m sv.bin.report --data "$data" "${noted[@]}" --out "${folders[0]}/report/index.html" "${folders[@]}"
      if [[ -n $by ]]; then
        echo
        python -m sv breakdown --by "$by" --data "$data" --sets "$(IFS=, && echo "${test_sets[*]##*/}")" \
          --seed "$seed" "${folders[@]}"
      fi
    } | tee "${folders[0]}/report.txt"
    mark_done 8 "$marker" "$options" "${folders[0]}/report/index.html"
  elif runs_stage 8 && [[ $dry_run == false && -e ${folders[0]}/report.txt ]]; then
    cat "${folders[0]}/report.txt"
  fi
}
