# shellcheck shell=bash disable=SC2154
# Source me: stages that know when they are up to date. Uses the caller's $stage, $stop_stage and $dry_run.
#
# A stage leaves a marker, written last: its first line holds the options it ran with, the others the size and name of
# each output. The stage is up to date while the options are the same, every output has that size, and no input is newer
# than the marker. Redo a stage by deleting its marker or any of its outputs; what depends on it follows by itself.

declare -A pending_markers=() # of stages that a dry run would run
stages_run=0

log() { printf '%s %s\n' "$(date '+%F %T')" "$*" >&2; }
die() {
  log "error: $*"
  exit 1
}

runs_stage() { ((stage <= $1 && $1 <= stop_stage)); }

why_stale() { # why_stale MARKER OPTIONS INPUT...: prints the reason; nothing if the marker is up to date
  local marker=$1 options=$2 input
  shift 2
  for input in "$@"; do
    if [[ -v pending_markers[$input] ]]; then
      echo "$input will be made anew"
      return
    fi
  done
  if [[ ! -e $marker ]]; then
    echo "it has not been completed yet"
  elif [[ $(head -n 1 "$marker") != "options: $options" ]]; then
    echo "options were '$(head -n 1 "$marker" | cut -d' ' -f2-)', now '$options'"
  elif ! changed=$(diff <(tail -n +2 "$marker") <(tail -n +2 "$marker" | cut -d' ' -f2- | xargs -r -d '\n' stat -c '%s %n' 2> /dev/null)); then
    echo "output missing or changed: $(grep -m 1 '^<' <<< "$changed" | cut -d' ' -f3-)"
  else
    for input in "$@"; do
      if [[ $input -nt $marker ]]; then
        echo "$input is newer"
        return
      fi
    done
  fi
}

# stage_needs_run NUMBER TITLE MARKER OPTIONS INPUT...: true if the stage has to run now; says why, or that it is up to date.
stage_needs_run() {
  local number=$1 title=$2 marker=$3 options=$4 input reason
  shift 4
  runs_stage "$number" || return 1
  for input in "$@"; do
    [[ -e $input || -v pending_markers[$input] ]] || die "stage $number ($title): missing input $input; run the stages before it first"
  done
  reason=$(why_stale "$marker" "$options" "$@")
  if [[ -z $reason ]]; then
    log "stage $number: $title: up to date"
    return 1
  fi
  stages_run=$((stages_run + 1))
  if [[ $dry_run == true ]]; then
    log "stage $number: $title: would run: $reason"
    pending_markers[$marker]=1
    return 1
  fi
  log "stage $number: $title: $reason"
  mkdir -p "$(dirname "$marker")"
  rm -f "$marker"
  stage_started=$SECONDS
}

mark_done() { # mark_done NUMBER MARKER OPTIONS OUTPUT...
  local number=$1 marker=$2 options=$3
  shift 3
  { echo "options: $options"; stat -c '%s %n' "$@"; } > "$marker.tmp" || die "stage $number: an output is missing"
  mv "$marker.tmp" "$marker"
  log "stage $number: done in $((SECONDS - stage_started)) s"
}
