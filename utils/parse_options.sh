# shellcheck shell=bash
# Source me with the caller's arguments: sets --name value and --name=value, for options that the script declares.
#
# The options of a script are the lines `name=default  # help` between "# Options" and "# End of options" in the script,
# and in the file $common_options, if it is set (utils/options.sh): one place declares, documents and defaults them. Of
# an option in both, the script's line counts. `--some-name` sets `some_name`; an option whose default is true or false
# needs no value; one of $repeatable_options may be given again, and is then a list with commas; one of
# $repeatable_lines too, and is a list of lines. `--help` prints the script's leading comment and its
# options. The program $option_checker, if it is set, gets all values and refuses those that make no sense. No eval, no
# arithmetic with a value, clean under `set -u`.

declared_options() { # lines of NAME|DEFAULT|HELP, the script's own first
  local line='s/^\([a-z][a-z0-9_]*\)=\([^# ]*\) *#* *\(.*\)$/\1|\2|\3/p'
  sed -n "/^# Options$/,/^# End of options$/ $line" "$0" ${common_options:+"$common_options"} | awk -F '|' '!seen[$1]++'
}

known_options() { declared_options | cut -d '|' -f 1; }

print_help() {
  sed -n '2,/^[^#]/ { s/^# \{0,1\}//p }' "$0"
  echo "Options (default):"
  declared_options | while IFS='|' read -r name default help; do
    printf '  --%-18s %s%s\n' "${name//_/-}" "$help" "${default:+ ($default)}"
  done
}

usage_error() {
  local known
  known=$(known_options | sed 's/_/-/g; s/^/--/' | paste -sd' ')
  printf '%s: %s; known options: %s\n' "$0" "${1//[[:cntrl:]]/?}" "$known" >&2
  exit 2
}

while (( $# > 0 )); do
  case $1 in
    --help | -h) print_help; exit 0 ;;
    --*=*) option_name=${1#--} option_value=${option_name#*=} option_name=${option_name%%=*} option_given=true ;;
    --*) option_name=${1#--} option_given=false ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
  shift
  option_variable=${option_name//-/_}
  if [[ ! $option_variable =~ ^[a-z][a-z0-9_]*$ ]] || ! grep -qxF -e "$option_variable" <(known_options); then
    usage_error "unknown option --$option_name"
  fi
  if [[ $option_given == false ]]; then
    if [[ ${!option_variable} == true || ${!option_variable} == false ]] && [[ ! ${1:-} =~ ^(true|false)$ ]]; then
      option_value=true
    elif (( $# == 0 )) || [[ $1 == --* ]]; then
      usage_error "option --$option_name needs a value"
    else
      option_value=$1
      shift
    fi
  fi
  if [[ ${!option_variable} == true || ${!option_variable} == false ]] && [[ ! $option_value =~ ^(true|false)$ ]]; then
    usage_error "option --$option_name takes true or false, got '$option_value'"
  fi
  if [[ ${!option_variable} =~ ^[0-9]+$ && ! $option_value =~ ^[0-9]+$ ]]; then
    usage_error "option --$option_name takes a whole number, got '$option_value'"
  fi
  if [[ " ${repeatable_options-} " == *" $option_variable "* && -n ${!option_variable} ]]; then
    option_value=${!option_variable},$option_value
  elif [[ " ${repeatable_lines-} " == *" $option_variable "* && -n ${!option_variable} ]]; then
    option_value=${!option_variable}$'\n'$option_value
  fi
  printf -v "$option_variable" '%s' "$option_value"
done
if [[ -n ${option_checker:-} ]]; then
  option_values=()
  while read -r option_name; do option_values+=("$option_name=${!option_name}"); done < <(known_options)
  PYTHONPATH=$(dirname "$option_checker")/..${PYTHONPATH:+:$PYTHONPATH} \
    "$option_checker" "$0" "${option_values[@]}" || exit 2
fi
unset option_name option_value option_given option_variable option_values
