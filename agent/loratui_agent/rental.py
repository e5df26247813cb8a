"""What is known of a rental that this machine is to end by itself: with which key, at the latest when.

``run/rental.json`` holds what ``loratui-agent arm`` was told and is written by nobody else; ``run/rental-watch.json``
holds what the reaper has seen, likewise. Neither ever waits for the other. Standard library only.
"""

import json
import os
import re
import urllib.parse
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeGuard

from loratui_agent.clock import Moment
from loratui_agent.facts import read_facts

FACTS = "rental.json"
WATCH = "rental-watch.json"
END_WANTED = "end-wanted"
"""Beside them: nothing is left here that anyone would wait for, so the rental is to end now."""
CLIENT = "client"
"""The agent touches this file in the home's folder ``run`` while a client is there."""
END = "end"
"""What is to come after a run, and what was done to the machine: its rental ends."""
LOOPBACK_VARIABLE = "LORATUI_ALLOW_LOOPBACK"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY = re.compile(r"[!-~]{1,4096}")
_MAX_URL_CHARS = 1024
_MAX_S = 366 * 86_400
_MAX_NUMBER = 1e15
_MAX_COMPLAINT_CHARS = 300


class Armed(StrEnum):
    """What of a rental this machine can end by itself."""

    END = "end"
    """The rental."""
    STOP = "stop"
    """The training alone: it has no key of its own, and goes on billing."""
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rental:
    """What ``arm`` was told. Times are in seconds from ``armed`` on."""

    provider: str
    url: str
    graphql_url: str = ""
    instance_id: str
    key: str = field(repr=False)
    """Opens this machine alone; empty: none is known."""
    nonce: str
    """Names this arming: the next one has another."""
    armed: Moment
    deadline_s: float
    """The rental ends then, whatever is going on."""
    lease_s: float | None = None
    """Without a client, and with nothing to do, it ends after so long; None: not for that."""
    setup_s: float | None = None
    """It ends then if no job was ever started; None: not for that."""
    save_s: float = 0.0
    """So long before the deadline whatever trains is told to save, and what it saved can be fetched."""

    @property
    def name(self) -> str:
        """Return what it is called in the log."""
        return f"{self.provider}/{self.instance_id or '?'}"

    def without_key(self, text: str) -> str:
        """Return a text of the provider's as it may be shown: in one line, short, and without the key."""
        shown = text.replace(self.key, "***") if self.key else text
        return "".join(char if char.isprintable() else " " for char in shown)[:_MAX_COMPLAINT_CHARS].strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the reaper has seen of the arming ``nonce``, and how far ending has come."""

    nonce: str
    elapsed_s: float
    """Since then, as of ``counted``: a clock that is set back while the machine is off gives nothing back."""
    counted: Moment
    seen: Moment
    """When a client was last there, or something went on."""
    reason: str = ""
    """Why the rental is being ended; empty: it is not."""
    num_tries: int = 0
    complaint: str = ""
    """What was said against the last try; empty: it was agreed to."""


def read_rental(run: Path) -> Rental | None:
    """Return what was armed, None when nothing was, or the file is damaged."""
    stored = read_facts(run / FACTS)
    try:
        rental = Rental(**{**stored, "armed": _moment(stored["armed"])})
    except (KeyError, TypeError):
        return None
    return None if problem(rental) else rental


def read_watch(run: Path) -> Watch | None:
    """Return what the reaper has seen, None when there is nothing, or it is damaged."""
    stored = read_facts(run / WATCH)
    try:
        watch = Watch(**{**stored, "counted": _moment(stored["counted"]), "seen": _moment(stored["seen"])})
    except (KeyError, TypeError):
        return None
    texts = (watch.reason, watch.complaint)
    is_whole = _is_number(watch.elapsed_s) and _is_number(watch.num_tries) and all(isinstance(it, str) for it in texts)
    return watch if is_whole else None


def write_private(path: Path, facts: Rental | Watch, *, is_synced: bool = True) -> None:
    """Write the facts for this user's eyes alone, never half of them.

    A sync may take minutes on a busy disk: the reaper does without.

    Raises:
        OSError: the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump(asdict(facts), file)
            file.flush()
            if is_synced:
                os.fsync(descriptor)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def elapsed_s(rental: Rental, watch: Watch | None, moment: Moment) -> float:
    """Return the seconds since it was armed; of two counts the one that ends it earlier."""
    since_armed_s = rental.armed.seconds_until(moment)
    if watch is None or watch.nonce != rental.nonce:
        return since_armed_s
    return max(since_armed_s, watch.elapsed_s + watch.counted.seconds_until(moment))


