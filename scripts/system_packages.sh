#!/bin/sh
# See to the system packages that some tests need: install them where that is allowed, else name them and exit 1.
set -eu
missing=""
for program in tmux; do
    command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
done
[ -n "$missing" ] || exit 0

if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    # shellcheck disable=SC2086  # a list of package names
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $missing >/dev/null; } && exit 0
elif command -v brew >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    brew install --quiet $missing && exit 0
fi
echo "Missing system packages:$missing. The tests that need them are skipped and say so." >&2
exit 1
