# shellcheck shell=bash disable=SC2034,SC2154
# Source me through utils/stages.sh: what recipes do around their stages. Uses the recipe's options.

# What configurations say, by file; asked once, by choose_systems.
declare -A features_of=() reads_of=() noisy_copies_of=() noises_of=() reverb_of=() samples_of=()
tuned='' # by --large-margin
noise_corpora=() own_noises=() own_markers=() musan_needs='' own_said='' encoder_said='' # of tests, by choose_noises
more_sets=() more_draws=() own_sets=() # of --draws, by list_conditions
own_held_out='' own_train_markers=() # of another training set: its held-out set, and the markers it depends on
declare -A names_of=() sources_of=() weights_of=() # of models from elsewhere, by configuration

default() { # default OPTION VALUE MINI_VALUE: what an option is if it was not given; the latter with --mini
  local value=$2
  if [[ $mini == true ]]; then value=$3; fi
  if [[ -z ${!1} ]]; then printf -v "$1" '%s' "$value"; fi
}

one_spelling() { # one_spelling PATH: relative below the recipe's folder, else absolute; without // and ./ and a last /
  local how=-ms
  if [[ /$1/ == */../* ]]; then how=-m; fi # a .. behind a link leads elsewhere than its text
  realpath "$how" --relative-base="$PWD" -- "$1"
}

spell_paths() { # markers hold paths as text: options that name the same file or folder are to be the same text
  local option item found
  for option in data exp corpora voxceleb1 voxceleb2 musan rirs nonspeech100 voices vctk digits noisy_vctk corpus; do
    if [[ -n ${!option-} ]]; then printf -v "$option" '%s' "$(one_spelling "${!option}")"; fi
  done
  # these may be names or lists
  for option in config baseline phrase_config extractor initial trials enrolment model test_audio; do
    if [[ -z ${!option-} ]]; then continue; fi
    found=()
    while read -r -d , item; do
      if [[ -e $item ]]; then item=$(one_spelling "$item"); fi
      found+=("$item")
    done <<< "${!option},"
    printf -v "$option" '%s' "$(IFS=, && echo "${found[*]}")"
  done
}

in_order() { # in_order LIST KIND...: a list with commas, by the kinds that its items are or begin with, then by name
  local kind item found=()
  for kind in "${@:2}"; do
    while read -r item; do
      if [[ $item == "$kind" || $item == "$kind"-* ]]; then found+=("$item"); fi
    done < <(tr , '\n' <<< "$1" | LC_ALL=C sort)
  done
  (IFS=, && echo "${found[*]}")
}

order_lists() { # in another order, the same conditions: each is drawn by itself
  conditions=$(in_order "$conditions" noise reverb codec clip far)
  snrs=$(tr , '\n' <<< "$snrs" | LC_ALL=C sort -g | paste -sd ,)
  despite=$(tr , '\n' <<< "$despite" | LC_ALL=C sort | paste -sd ,)
  if [[ -v microphones ]]; then microphones=$(tr , '\n' <<< "$microphones" | LC_ALL=C sort | paste -sd ,); fi
  if [[ ! -v phrase_config ]]; then # whose own protocol draws from them in order
    noises=$(in_order "$noises" noise music babble nonspeech demand)
  fi
}

common_defaults() { # of the options of utils/options.sh that depend on --mini or on this machine
  spell_paths
  order_lists
  default data data data/mini
  default exp exp exp/mini
  default corpora '' "$data/corpora"
  if [[ -n $model ]]; then # alone, unless another system is named
    for option in config baseline phrase_config; do if [[ -v $option ]]; then default "$option" none none; fi; done
  fi
  : "${nj:=$(nproc)}" "${num_gpus:=$(nvidia-smi --list-gpus 2> /dev/null | grep -c ^GPU || true)}"
  ((num_ranks = ${num_ranks:-0} > 0 ? num_ranks : num_nodes * (num_gpus > 0 ? num_gpus : 1)))
  num_tasks=$((num_gpus > 0 ? num_gpus : nj)) # of extraction
  if ((probe > 0)); then dry_run=true; fi
  nodes=()
  if ((num_nodes > 1)); then nodes=(--num-nodes "$num_nodes"); fi
}

choose_systems() { # choose_systems CONF...: $configs, each once and without 'none', $models, and $systems, all of them
  local conf other said answers
  configs=()
  for conf in "$@"; do
    if [[ $conf == none ]]; then continue; fi
    for other in "${configs[@]}"; do if [[ $conf -ef $other ]]; then continue 2; fi; done
    [[ -f $conf || $conf != */config.json ]] || die "no trained system in $(dirname "$conf")"
    [[ -f $conf ]] || die "no system configuration $conf; there are: $(echo conf/*.toml)"
    configs+=("$conf")
  done
  apply_settings
  add_large_margin
  for conf in "${configs[@]}"; do
    said=$(utils/system_info.py "$conf" features reads loss.noisy_copies=0 noises \
      augment.reverb_prob=0 samples)
    mapfile -t answers <<< "$said"
    features_of[$conf]=${answers[0]} reads_of[$conf]=${answers[1]} noisy_copies_of[$conf]=${answers[2]}
    noises_of[$conf]=${answers[3]} reverb_of[$conf]=${answers[4]} samples_of[$conf]=${answers[5]}
  done
  choose_models "$model"
  systems=("${configs[@]}" "${models[@]}")
  choose_initial
}

