# shellcheck shell=bash disable=SC2154
# Source me: stages 4 and 5 of systems that make better embeddings of an extractor's embeddings. They use run.sh's
# options.

# 4: noisy copies, or halves of utterances, and their embeddings, for a system that trains on more than the extractor's.
stage_enhancement_inputs() { # stage_enhancement_inputs CONF
  local conf=$1 system inputs name marker options halve=()
  system=$(system_of "$conf") inputs=$exp/$(system_of "$conf")/inputs
  marker=$inputs/.stage4.done options="seed=$seed halves=$halves ${noise_args[*]}"
  if [[ $halves == true ]]; then halve=(--halves); fi
  if stage_needs_run 4 "inputs of $system" "$marker" "$options" "$conf" "$data"/.stage{0,1}.done \
    "${own_train_markers[@]}" "${noise_markers[@]}" "$extractor/.stage5.done"; then
    rm -rf "$inputs"/{data,embeddings}
    "${train_cmd[@]}" --num-threads "$nj" "$exp/$system/log/make_inputs.log" python -m sv.bin.make_enhancement_inputs \
      --config "$conf" --seed "$seed" --nj "$nj" "${halve[@]}" --train-dir "$train_dir" \
      "${noise_args[@]}" "$inputs/data"
    OMP_NUM_THREADS=1 "${cuda_cmd[@]}" --gpu "$((num_gpus > 0))" JOB=1:"$num_tasks" \
      "$exp/$system/log/extract_inputs.JOB.log" python -m sv.bin.extract --model "$extractor" \
      --job JOB --num-jobs "$num_tasks" --out "$inputs/embeddings" "$inputs"/data/*
    for name in xvector segments; do
      utils/merge_scp.py --num-jobs "$num_tasks" --single-ark "$name" "$inputs/embeddings" "$inputs"/data/*
    done
    mark_done 4 "$marker" "$options" "$inputs"/data/*/cuts.jsonl.gz "$inputs"/embeddings/*/segments.{ark,scp}
  fi
}

# 4: train.
stage_train_enhancement() { # stage_train_enhancement CONF
  local conf=$1 system inputs set=$train_dir from=() marker options depends
  system=$(system_of "$conf") inputs=$exp/$(system_of "$conf")/inputs
  marker=$exp/$system/.stage4.done options="seed=$seed extractor=$extractor halves=$halves"
  depends=("$conf" "$data/.stage1.done" "${own_train_markers[@]}" "$extractor/.stage5.done")
  if [[ $halves == true ]]; then
    set=$inputs/data/clean
  else
    from=("$extractor/embeddings/${train_dir##*/}/segments.scp")
  fi
  if [[ $halves == true || ${noisy_copies_of[$conf]} != 0 ]]; then
    stage_enhancement_inputs "$conf"
    depends+=("$inputs/.stage4.done") from+=("$inputs"/embeddings/*/segments.scp) # clean, noisy1, noisy2, ...
  fi
  if stage_needs_run 4 "train $system" "$marker" "$options" "${depends[@]}"; then
    rm -rf "$exp/$system/lists"
    python -m sv.bin.make_enhancement_lists --seed "$seed" "$set" "$exp/$system/lists/train"
    python -m sv.bin.make_enhancement_lists --seed "$seed" "$held_out" "$exp/$system/lists/valid"
    "${cuda_cmd[@]}" --gpu "$num_gpus" "${nodes[@]}" "$exp/$system/log/train.log" \
      utils/torchrun.sh "$num_ranks" -m sv.bin.train_enhancement --config "$conf" --seed "$seed" \
      --lists "$exp/$system/lists/train" "${from[@]/#/--embeddings=}" --extractor "$extractor" \
      --valid-lists "$exp/$system/lists/valid" --valid-trials "$held_out/trials" \
      --valid-embeddings "$extractor/embeddings/${held_out##*/}/segments.scp" --exp-dir "$exp/$system"
    mark_done 4 "$marker" "$options" "$exp/$system"/{config.json,checkpoints/best.pt}
  fi
}

# 5: the enhanced embeddings of every condition, draw by draw, and of the training set.
stage_enhance() { # stage_enhance CONF SET...
  local conf=$1 system embeddings draw sets suffix files marker options own
  system=$(system_of "$conf") embeddings=$exp/$(system_of "$conf")/embeddings
  own_sets_of "$conf"
  for draw in 1 "${more_draws[@]}"; do
    sets_of_draw "$draw" "${@:2}" "${own[@]##*/}"
    marker=$exp/$system/.stage5$suffix.done options="sets=${sets[*]}"
    if stage_needs_run 5 "enhance $system${suffix/-draw/, draw }" "$marker" "$options" "$exp/$system/.stage4.done" \
      "$extractor/.stage5$suffix.done"; then
      "${cuda_cmd[@]}" --gpu "$((num_gpus > 0))" "$exp/$system/log/enhance.log" python -m sv.bin.enhance \
        --model "$exp/$system" --embeddings "$extractor/embeddings" --out "$embeddings" "${sets[@]}"
      python -m sv.bin.speaker_means --embeddings "$embeddings" "${sets[@]/#/$data/}"
      files_of_sets "$embeddings" "$VECTOR_FILES" "${sets[@]}"
      mark_done 5 "$marker" "$options" "${files[@]}"
    fi
  done
}