def armed_as(rental: Rental | None) -> Armed:
    """Return what this machine can end by itself."""
    if rental is None:
        return Armed.NONE
    return Armed.END if rental.key and rental.instance_id else Armed.STOP


def shown(run: Path, moment: Moment) -> dict[str, Any]:
    """Return what is armed as anyone may see it: without the key."""
    rental, watch = read_rental(run), read_watch(run)
    if rental is None:
        return {"armed": str(Armed.NONE)}
    told = {name: getattr(rental, name) for name in ("provider", "instance_id", "lease_s", "setup_s")}
    left_s = rental.deadline_s - elapsed_s(rental, watch, moment)
    if watch is None or watch.nonce != rental.nonce:
        ending: dict[str, Any] = {"is_watched": False, "ending": "", "num_tries": 0, "complaint": ""}
    else:
        ending = {"is_watched": True, "ending": watch.reason, "num_tries": watch.num_tries}
        ending["complaint"] = rental.without_key(watch.complaint)
    return {"armed": str(armed_as(rental)), **told, "deadline_left_s": round(left_s, 1), **ending}


def problem(rental: Rental) -> str:
    """Return what is wrong with it, nothing when nothing is."""
    terms = [("deadline", rental.deadline_s), ("lease", rental.lease_s), ("time for the set-up", rental.setup_s)]
    if rental.provider not in ("vast", "runpod"):
        return "its provider is neither vast nor runpod"
    if not _is_text(rental.nonce, _ID) or not _is_text(rental.instance_id or "-", _ID):
        return "its id is none"
    if not _is_text(rental.key or "-", _KEY):
        return "its key is none"
    if not _is_number(rental.save_s) or not 0 <= rental.save_s <= _MAX_S:
        return "its time for saving is no number of seconds"
    for name, seconds in terms:
        if seconds is None and name != "deadline":
            continue
        if not _is_number(seconds) or not 0 < seconds <= _MAX_S:
            return f"its {name} is no positive number of seconds, or longer than a year"
    urls = [rental.url, *([rental.graphql_url] if rental.provider == "runpod" else [])]
    return next((wrong for url in urls if (wrong := url_problem(url))), "")


def url_problem(url: object) -> str:
    """Return why the address can't be asked with a key, nothing when it can: https, or this very machine in tests."""
    if not isinstance(url, str) or len(url) > _MAX_URL_CHARS or any(not "!" <= char <= "~" for char in url):
        return "the provider's address is none"
    try:
        parts = urllib.parse.urlsplit(url)
        name, _ = parts.hostname or "", parts.port
    except ValueError:
        return "the provider's address is none"
    if not name or parts.username is not None or parts.query or parts.fragment:
        return "the provider's address is none"
    is_own = name in ("localhost", "127.0.0.1", "::1") and os.environ.get(LOOPBACK_VARIABLE) == "1"
    is_allowed = parts.scheme == "https" or (parts.scheme == "http" and is_own)
    return "" if is_allowed else "the provider is only asked through https"


def _moment(stored: dict[str, Any]) -> Moment:
    """Return the moment in a file. Raises TypeError: it is none, and would fail whoever counts with it."""
    moment = Moment(**stored)
    if not (_is_number(moment.wall_ts) and _is_number(moment.boot_s) and isinstance(moment.boot, str)):
        raise TypeError(stored)
    return moment


def _is_number(value: object) -> TypeGuard[float]:
    """Return whether it can be counted with: not a whole number with a thousand digits either."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _MAX_NUMBER


def _is_text(value: object, form: re.Pattern[str]) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None