add_large_margin() { # with --large-margin: after the system of --config, itself trained on with those settings
  local place=$exp/conf i
  if [[ -z ${large_margin-} ]]; then return; fi
  [[ -f $config ]] || die "--large-margin: no system is trained here; name it, --config conf/NAME.toml"
  if [[ $dry_run == true ]]; then place=$(mktemp -d) && temporary+=("$place"); fi
  tuned=$(python -m sv resolve_config --out "$place" --with "$large_margin" --suffix _lm "$config")
  for i in "${!configs[@]}"; do
    if [[ ${configs[i]} == "$config" ]]; then configs=("${configs[@]:0:i+1}" "$tuned" "${configs[@]:i+1}") && break; fi
  done
}

choose_initial() { # with --initial: $initial_weights, the file that the training of --config starts from
  local said answers line
  initial_weights=''
  if [[ -z ${initial-} ]] || ! runs_stage 4; then return; fi
  [[ -f $config ]] || die "--initial $initial: no system is trained here; name it, --config conf/NAME.toml"
  said=$(python -m sv models fit "$initial" "$config")
  while read -r line; do log "--initial: $line"; done <<< "$said"
  said=$(python -m sv models resolve "$initial")
  mapfile -t answers <<< "$said"
  initial_weights=${answers[3]}
}

