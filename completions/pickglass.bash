# bash completion for pickglass
_pickglass() {
  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" command="${COMP_WORDS[1]}"
  local common="--help --quiet --verbose --resume --insecure --end-kills-target --kill-launched --follow-forks --connect-timeout --timeout --pid --binary"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "run trace check list schema --help --version" -- "$word"))
    return
  fi
  case "$before" in
    --pid) COMPREPLY=($(compgen -W "$(cd /proc && echo [0-9]*)" -- "$word")); return ;;
    --targets|--target-stdout|--binary|-o|--output) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  case "$command" in
    run) COMPREPLY=($(compgen -W "$common --param --output --targets --target-stdout --require-hits" -- "$word")
                    $(compgen -f -X '!*.@(yaml|yml|json)' -- "$word") $(compgen -d -- "$word")) ;;
    trace) COMPREPLY=($(compgen -W "$common --output --target-stdout --require-hits --when --hits --for --stack --print-recipe" -- "$word")) ;;
    check) COMPREPLY=($(compgen -W "--help --param --pid --binary" -- "$word")
                      $(compgen -f -X '!*.@(yaml|yml|json)' -- "$word") $(compgen -d -- "$word")) ;;
    list) COMPREPLY=($(compgen -W "--help functions files types variables threads goroutines" -- "$word")
                     $(compgen -f -- "$word")) ;;
    schema) COMPREPLY=($(compgen -W "--help recipe event" -- "$word")) ;;
  esac
}
complete -F _pickglass pickglass
