"""Where the interface was left: kept in a file while it is open, so that it is found again after any end."""

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from loratui.preflight import safe_files

FILE_NAME = "session.json"
EVERY_S = 1.0
_MOST_BYTES = 262_144
_MOST_ENTRIES = 64
_LONGEST = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Unended:
    """A rental that was to be terminated once its files were here, and is not; ``argument`` names it to ``loratui``."""

    label: str
    name: str
    argument: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A screen, the run that was open, and by screen what it wants to find again."""

    place: str = "home"
    run_id: str = ""
    pages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unended: tuple[Unended, ...] = ()


def read(state_dir: Path) -> Session:
    """Return the last session; what is damaged in it, or was not written by us, is as if it were not there."""
    try:
        with (state_dir / FILE_NAME).open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        content = json.loads(text) if len(text) <= _MOST_BYTES else {}
    except (OSError, ValueError, RecursionError):
        return Session()
    if not isinstance(content, dict):
        return Session()
    pages = content.get("pages")
    return Session(
        place=_text(content.get("place"), "home"),
        run_id=_text(content.get("run_id"), ""),
        pages={name: _texts(kept) for name, kept in pages.items()} if isinstance(pages, dict) else {},
        unended=_unended(content.get("unended")),
    )


def _text(value: Any, otherwise: str) -> str:
    return value if isinstance(value, str) and len(value) <= _LONGEST else otherwise


def _texts(kept: Any) -> dict[str, str]:
    if not isinstance(kept, dict):
        return {}
    texts = {key: value for key, value in kept.items() if isinstance(value, str) and len(value) <= _LONGEST}
    return dict(list(texts.items())[:_MOST_ENTRIES])


def _unended(listed: Any) -> tuple[Unended, ...]:
    each = [_texts(texts) for texts in listed] if isinstance(listed, list) else []
    names = [name.name for name in fields(Unended)]
    return tuple(Unended(**texts) for texts in each[:_MOST_ENTRIES] if sorted(texts) == sorted(names))


class SessionKeeper:
    """Writes a session when it has changed, at most once a second and in a thread: a disk may be slow."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE_NAME
        self._kept: Session | None = None
        self._at_s = float("-inf")
        self._writing: threading.Thread | None = None

    def keep(self, session: Session, now_s: float) -> None:
        """Write the session, unless it is as before or something was written just now."""
        is_busy = self._writing is not None and self._writing.is_alive()
        if session == self._kept or is_busy or now_s - self._at_s < EVERY_S:
            return
        self._kept, self._at_s = session, now_s
        self._writing = threading.Thread(target=self._write, args=(session,), name="loratui-session", daemon=True)
        self._writing.start()

    def close(self, session: Session) -> None:
        """Write the session before the program ends; another interface may have written its own meanwhile."""
        if self._writing is not None:
            self._writing.join()
        self._kept = session
        self._write(session)

    def _write(self, session: Session) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            safe_files.put(self._path, json.dumps(asdict(session), ensure_ascii=False, indent=1).encode())
        except (OSError, ValueError):
            # A full disk costs no more than the place where one was; to be tried again with the next change.
            return
