# shellcheck shell=bash disable=SC2154
# Source me after utils/stage.sh: the stages that recipes have in common. They use the caller's options ($exp, $nj, $num_gpus,
# $num_nodes, $compress, $lda_dim, $seed, $dry_run, $stop_stage ...), its commands of cmd.sh, $eval_sets and $data_markers.

system_of() { # system_of CONF: the name of a system, from conf/<system>.toml or <system>/config.json
  if [[ $1 == */config.json ]]; then basename "$(dirname "$1")"; else basename "$1" .toml; fi
}

feats_of() { # feats_of CONF: where a system's stored features lie; nothing if it reads waveforms or embeddings
  local features
  features=$(utils/system_info.py "$1" features)
  if [[ -n $features ]]; then echo "$exp/feats/$features"; fi
}

count_resources() { # $nj, $num_gpus, $num_ranks and $nodes (options of the launcher), as far as they were not given
  : "${nj:=$(nproc)}" "${num_gpus:=$(nvidia-smi --list-gpus 2> /dev/null | grep -c ^GPU || true)}"
  ((num_ranks = ${num_ranks:-0} > 0 ? num_ranks : num_nodes * (num_gpus > 0 ? num_gpus : 1)))
  nodes=()
  if ((num_nodes > 1)); then nodes=(--num-nodes "$num_nodes"); fi
}

# --- 3: features of what is evaluated; training computes its own from augmented waveforms ---------------------------
probe_stage_3() { # for the estimate of a dry run, within stage_features: some utterances, timed
  python -m sv.bin.compute_feats --probe --config "$conf" --compress "$compress" --num-jobs "$nj" --out "$feats" "${eval_sets[@]}"
}

stage_features() { # stage_features CONF: of $eval_sets
  local conf=$1 feats set marker options
  feats=$(feats_of "$conf")
  if [[ -z $feats ]]; then
    if runs_stage 3; then log "stage 3: features of $(system_of "$conf"): not needed, it reads waveforms or embeddings"; fi
    return
  fi
  marker=$feats/.stage3.done
  options="compress=$compress sets=${eval_sets[*]##*/}"
  if stage_needs_run 3 "features ${feats##*/}" "$marker" "$options" "${data_markers[@]}"; then
    for set in "${eval_sets[@]}"; do rm -rf "${feats:?}/${set##*/}"; done
    OMP_NUM_THREADS=1 "${train_cmd[@]}" JOB=1:"$nj" "$feats/log/compute_feats.JOB.log" \
      python -m sv.bin.compute_feats --config "$conf" --compress "$compress" --job JOB --num-jobs "$nj" --out "$feats" "${eval_sets[@]}"
    utils/merge_scp.py --num-jobs "$nj" feats "$feats" "${eval_sets[@]}"
    mark_done 3 "$marker" "$options" "$feats"/*/feats.scp "$feats"/*/feats.*.ark
    for set in "${eval_sets[@]}"; do rm -f "$set/feats.scp"; done
  fi
  if runs_stage 3 && [[ $dry_run == false ]]; then # also into data directories that were made anew
    for set in "${eval_sets[@]}"; do [[ -e $set/feats.scp ]] || cp "$feats/${set##*/}/feats.scp" "$set/feats.scp"; done
  fi
}

# --- 4: train -------------------------------------------------------------------------------------------------------
stage_train() { # stage_train CONF TRAIN_DIR VALID_DIR INPUT... -- ARGUMENT...: the arguments go to sv.bin.train
  local conf=$1 train_dir=$2 valid_dir=$3 system feats marker options inputs=("$1")
  shift 3
  while [[ $1 != -- ]]; do inputs+=("$1") && shift; done
  shift
  system=$(system_of "$conf") feats=$(feats_of "$conf")
  marker=$exp/$system/.stage4.done options="seed=$seed set=${train_dir##*/} $*"
  if stage_needs_run 4 "train $system" "$marker" "$options" "${inputs[@]}"; then
    "${cuda_cmd[@]}" --gpu "$num_gpus" ${nodes[@]+"${nodes[@]}"} "$exp/$system/log/train.log" \
      utils/torchrun.sh "$num_ranks" -m sv.bin.train --config "$conf" --seed "$seed" \
      --train-dir "$train_dir" --valid-dir "$valid_dir" ${feats:+--feats "$feats"} "$@" --exp-dir "$exp/$system"
    mark_done 4 "$marker" "$options" "$exp/$system"/{config.json,checkpoints/best.pt}
  fi
}

