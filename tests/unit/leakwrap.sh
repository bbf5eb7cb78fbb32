#!/bin/sh
# Runs a test and fails when a sanitizer had something to say: Criterion reports a leaking test as OK.
set -u
logs=$(mktemp -d) || exit 1
trap 'rm -rf "$logs"' EXIT
ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}log_path=$logs/log:detect_leaks=1"
UBSAN_OPTIONS="${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}log_path=$logs/log:print_stacktrace=1"
LSAN_OPTIONS="${LSAN_OPTIONS:+$LSAN_OPTIONS:}exitcode=0" # what has leaked is looked at below
export ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS

# On a busy machine Criterion's runner leaks what it has allocated itself. A suppression would take
# our leaks, too: the runner is in every stack.
is_criterions() { # is_criterions LOG: it tells of nothing else
    awk '/^(Direct|Indirect) leak/ {leaks++} /runtime error/ {others++} /^ +#1 .*\/libcriterion\.so/ {theirs++}
         END {exit !(leaks && leaks == theirs && !others)}' "$1"
}

"$@"
status=$?
for log in "$logs"/log*; do
    [ -e "$log" ] && ! is_criterions "$log" || continue
    cat "$log" >&2
    status=1
done
exit $status