apply_settings() { # with --set: $configs, and the options that name them, are files that it was put into
  local place=$exp/conf conf said found settings i option
  if [[ -z ${set-} ]]; then return; fi
  ((${#configs[@]})) || die "--set: no system is trained here, and models from elsewhere stay as they are"
  if [[ $dry_run == true ]]; then # which writes nothing that stays
    place=$(mktemp -d)
    temporary+=("$place")
  fi
  mapfile -t settings <<< "$set"
  said=$(python -m sv resolve_config --out "$place" "${settings[@]/#/--set=}" "${configs[@]}")
  mapfile -t found <<< "$said"
  for i in "${!configs[@]}"; do
    if [[ ${found[i]} == "${configs[i]}" ]]; then continue; fi
    for option in config baseline phrase_config; do
      if [[ -v $option && ${!option} -ef ${configs[i]} ]]; then printf -v "$option" '%s' "${found[i]}"; fi
    done
    conf=${found[i]}
    # shellcheck disable=SC2004 # the index is a name: stage.sh declares the array
    made_of[$conf]=${configs[i]} configs[i]=$conf
  done
}

choose_models() { # choose_models MODEL,...: $models, what describes each; asked once what they are
  local model name conf other said answers
  models=()
  for model in ${1//,/ }; do
    said=$(python -m sv models resolve "$model")
    mapfile -t answers <<< "$said" # name, what is named by --model, description, weights
    name=${answers[0]} conf=${answers[2]}
    for other in "${configs[@]}" "${models[@]}"; do
      [[ $(system_of "$other") != "$name" ]] || die "--model $model: another system is called $name, too"
    done
    names_of[$conf]=$name sources_of[$conf]=${answers[1]} weights_of[$conf]=${answers[3]}
    features_of[$conf]='' reads_of[$conf]=waveforms noisy_copies_of[$conf]=0 noises_of[$conf]='' samples_of[$conf]=false
    if [[ $conf == */config.json ]]; then
      said=$(utils/system_info.py "$conf" features samples)
      mapfile -t answers <<< "$said"
      features_of[$conf]=${answers[0]} samples_of[$conf]=${answers[1]}
    fi
    models+=("$conf")
  done
  if [[ -n $1 && ,$despite, != *,crop_scheme,* ]]; then despite=${despite:+$despite,}crop_scheme; fi # each has its own
}

system_of() { # system_of CONF: the name of a system, from conf/<system>.toml or <system>/config.json
  if [[ -v names_of[$1] ]]; then
    echo "${names_of[$1]}"
  elif [[ $1 == */config.json ]]; then
    basename "$(dirname "$1")"
  else
    basename "$1" .toml
  fi
}

feats_of() { # feats_of CONF: where a system's stored features lie; nothing if it reads waveforms or embeddings
  if [[ -n ${features_of[$1]} ]]; then echo "$exp/feats/${features_of[$1]}"; fi
}

list_conditions() { # list_conditions TEST_DIR...: $noisy_sets, the data directories of the noisy sets of these; and
  # of draws after the first, $more_draws, their numbers, $more_sets, their data directories, and $own_sets, under which
  # systems that draw noise themselves embed again what is not random
  local test_dir said found draw set sets suffix given=() fixed=("${@/%/-clean}")
  noisy_sets=() more_sets=() more_draws=() own_sets=()
  if ((draws > 1)); then given=(--draws "$draws"); fi
  for test_dir in "$@"; do
    said=$(local/make_noisy_test.py --list --conditions "$conditions" --noises "$noises" --snrs "$snrs" \
      ${noise:+--noise "$noise"} "${given[@]}" "$test_dir" "$data")
    mapfile -t found < <(printf '%s' "$said")
    sets_of_draw 1 "${found[@]}"
    noisy_sets+=("${sets[@]}") more_sets+=("${found[@]:${#sets[@]}}")
    for set in "${sets[@]}"; do if [[ $set =~ -codec-[^-]+$ ]]; then fixed+=("$set"); fi; done
  done
  if ((${#more_sets[@]})); then
    mapfile -t more_draws < <(seq 2 "$draws")
    for draw in "${more_draws[@]}"; do own_sets+=("${fixed[@]/%/-draw$draw}"); done
  elif ((draws > 1)); then
    log "--draws $draws: nothing in these conditions is random; there is one draw"
  fi
}

sets_of_draw() { # sets_of_draw DRAW SET...: $sets, those of the sets that are of a draw, and $suffix, of its markers
  local set own
  sets=() suffix=''
  if (($1 > 1)); then suffix=-draw$1; fi
  for set in "${@:2}"; do
    own=''
    if [[ $set =~ -draw[0-9]+$ ]]; then own=${BASH_REMATCH[0]}; fi
    if [[ $own == "$suffix" ]]; then sets+=("$set"); fi
  done
}

choose_noises() { # $own_noises, NAME=DIR of each --noise, and $musan_needs, folders of MUSAN that somebody asks for
  # choose_noises NOISES refuses those of them that are for tests alone, and none.
  local said name conf wanted=$noises
  musan_needs='' noise_corpora=()
  local/noises.py ${1+--needed} --noises "${1-}" "$data" > /dev/null
  said=$(local/own_noise.py --list ${noise:+--noise "$noise"} "$data")
  mapfile -t own_noises < <(printf '%s' "$said")
  own_markers=("${own_noises[@]%%=*}")
  own_markers=("${own_markers[@]/#/$data/.stage0-}") own_said=${noise:+ own=${own_noises[*]%%=*}}
  own_markers=("${own_markers[@]/%/.done}")
  if [[ $protocol != exact ]]; then own_said+=" protocol=$protocol"; fi
  for conf in "${configs[@]}"; do wanted+=,${noises_of[$conf]}; done
  for name in noise music babble; do
    if [[ ,$wanted, == *,$name,* ]]; then musan_needs+=,${name/babble/speech}; fi
  done
  musan_needs=${musan_needs#,}
  if [[ $mini == false ]]; then # whose stage makes all corpora
    if [[ -n $musan_needs ]]; then noise_corpora+=(musan); fi
    if [[ ,$noises, == *,nonspeech,* ]]; then noise_corpora+=(nonspeech100); fi
    if [[ ,$noises, == *,demand,* ]]; then noise_corpora+=(noisy_vctk); fi
  fi
  add_noise_markers own_markers "$noises"
  if [[ $conditions != noise ]]; then own_said+=" conditions=$conditions"; fi
  encoder_said=''
  if [[ ,$conditions == *,codec* ]]; then # another version, other audio
    said=$(python -c 'import soundfile; print(soundfile.__libsndfile_version__)')
    encoder_said=" libsndfile=$said"
  fi
  if tests_rooms; then own_markers+=("$data/.stage0-rooms.done"); fi
  for conf in "${configs[@]}"; do list_noise_dirs "$conf"; done # so that an unknown type is said before any work
}

tests_rooms() { [[ ,$conditions =~ ,(reverb|far) ]]; } # true if rooms of RIRS_NOISES are held out for tests

add_noise_markers() { # add_noise_markers ARRAY NOISES: those of the corpora that these noise types are of
  local -n markers=$1
  local name
  for name in "${noise_corpora[@]}"; do
    case $name in
      musan) [[ ,$2, =~ ,(noise|music|babble), ]] || continue ;;
      nonspeech100) [[ ,$2, == *,nonspeech,* ]] || continue ;;
      noisy_vctk) [[ ,$2, == *,demand,* ]] || continue ;;
    esac
    markers+=("$data/.stage0-corpus-$name.done")
  done
}

list_noise_dirs() { # list_noise_dirs CONF: $noise_dirs, arguments that name the training noise of a system; and
  # $noise_markers, what it depends on for these; and $training_rooms
  local said found name own=()
  noise_markers=() training_rooms=$data/rirs
  if tests_rooms && [[ ! ${reverb_of[$1]-0} =~ ^0?(\.0*)?$ ]]; then # it does not hear the rooms of the tests
    noise_markers=("$data/.stage0-rooms.done") training_rooms=$data/rirs_train
  fi
  add_noise_markers noise_markers "${noises_of[$1]}"
  for name in "${own_noises[@]%%=*}"; do
    own+=("$name")
    if [[ ,${noises_of[$1]}, == *,$name,* ]]; then noise_markers+=("$data/.stage0-$name.done"); fi
  done
  said=$(local/noises.py --noises "${noises_of[$1]}" --own "$(IFS=, && echo "${own[*]}")" "$data")
  mapfile -t found < <(printf '%s' "$said")
  noise_dirs=("${found[@]/#/--noise-dir=}")
}

noise_args_of() { # noise_args_of CONF: $noise_args, of its training
  list_noise_dirs "$1"
  noise_args=("${noise_dirs[@]}" --rirs "$training_rooms" --channels "$data/channels")
}

# 0: noise folders of one's own -> data directories, each with a marker of its own.
prepare_own_noises() {
  local place name marker options="max_bad=$max_bad seed=$seed" dir
  for place in "${own_noises[@]}"; do
    name=${place%%=*} marker=$data/.stage0-${place%%=*}.done dir=$data/noise_${place%%=*}
    if stage_needs_run 0 "noise $name" "$marker" "$options" "corpus:noise-$place"; then
      "${train_cmd[@]}" --num-threads "$nj" "$data/log/prepare_noise_$name.log" local/own_noise.py \
        --noise "$name=$(linked "noise-$place")" --seed "$seed" --nj "$nj" --max-bad "$max_bad" "$data"
      mark_done 0 "$marker" "$options" "$dir"_{train,test}/{wav.scp,utt2spk,utt2dur,cuts.jsonl.gz,reco2digest}
    fi
  done
}

linked() { # linked NAME=DIR: a link to a corpus, made anew; by it the tables name its files, wherever it is moved later
  local folder
  if [[ $mini == true || ! -d ${1#*=} ]]; then # it moves with the data, or is a table
    echo "${1#*=}"
    return
  fi
  folder=$(realpath -s -- "$data")/links
  mkdir -p "$folder"
  ln -sfn -- "$(realpath -- "${1#*=}")" "$folder/${1%%=*}"
  echo "$folder/${1%%=*}"
}

# 0: a corpus of noise -> data directories, with a marker of its own: other noises of the tests leave the speech alone.
prepare_noise_corpus() { # prepare_noise_corpus NAME=DIR
  local name=${1%%=*} marker options="max_bad=$max_bad" given=() sets=() tables
  marker=$data/.stage0-corpus-$name.done
  if [[ $name == musan ]]; then given=(--needs "$musan_needs") options+=" needs=$musan_needs"; fi
  if stage_needs_run 0 "$name" "$marker" "$options" "corpus:$1"; then
    log "stage 0: $name in ${1#*=}"
    "${train_cmd[@]}" --num-threads "$nj" "$data/log/prepare_$name.log" "local/prepare_$name.py" \
      --nj "$nj" --max-bad "$max_bad" "${given[@]}" "$(linked "$1")" "$data"
    case $name in
      musan) sets=("$data"/musan_*) ;;
      nonspeech100) sets=("$data/nonspeech100") ;;
      noisy_vctk) sets=("$data"/vctk_noise_*) ;;
    esac
    utils/validate_data_dir.py "${sets[@]}"
    tables_of "${sets[@]}"
    mark_done 0 "$marker" "$options" "${tables[@]}"
  fi
}

hold_out_rooms() { # data/rirs -> data/rirs_{train,test}, if there are tests in rooms
  local marker=$data/.stage0-rooms.done
  if tests_rooms && stage_needs_run 0 "held-out rooms" "$marker" '' "$data/.stage0.done"; then
    local/hold_out_rooms.py "$data"
    mark_done 0 "$marker" '' "$data"/rirs_{train,test}/{wav.scp,utt2spk,utt2dur,cuts.jsonl.gz}
  fi
}

corpus_name() { # corpus_name CORPUS: what the sets of a folder or table of one's own are called; no name that is ours
  local name
  name=$(realpath -ms -- "$1") name=${name##*/} && if [[ -f $1 ]]; then name=${name%.*}; fi
  name=$(LC_ALL=C tr -c 'A-Za-z0-9_\n' _ <<< "${name:0:60}")
  case $name in '' | rirs* | channels | converted | log | nonspeech100 | musan_* | noise_*) name+=_speech ;; esac
  echo "$name"
}

found_sets() { # found_sets DIR...: $found, those of these data directories that are there, and $tables, what is in them
  local set # but for those of prepare_noise_corpus
  found=()
  for set in "$@"; do
    case $mini,${set##*/} in false,musan_* | false,nonspeech100 | false,vctk_noise_*) continue ;; esac
    if [[ -d $set ]]; then found+=("$set"); fi
  done
  tables_of "${found[@]}"
}

tables_of() { # tables_of DIR...: $tables, what is in these data directories
  local set
  tables=()
  for set in "$@"; do tables+=("$set"/{wav.scp,utt2spk,utt2dur,cuts.jsonl.gz,reco2digest}); done
}

synthesise() { # synthesise PROGRAM: the corpora of --mini
  "${train_cmd[@]}" --num-threads "$nj" "$data/log/synthesise.log" "$1" --nj "$nj" --seed "$seed" "$corpora"
}

make_noisy_sets() { # make_noisy_sets TEST_DIR [DRAW]: the noisy sets of a test set, of the first or another draw
  "${train_cmd[@]}" --num-threads "$nj" "$data/log/make_noisy_${1##*/}.log" local/make_noisy_test.py \
    --protocol "$protocol" \
    --conditions "$conditions" --noises "$noises" --snrs "$snrs" ${noise:+--noise "$noise"} --seed "$seed" \
    ${2:+--draw "$2"} --nj "$nj" "$1" "$data"
}

files_of_noisy_sets() { # files_of_noisy_sets DIR...: $files, what later stages read of what stage 2 wrote
  local set name
  files=()
  for set in "$@"; do
    files+=("$set"/{cuts.jsonl.gz,wav.scp,utt2spk,trials})
    for name in draws.tsv enrolment encoder protocol; do # where they are; gains in the first tell of replaced noise
      if [[ -e $set/$name ]]; then files+=("$set/$name"); fi
    done
  done
}

# 2: further draws of the noisy sets, each with a marker of its own, so that one more makes no other anew.
stage_more_draws() { # stage_more_draws TEST_DIR...
  local draw marker test_dir sets suffix files options="noises=$noises snrs=$snrs seed=$seed$own_said"
  for draw in "${more_draws[@]}"; do
    sets_of_draw "$draw" "${more_sets[@]}"
    marker=$data/.stage2$suffix.done
    if stage_needs_run 2 "noisy sets, draw $draw" "$marker" "$options" "$data"/.stage{0,1}.done \
      "${own_markers[@]}"; then
      for test_dir in "$@"; do make_noisy_sets "$test_dir" "$draw"; done
      files_of_noisy_sets "${sets[@]}"
      mark_done 2 "$marker" "$options" "${files[@]}"
    fi
  done
}

find_corpora() { # find_corpora NAME=DIR...: $corpus_inputs, what stage 0 is made of; DIR may be empty
  local place dry=() speech=()
  prepare_own_noises
  corpus_inputs=() corpus_places=()
  for place in "$@"; do # those of noise only if a noise of them is asked for
    case $mini,${place%%=*} in
      false,musan | false,nonspeech100) [[ " ${noise_corpora[*]} " == *" ${place%%=*} "* ]] || continue ;;
    esac
    corpus_places+=("$place")
  done
  set -- "${corpus_places[@]}"
  if ! runs_stage 0; then return; fi
  if [[ $mini == true ]]; then # the stage makes them
    corpus_inputs=("corpus:synthetic=$corpora")
    return
  fi
  for place in "$@"; do
    if [[ ,$download, != *,${place%%=*},* ]]; then
      dry+=("$place")
    elif [[ $dry_run == false ]]; then
      local/download_corpora.py "$corpora" "${place%%=*}"
    else
      # shellcheck disable=SC2004 # the index is a name
      pending_markers[$data/.stage0-corpus-${place%%=*}.done]=1
    fi
  done
  if [[ $dry_run == true ]]; then locate_corpora "${dry[@]}"; else locate_corpora "$@"; fi
  for place in "${located[@]}"; do
    if [[ " ${noise_corpora[*]} " == *" ${place%%=*} "* ]]; then
      prepare_noise_corpus "$place"
    else
      speech+=("$place") corpus_inputs+=("corpus:$place")
    fi
  done
  located=("${speech[@]}")
  if [[ $verify_audio == true && $dry_run == false && -e $data/.stage0.done ]]; then
    local/verify_audio.py --nj "$nj" "$data" || rm -f "$data"/.stage0{,-corpus-voxceleb2}.done
  fi
}

locate_corpora() { # locate_corpora NAME=DIR...: $located, NAME=DIR of those that are there
  local place names=() folders=() said needs=''
  for place in "$@"; do
    names+=("${place%%=*}") folders+=("--$(tr _ - <<< "${place%%=*}")" "${place#*=}")
  done
  if tests_rooms; then needs=,rooms; fi
  said=$(local/check_corpora.py --names "$(IFS=, && echo "${names[*]}")" --noises "$noises$needs" --corpora "$corpora" \
    "${folders[@]}")
  mapfile -t located < <(printf '%s' "$said" | tr '\t' =)
}

prepare_corpora() { # prepare_corpora [NAME OPTION...]: data directories of the corpora that find_corpora was told of
  # The options go to local/prepare_NAME.py of that one corpus.
  local special=${1-} i place corpus options
  if [[ $mini == true ]]; then locate_corpora "${corpus_places[@]}"; fi
  for i in "${!located[@]}"; do
    place=${located[i]} options=()
    corpus=${place%%=*}
    if [[ $corpus == "$special" ]]; then options=("${@:2}"); fi
    log "stage 0: $corpus in ${place#*=}"
    place=$corpus=$(linked "$place")
    located[i]=$place # for place_of
    "${train_cmd[@]}" --num-threads "$nj" "$data/log/prepare_$corpus.log" "local/prepare_$corpus.py" \
      --nj "$nj" --max-bad "$max_bad" "${options[@]}" "${place#*=}" "$data"
  done
}

note_list() { # note_list TEST_DIR: adds to $note which published trial list the set has, if it is one
  if [[ -e $1/published_list ]]; then note="${note:+$note }Trials: $(< "$1/published_list")."; fi
}

place_of() { # place_of NAME: folder of a corpus that was located
  local place
  for place in "${located[@]}"; do if [[ $place == "$1="* ]]; then echo "${place#*=}"; fi; done
}

show_warnings() { # show_warnings NUMBER LOG: the warnings in the log of a stage
  sed -n "s/.* WARNING /stage $1: /p" "$2" | while read -r line; do log "$line"; done
}

end_of_recipe() { # say what a dry run estimates, or that there was nothing to do
  if [[ $dry_run == true ]]; then
    say_estimate .
    log "dry run: $stages_run stage(s) would run"
  elif ((stages_run == 0)); then
    log "nothing to do: every stage from $stage to $stop_stage is up to date"
  fi
}
