#!/bin/sh
# See to the system packages that some tests need: install them where that is allowed, else name them and exit 1.
set -eu
# An SSH server is no program that users have in their PATH.
PATH="$PATH:/usr/sbin:/sbin"
missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need tmux tmux
need sshd openssh-server
need ssh openssh-client
need chromium chromium
need ip iproute2
need tc iproute2
# Login shells that a box may have.
need dash dash
need zsh zsh
need fish fish
need tcsh tcsh
[ -n "$missing" ] || exit 0

if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    # A container has no service manager that would start the SSH server; the tests run one of their own.
    # shellcheck disable=SC2086  # a list of package names
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null; } && exit 0
elif command -v brew >/dev/null 2>&1; then
    # macOS has an SSH server and these shells, or the tests that want others are skipped.
    case "$missing" in *tmux*) brew install --quiet tmux && exit 0 ;; esac
fi
echo "Missing system packages:$missing. The tests that need them are skipped and say so." >&2
exit 1
