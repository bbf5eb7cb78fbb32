#!/bin/sh
# Runs a test and fails when a sanitizer had something to say: Criterion reports a leaking test as OK.
set -u
logs=$(mktemp -d) || exit 1
trap 'rm -rf "$logs"' EXIT
ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}log_path=$logs/log:detect_leaks=1"
UBSAN_OPTIONS="${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}log_path=$logs/log:print_stacktrace=1"
export ASAN_OPTIONS UBSAN_OPTIONS
"$@"
status=$?
for log in "$logs"/log*; do
    [ -e "$log" ] || continue
    cat "$log" >&2
    status=1
done
exit $status
