"""What a reaper did to a job, left in the job's folder for the next agent to write into the journal.

Standard library only.
"""

import errno
import json
import logging
import time
from pathlib import Path
from typing import Any

from loratui_agent.ballast import drop_ballast
from loratui_agent.clock import now
from loratui_agent.facts import read_facts

log = logging.getLogger("loratui_agent.reaper")
DEEDS = "reaped.json"
_MAX_DEEDS = 20


def deeds_of(folder: Path) -> list[dict[str, Any]]:
    """Return what the reaper did to the job in ``folder``, oldest first."""
    deeds = read_facts(folder / DEEDS).get("deeds")
    return [deed for deed in deeds if isinstance(deed, dict)] if isinstance(deeds, list) else []


def note(folder: Path, action: str, reason: str, detail: str, *, ok: bool = True) -> None:
    """Leave word of a deed in the log and for the next agent. A full disk keeps nobody from acting."""
    log.warning("job=%s %s: %s", folder.name, action, detail)
    deeds = deeds_of(folder)
    deeds.append(
        {"action": action, "reason": reason, "detail": detail, "ok": ok, "ts": time.time(), "boot": now().boot}
    )
    try:
        write(folder / DEEDS, {"deeds": deeds[-_MAX_DEEDS:]}, folder.parent.parent / "run")
    except OSError as error:
        log.error("job=%s no word left for the agent: %s", folder.name, error)  # noqa: TRY400 - as above


def write(path: Path, content: dict[str, Any], run: Path) -> None:
    """Write a file, never half of it; on a full disk the ballast makes room."""
    temporary = path.with_name(f".{path.name}.tmp")
    text = json.dumps(content)
    try:
        temporary.write_text(text, "utf-8")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not drop_ballast(run):
            raise
        temporary.write_text(text, "utf-8")
    temporary.replace(path)
