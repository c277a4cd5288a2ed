# shellcheck shell=bash disable=SC2154
# Source me: stages that know when they are up to date. Uses the caller's $stage, $stop_stage and $dry_run.
#
# A stage leaves a marker, written last, with digests of what it was made of: options, inputs, code, outputs. It is up
# to date while all these are the same; times do not matter. What depends on it follows if its outputs have changed.
# Redo a stage by deleting its marker or any of its outputs. A run that has begun a stage keeps other runs from making
# anything in the folder of that stage's marker until it ends; what a run reads is not made anew by another meanwhile;
# a run that was killed keeps nobody out. All that a run started ends with it (run_guard.py).

stage_utils=$(dirname "${BASH_SOURCE[0]}") stage_marker=$stage_utils/stage_marker.py
if [[ -f $0 && ${RUN_GUARD-} != "$PPID" ]]; then exec "$stage_utils/run_guard.py" "$BASH" "$0" "$@"; fi

declare -A pending_markers=() # of stages that a dry run would run
declare -A stage_locks=()     # folders that we make something in, or read
temporary=()                  # folders to remove at the end
declare -A made_of=()         # by file: the one that it was made from, under whose name markers know it
stages_run=0 estimated_files=0 estimated_bytes=0 estimated_seconds=0 stages_unknown=0

log() { printf '%s %s\n' "$(date '+%F %T')" "$*" >&2; }
die() {
  log "error: $*"
  exit 1
}

runs_stage() { ((stage <= $1 && $1 <= stop_stage)); }

unlock_stages() { if ((${#stage_locks[@]} > 0)); then "$stage_marker" unlock "$RUN_ID" "${!stage_locks[@]}"; fi; }
trap 'rm -rf "${temporary[@]}"; unlock_stages' EXIT

add_estimate() { # add_estimate NUMBER MARKER INPUT...: say what a stage will need, and add it to the sum
  # From recorded runs; without any, from the function probe_stage_NUMBER, if there is one and the inputs are there.
  local number=$1 files bytes seconds source input can_probe estimate
  estimate=$("$stage_utils/stage_estimate.py" --recipe "$0" --number "$number" "${@:2}" || true)
  read -r files bytes seconds source <<< "$estimate"
  can_probe=$(declare -F "probe_stage_$number" || true)
  for input in "${@:3}"; do if [[ -v pending_markers[$input] ]]; then can_probe=; fi; done
  if [[ -z $files && -n $can_probe ]]; then read -r files bytes seconds source <<< "$("$can_probe")"; fi
  if [[ -z $files ]]; then
    ((stages_unknown += 1))
    return
  fi
  log "stage $number:   about $files files, $(numfmt --to=si "$bytes")B, $(human_time "$seconds") ($source)"
  "$stage_utils/expectations.py" "$(dirname "$0")" "$2" "$seconds"
  ((estimated_files += files, estimated_bytes += bytes, estimated_seconds += seconds)) || true
}

human_time() { # human_time SECONDS
  if (($1 < 120)); then echo "$1 s"; elif (($1 < 7200)); then echo "$(($1 / 60)) min"; else echo "$(($1 / 3600)) h"; fi
}

say_estimate() { # say_estimate FOLDER: the sum over the stages that a dry run would run, and the disk that there is
  local size
  if ((estimated_files > 0)); then
    size=$(numfmt --to=si "$estimated_bytes")B
    log "dry run: about $estimated_files files, $size, $(human_time "$estimated_seconds") in all;" \
      "$(df -PB1 "$1" | awk 'NR == 2 {print $4}' | numfmt --to=si)B are free"
  fi
  if ((stages_unknown > 0)); then
    log "dry run: $stages_unknown stage(s) without a recorded run to estimate from; ./run.sh --mini records one"
  fi
}

# stage_needs_run NUMBER TITLE MARKER OPTIONS INPUT...: true if the stage has to run now; says why, or that it need not.
# An input is a file, the marker of another stage, or corpus:NAME=DIR.
stage_needs_run() {
  local number=$1 title=$2 marker=$3 options=$4 input reason='' inputs=() given=() code=("$0" "${FUNCNAME[1]}")
  shift 4
  if [[ -e ${BASH_SOURCE[1]} ]]; then code[0]=${BASH_SOURCE[1]}; fi # the stage may be in a file that the recipe sources
  runs_stage "$number" || return 1
  for input in "$@"; do
    if [[ $input == corpus:* ]]; then given+=(--corpus "${input#corpus:}") && continue; fi
    inputs+=("$input")
    if [[ -v made_of[$input] ]]; then given+=(--known-as "$input" "${made_of[$input]}"); fi
    [[ -e $input || -v pending_markers[$input] ]] ||
      die "stage $number ($title): missing input $input; run the stages before it first"
    if [[ -v pending_markers[$input] ]]; then reason="$input will be made anew"; fi
  done
  if [[ $dry_run == false ]]; then
    given+=(--begin "$RUN_ID")
    for input in "$marker" "${inputs[@]}"; do
      if [[ $input == *.done ]]; then stage_locks[$(dirname "$input")]=1; fi
    done
  fi
  if [[ -z $reason ]]; then
    reason=$("$stage_marker" check "${given[@]}" --recipe "${code[0]}" --function "${code[1]}" \
      --folder "$(dirname "$0")" --number "$number" --options "$options" "$marker" "${inputs[@]}") ||
      die "stage $number ($title): cannot begin"
  fi
  if [[ -z $reason ]]; then
    log "stage $number: $title: up to date"
    return 1
  fi
  stages_run=$((stages_run + 1))
  if [[ $dry_run == true ]]; then
    log "stage $number: $title: would run: $reason"
    add_estimate "$number" "$marker" "${inputs[@]}"
    pending_markers[$marker]=1
    return 1
  fi
  log "stage $number: $title: $reason"
  stage_started=$SECONDS
  printf -v STAGE_STARTED '%(%s)T' -1 # what launchers show while their jobs run: job_progress.py
  export STAGE_TITLE="stage $number: $title" STAGE_STARTED STAGE_BEGUN=$marker.begun STAGE_QUIET=${quiet-false}
}

# choose_stale NUMBER MARKER SET...: $stale, the data directories of which a stage that has begun has to make something.
# What it made of the others holds: another set, or another input of one, makes no other anew.
choose_stale() {
  local said
  said=$("$stage_utils/stale_sets.py" "${@:2}") || die "stage $1: cannot tell which sets are up to date"
  stale=()
  if [[ -n $said ]]; then mapfile -t stale <<< "$said"; fi
  if ((${#stale[@]} < $# - 2)); then log "stage $1: ${#stale[@]} of $(($# - 2)) sets; the others are up to date"; fi
}

mark_done() { # mark_done NUMBER MARKER OPTIONS OUTPUT...
  local number=$1 marker=$2 estimated
  shift 3
  estimated=$("$stage_marker" finish --seconds $((SECONDS - stage_started)) "$marker" "$@") ||
    die "stage $number: an output is missing"
  log "stage $number: done in $((SECONDS - stage_started)) s${estimated:+; estimated $(human_time "$estimated")}"
}
