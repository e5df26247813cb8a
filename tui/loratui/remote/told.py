"""What a program of ours on a box says went wrong, as its last frame: ``{"error": {"code", "what", "fix"}}``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loratui_protocol import harmless

_MAX_CHARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldError:
    """The machine's own words; it may be anyone's."""

    code: str
    """Of a family that the program has; empty if it says another."""
    what: str
    fix: str


def told_error(fields: Mapping[str, Any], *families: str) -> ToldError | None:
    """Return the error in a frame, None if it is no error. ``families`` are those of its code: "disk.", "upload."."""
    told = fields.get("error")
    if told is None:
        return None
    texts = {name: told.get(name) for name in ("code", "what", "fix")} if isinstance(told, dict) else {}
    code, what, fix = (harmless.clean(str(texts.get(name) or ""), _MAX_CHARS) for name in ("code", "what", "fix"))
    return ToldError(code=harmless.code(code, *families), what=what or "it reports an error without a text", fix=fix)
