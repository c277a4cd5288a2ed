# shellcheck shell=bash disable=SC2004,SC2034,SC2154
# Source me: the option --extractor, and stage 4 of systems that make a trained model robust. They use run.sh's options.

declare -A loss_of=() # by configuration
enhances() { [[ ${reads_of[$1]-} == embeddings ]]; } # enhances CONF: true for a system that reads embeddings
adapts() { [[ $1 == *.toml && ${loss_of[$1]-} == adapt_* ]]; } # adapts CONF: true for what starts from a trained model

# What --extractor names: a folder of this recipe's experiments, or whatever --model takes, which is then scored beside.
choose_extractor() { # sets $extractor, the folder of its embeddings; $adapted, what is adapted; and $model
  local said answers
  adapted=$extractor baseline=none
  if [[ $(dirname "$extractor") -ef $exp ]]; then
    [[ -f $extractor/config.json ]] || die "no trained system in --extractor $extractor"
    extractor=${extractor%/}
    return
  fi
  said=$(python -m sv models resolve "$extractor")
  mapfile -t answers <<< "$said"
  if [[ ,$model, != *,$extractor,* ]]; then model=${model:+$model,}$extractor; fi
  extractor=$exp/${answers[0]}
}

# After choose_systems: an adaptation's folder is called after the extractor, too, whose features it reads.
name_adaptation() { # name_adaptation CONF
  local conf=$1
  loss_of[$conf]=$(utils/system_info.py "$conf" loss.type=pairs)
  if ! adapts "$conf"; then return; fi
  [[ -n $extractor ]] || die "$conf adapts a trained model: name it, --extractor MODEL"
  names_of[$conf]=$(basename "$conf" .toml)-$(basename "$extractor")
  features_of[$described]=${features_of[$described]-$(utils/system_info.py "$described" features)}
  features_of[$conf]=${features_of[$described]}
}

describe_extractor() { # $linked, what describes an extractor from elsewhere, else empty; $described, of any
  local conf
  linked='' described=$extractor/config.json
  for conf in "${models[@]}"; do
    if [[ $exp/${names_of[$conf]} == "$extractor" ]]; then linked=$conf described=$conf; fi
  done
}

# choose_systems, with what --extractor names.
choose_systems_of() { # choose_systems_of CONFIG
  local conf
  if [[ -n $extractor ]]; then choose_extractor; fi
  choose_systems "$1" "$baseline" # none beside an extractor
  ((${#systems[@]})) || die "no system: name one, --config conf/NAME.toml or --model MODEL"
  describe_extractor
  for conf in "${configs[@]}"; do name_adaptation "$conf"; done
  if enhances "$1" && [[ -z $extractor ]]; then
    die "$1 enhances embeddings: name the model that they come from, --extractor MODEL"
  fi
}

# 3: features; an adaptation's are its extractor's.
stage_features_for() { # stage_features_for CONF
  if ! adapts "$1"; then
    stage_features "$1"
  elif [[ -z $linked ]]; then
    stage_features "$described"
  fi
}

# 4: train a system, or adapt the extractor, as a configuration says.
stage_train_or_adapt() { # stage_train_or_adapt CONF TRAIN_DIR VALID_DIR
  noise_args_of "$1"
  if adapts "$1"; then
    stage_adapt "$@"
  else
    stage_train "$@" "$data"/.stage{0,1}.done "${own_train_markers[@]}" "${noise_markers[@]}" -- "${noise_args[@]}"
  fi
}

stage_adapt() { # stage_adapt CONF TRAIN_DIR VALID_DIR
  local conf=$1 system marker options weights training
  system=$(system_of "$conf") weights=$extractor/checkpoints/best.pt
  if [[ -n $linked ]]; then weights=${weights_of[$linked]}; fi
  marker=$exp/$system/.stage4.done options="seed=$seed extractor=$adapted ${noise_args[*]}"
  training=(utils/torchrun.sh "$num_ranks" -m sv.bin.adapt --config "$conf" --extractor "$adapted" --seed "$seed"
    --train-dir "$2" --valid-dir "$3" "${noise_args[@]}" --exp-dir "$exp/$system")
  if stage_needs_run 4 "adapt $system" "$marker" "$options" "$conf" "$data"/.stage{0,1}.done \
    "${own_train_markers[@]}" "${noise_markers[@]}" "$weights"; then
    "${cuda_cmd[@]}" --gpu "$num_gpus" "${nodes[@]}" "$exp/$system/log/train.log" "${training[@]}"
    mark_done 4 "$marker" "$options" "$exp/$system"/{config.json,checkpoints/best.pt}
  elif [[ -v pending_markers[$marker] ]]; then
    probe_training "$system" "${training[@]}"
  fi
}