# --- 5: embeddings of every condition from its features, and of the training set from its waveforms -----------------
stage_extract() { # stage_extract CONF TRAIN_DIR EVAL_DIR...; an empty TRAIN_DIR to go without
  local conf=$1 train_dir=$2 eval_dirs=("${@:3}") system feats embeddings jobs name marker options inputs=("${data_markers[@]}")
  system=$(system_of "$conf") feats=$(feats_of "$conf")
  marker=$exp/$system/.stage5.done embeddings=$exp/$system/embeddings
  jobs=$((num_gpus > 0 ? num_gpus : nj))
  if [[ -n $feats ]]; then inputs=("$feats/.stage3.done"); fi
  local all=("${eval_dirs[@]}" ${train_dir:+"$train_dir"})
  options="sets=${all[*]##*/}"
  if stage_needs_run 5 "extract $system" "$marker" "$options" "$exp/$system/.stage4.done" "${inputs[@]}"; then
    OMP_NUM_THREADS=1 "${cuda_cmd[@]}" --gpu "$((num_gpus > 0))" JOB=1:"$jobs" "$exp/$system/log/extract.JOB.log" \
      python -m sv.bin.extract --model "$exp/$system" ${feats:+--feats "$feats"} --job JOB --num-jobs "$jobs" --out "$embeddings" "${eval_dirs[@]}"
    if [[ -n $train_dir ]]; then
      OMP_NUM_THREADS=1 "${cuda_cmd[@]}" --gpu "$((num_gpus > 0))" JOB=1:"$jobs" "$exp/$system/log/extract_train.JOB.log" \
        python -m sv.bin.extract --model "$exp/$system" --job JOB --num-jobs "$jobs" --out "$embeddings" "$train_dir"
    fi
    for name in xvector segments; do utils/merge_scp.py --num-jobs "$jobs" --single-ark "$name" "$embeddings" "${all[@]}"; done
    python -m sv.bin.speaker_means --embeddings "$embeddings" "${all[@]}"
    mark_done 5 "$marker" "$options" "$embeddings"/*/{xvector,segments,spk_xvector}.{ark,scp}
  fi
}

# --- 6: back end, from the training set -----------------------------------------------------------------------------
stage_backend() { # stage_backend CONF TRAIN_DIR [VALID_DIR]; the latter for recipes with an option $b_vector
  local conf=$1 train_dir=$2 valid_dir=${3-} epochs=${b_vector:-0} system backend embeddings marker outputs options="lda_dim=$lda_dim"
  system=$(system_of "$conf") backend=$exp/$(system_of "$conf")/backend embeddings=$exp/$(system_of "$conf")/embeddings
  marker=$exp/$system/.stage6.done outputs=("$backend"/{mean.vec,transform.mat,plda,cohort.ark,cohort.scp})
  if ((epochs > 0)); then options+=" b_vector=$epochs" outputs+=("$backend/b_vector.npz"); fi
  if stage_needs_run 6 "back end $system" "$marker" "$options" "$exp/$system/.stage5.done"; then
    "${train_cmd[@]}" "$exp/$system/log/backend.log" python -m sv backend --lda-dim "$lda_dim" \
      "$embeddings/${train_dir##*/}/xvector.scp" "$train_dir/utt2spk" "$backend"
    sed -n 's/.* WARNING /stage 6: /p' "$exp/$system/log/backend.log" | while read -r line; do log "$line"; done
    rm -f "$backend/b_vector.npz"
    if ((epochs > 0)); then
      "${train_cmd[@]}" "$exp/$system/log/b_vector.log" python -m sv b_vector train --seed "$seed" --num-epochs "$epochs" \
        "$embeddings/${train_dir##*/}/xvector.scp" "$train_dir/utt2spk" "$valid_dir/trials" "$embeddings/${valid_dir##*/}/xvector.scp" \
        "$backend/b_vector.npz"
    fi
    mark_done 6 "$marker" "$options" "${outputs[@]}"
  fi
}

end_of_recipe() { # what a dry run estimates, or that there was nothing to do
  if [[ $dry_run == true ]]; then
    say_estimate .
    log "dry run: $stages_run stage(s) would run"
  elif ((stages_run == 0)); then
    log "nothing to do: every stage from $stage to $stop_stage is up to date"
  fi
}
