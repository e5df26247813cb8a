"""What a rented machine runs first, at every start: a shell that ends the rental at its deadline.

It is the third who can end it, after the client and the reaper, and the only one before our agent is there. It needs
nothing but a POSIX shell and one of curl, wget or python3. It returns at once and leaves its loop in the background.
"""

from dataclasses import dataclass

MAX_BYTES = 4048
"""What Vast.ai takes; RunPod takes more."""
FOLDER = "/var/lib/loratui"
"""Where the deadline lies, in epoch seconds: writing a later one extends it, a restart of the machine does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One request that ends the machine. ``url`` and ``body`` may name shell variables of the machine's own."""

    method: str
    url: str
    body: str = ""


def routes(provider: str, url: str) -> tuple[str, tuple[Route, ...]]:
    """Return the shell variable that holds the machine's own key, and the requests to try one after the other.

    The key opens this machine alone; the account's own never comes here.
    """
    base = url.rstrip("/")
    if provider == "vast":
        return "CONTAINER_API_KEY", (Route(method="DELETE", url=f"{base}/api/v0/instances/$CONTAINER_ID/"),)
    return "RUNPOD_API_KEY", (
        Route(method="POST", url=f"{base}/pods/$RUNPOD_POD_ID/action", body='{"action":"terminate"}'),
        Route(method="DELETE", url=f"{base}/pods/$RUNPOD_POD_ID"),
    )


def start_script(provider: str, url: str, deadline_ts: int, *, folder: str = FOLDER) -> str:
    """Return the script; ``deadline_ts`` is in epoch seconds, ``url`` the provider's API as the machine reaches it.

    Raises:
        ValueError: it is too long, or the address holds what a shell would read differently.
    """
    key, requests = routes(provider, url)
    if any(char in url for char in "\"'`\\$ \n"):
        raise ValueError(f"{url!r} can't stand in a script")
    sends = "\n".join(f"  send {each.method} \"{each.url}\" '{each.body}'" for each in requests)
    script = _SCRIPT.format(folder=folder, deadline=int(deadline_ts), key=key, sends=sends)
    if len(script.encode()) > MAX_BYTES:
        raise ValueError("the start script is too long")
    return script


_SCRIPT = """\
#!/bin/sh
# Ends this rental at its deadline. To extend it, write later epoch seconds into {folder}/deadline.
umask 077
mkdir -p {folder}
[ -s {folder}/deadline ] || echo {deadline} >{folder}/deadline
touch "$HOME/.no_auto_tmux" 2>/dev/null
for file in /etc/environment /etc/rp_environment; do
  [ -n "${key}" ] || {{ [ -r $file ] && . $file; }}
done
send() {{
  if command -v curl >/dev/null; then
    echo "header = \\"Authorization: Bearer ${key}\\"" |
      curl -sS -m 20 -K - -X "$1" -A loratui -H "Content-Type: application/json" -d "$3" "$2"
  elif command -v python3 >/dev/null; then
    KEY="${key}" python3 -c '
import os, sys, urllib.request as r
h = {{"Authorization": "Bearer " + os.environ["KEY"], "Content-Type": "application/json", "User-Agent": "loratui"}}
print(r.urlopen(r.Request(sys.argv[2], sys.argv[3].encode() or None, h, method=sys.argv[1]), timeout=20).status)' "$@"
  else
    echo "header = Authorization: Bearer ${key}" >{folder}/wgetrc
    WGETRC={folder}/wgetrc wget -q -O - -T 20 -U loratui --method="$1" \\
      --header="Content-Type: application/json" --body-data="$3" "$2"
  fi
}}
# Seconds of a clock that nobody sets, where there is one.
up() {{ {{ read -r s _ </proc/uptime && echo "${{s%%.*}}"; }} || date +%s; }}
watch() {{
  wait_s=5 known=
  while :; do
    end=$(cat {folder}/deadline 2>/dev/null)
    case $end in '' | *[!0-9]*) end={deadline} ;; esac
    [ "$end" = "$known" ] || due=$(($(up) + end - $(date +%s)))
    known=$end left=$((due - $(up)))
    if [ $left -gt 0 ]; then
      [ $left -gt 20 ] && left=20
      sleep $left
      continue
    fi
{sends}
    sleep $wait_s
    wait_s=$((wait_s * 2))
    [ $wait_s -gt 300 ] && wait_s=300
  done
}}
# After a restart of the machine what our agent has left brings its reaper back.
[ -r {folder}/again ] && sh {folder}/again </dev/null >/dev/null 2>&1
# One loop, however often the machine starts anew.
(trap '' HUP; watch) </dev/null >{folder}/log 2>&1 &
"""
