"""Where the interface was left: kept in a file while it is open, so that it is found again after any end."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from loratui.ui.keeper import Keeper

FILE_NAME = "session.json"
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


class SessionKeeper(Keeper[Session]):
    """Writes sessions."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir / FILE_NAME, _encoded)


def _encoded(session: Session) -> bytes:
    return json.dumps(asdict(session), ensure_ascii=False, indent=1).encode()
