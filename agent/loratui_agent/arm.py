"""Arms this machine to end its own rental: ``loratui-agent arm``, with what is asked, and the key, on standard input.

It answers only once the reaper has read what was written, and says what the provider says to that very key.
"""

import json
import os
import secrets
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from loratui_agent.clock import now
from loratui_agent.files import disk_full_error
from loratui_agent.process import is_locked
from loratui_agent.rental import (
    END_WANTED,
    FACTS,
    Armed,
    Rental,
    armed_as,
    elapsed_s,
    problem,
    read_rental,
    read_watch,
    write_private,
)
from loratui_agent.rental_key import PLACES, own_key
from loratui_agent.rental_routes import read_back
from loratui_protocol.errors import AgentUnreachableError, StorageError, UsageError
from loratui_protocol.paths import AgentHome

START_SCRIPT_DEADLINE = Path("/var/lib/loratui/deadline")
"""Where the script that a rented machine starts with keeps its own deadline, in epoch seconds."""
START_SCRIPT_AGAIN = "again"
"""A shell script beside it, for the machine's next start: it has the reaper watch again."""
REAPER_TIMEOUT_S = 20.0
_LOOK_EVERY_S = 0.05
_URLS = {
    "vast": {"url": "https://console.vast.ai"},
    "runpod": {"url": "https://api.runpod.io/v2", "graphql_url": "https://api.runpod.io/graphql"},
}

_NO_KEY = {
    Armed.STOP: "no key of this machine's own was given or found: at the deadline it can end its training alone",
    Armed.NONE: "nothing is armed",
}


def arm(
    home: AgentHome,
    text: str,
    *,
    places: Sequence[Path] = PLACES,
    start_script_deadline: Path = START_SCRIPT_DEADLINE,
    timeout_s: float = REAPER_TIMEOUT_S,
) -> dict[str, Any]:
    """Arm the machine, or move what it is armed with, and return what it can end by itself, as the reaper reads it.

    ``text`` is a JSON object: ``provider``, ``url``, ``graphql_url``, ``instance_id``, ``key``, ``deadline_s`` from
    now, ``lease_s``, ``setup_s``, ``save_s``. An id or key that is left out is looked for on this machine, or stays as
    it is.

    Raises:
        UsageError: it is none of that; what was armed before stays armed.
        StorageError: the disk is full; likewise.
        AgentUnreachableError: no reaper has taken note of it.
    """
    asked = _rental(text, read_rental(home.run), places)
    try:
        (home.run / END_WANTED).unlink(missing_ok=True)
        write_private(home.run / FACTS, asked)
    except OSError as error:
        raise disk_full_error(error, home.run / FACTS) or StorageError(
            f"{home.run / FACTS} can't be written: {error.strerror}",
            fix="is the agent running there?",
            code="rental.file",
        ) from error
    why = _tell_start_script(start_script_deadline, asked.deadline_s, home)
    _wait(lambda: _is_watched(home, asked), home, timeout_s)
    # Read again: what is said is what the reaper goes by.
    rental = read_rental(home.run)
    armed = armed_as(rental)
    complaint = read_back(rental) if rental is not None and armed is Armed.END else _NO_KEY[armed]
    left_s = 0.0 if rental is None else rental.deadline_s - elapsed_s(rental, read_watch(home.run), now())
    return {
        "armed": str(armed),
        "verified": not complaint,
        "why": "; ".join(filter(None, [complaint, why])),
        "instance_id": "" if rental is None else rental.instance_id,
        "deadline_left_s": round(left_s, 1),
    }


def _rental(text: str, former: Rental | None, places: Sequence[Path]) -> Rental:
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refused("it is no JSON") from error
    if not isinstance(asked, dict):
        raise _refused("it is no JSON object")
    provider = asked.get("provider")
    usual = _URLS.get(provider) if isinstance(provider, str) else None
    if usual is None:
        raise _refused("its provider is neither vast nor runpod")
    instance_id, key = str(asked.get("instance_id") or ""), asked.get("key") or ""
    found_id, found_key = own_key(str(provider), places)
    instance_id = instance_id or found_id
    # A key that was found belongs to the machine that it was found on.
    key = key or (found_key if found_id == instance_id else "")
    if former is not None and former.provider == provider:
        instance_id = instance_id or former.instance_id
        key = key or (former.key if former.instance_id == instance_id else "")
    rental = Rental(
        provider=str(provider),
        url=asked.get("url") or usual["url"],
        graphql_url=asked.get("graphql_url") or usual.get("graphql_url", ""),
        instance_id=instance_id,
        key=key,
        nonce=secrets.token_hex(8),
        armed=now(),
        deadline_s=asked.get("deadline_s", 0),
        lease_s=asked.get("lease_s"),
        setup_s=asked.get("setup_s"),
        save_s=asked.get("save_s") or 0.0,
    )
    if wrong := problem(rental):
        raise _refused(wrong)
    return rental


def _refused(why: str) -> UsageError:
    return UsageError(
        f"the rental can't be armed: {why}; what was armed before stays as it was",
        fix="use the same version of loratui everywhere",
        code="rental.form",
    )


def _tell_start_script(deadline: Path, deadline_s: float, home: AgentHome) -> str:
    """Move the deadline of the script that the machine starts with, if there is one; return why it could not be.

    Beside it lies what that script runs at another start of the machine: who is killed by it is started again.
    """
    if not deadline.exists():
        return ""
    environment = ["-u", "PYTHONHOME", f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}"]
    reaper = [sys.executable, "-m", "loratui_agent.reaper", "--home", str(home.path)]
    command = shlex.join(["/usr/bin/env", *environment, *reaper])
    texts = {
        deadline: f"{int(time.time() + deadline_s)}\n",
        deadline.with_name(START_SCRIPT_AGAIN): f"(trap '' HUP; exec {command}) </dev/null >/dev/null 2>&1 &\n",
    }
    for path, text in texts.items():
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_text(text, "utf-8")
            temporary.replace(path)
        except OSError as error:
            return f"the start script keeps what it was told before: {error}"
    return ""


def _is_watched(home: AgentHome, rental: Rental) -> bool:
    watch = read_watch(home.run)
    return watch is not None and watch.nonce == rental.nonce and is_locked(home.reaper_lock)


def _wait(condition: Callable[[], bool], home: AgentHome, timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            there = "its reaper took no note of it" if is_locked(home.reaper_lock) else "no reaper watches there"
            raise AgentUnreachableError(
                f"nothing at {home.path} would end the rental in time: {there}",
                fix=f"start the agent there, and read {home.reaper_log}",
                code="rental.reaper",
            )
        time.sleep(_LOOK_EVERY_S)
