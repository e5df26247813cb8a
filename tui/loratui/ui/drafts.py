"""What was changed or typed and is nowhere else yet: kept in a file for this user alone, and offered again."""

import base64
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from loratui.ui.keeper import Keeper
from loratui.ui.text import plain

FILE_NAME = "drafts.json"
_MOST_BYTES = 16 << 20
_MOST_TYPED = 32
_BYTES = "content"
_Draft = TypeVar("_Draft", "ConfigDraft", "TypedDraft")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDraft:
    """Changes of a config that are not written; the other names are those of ``Opened``, which it was made of."""

    path: str
    content: bytes
    before: str
    """What was worked on."""
    target: str
    kind: str
    text: str
    """What was made of it."""

    @property
    def name(self) -> str:
        """Return what people call it."""
        return plain(f"unsaved changes of {Path(self.target).name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedDraft:
    """A text that was not handed over. It is offered where the same is asked for: by label, and what that is about."""

    place: str
    label: str
    about: str
    text: str
    is_told: str = ""
    """Anything: a session that found it here has said so."""

    @property
    def name(self) -> str:
        """Return what people call it."""
        return f"what was typed for “{plain(self.label).rstrip(' :=')}”"

    def is_for(self, place: str, label: str, about: str) -> bool:
        """Return whether it answers what is asked there."""
        return (self.place, self.label, self.about) == (place, label, about)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafts:
    """All of them, the oldest first; of texts the newest ones alone."""

    configs: tuple[ConfigDraft, ...] = ()
    typed: tuple[TypedDraft, ...] = ()

    @property
    def names(self) -> list[str]:
        """Return what they are, in words."""
        return [*(draft.name for draft in self.configs), *(draft.name for draft in self.typed)]


def read(state_dir: Path) -> Drafts:
    """Return what was left; what is damaged in it, or was not written by us, is as if it were not there."""
    try:
        with (state_dir / FILE_NAME).open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        content = json.loads(text) if len(text) <= _MOST_BYTES else None
    except (OSError, ValueError, RecursionError):
        return Drafts()
    if not isinstance(content, dict):
        return Drafts()
    return Drafts(configs=_listed(ConfigDraft, content.get("configs")), typed=_listed(TypedDraft, content.get("typed")))


def keeper(state_dir: Path) -> Keeper[Drafts]:
    """Return what writes them."""
    return Keeper(state_dir / FILE_NAME, _encoded)


def _encoded(drafts: Drafts) -> bytes:
    if not drafts.configs and not drafts.typed:
        return b""
    content = {
        "configs": [asdict(draft) | {_BYTES: base64.b64encode(draft.content).decode()} for draft in drafts.configs],
        "typed": [asdict(draft) for draft in drafts.typed[-_MOST_TYPED:]],
    }
    text = json.dumps(content, indent=1).encode()
    if len(text) > _MOST_BYTES:
        raise ValueError("more than is read again")
    return text


def _listed(kind: type[_Draft], listed: Any) -> tuple[_Draft, ...]:
    found = [_draft(kind, texts) for texts in listed] if isinstance(listed, list) else []
    return tuple(draft for draft in found if draft is not None)


def _draft(kind: type[_Draft], texts: Any) -> _Draft | None:
    names = {field.name for field in fields(kind)}
    if (
        not isinstance(texts, dict)
        or texts.keys() != names
        or not all(isinstance(each, str) for each in texts.values())
    ):
        return None
    if _BYTES not in names:
        return kind(**texts)
    try:
        return kind(**texts | {_BYTES: base64.b64decode(texts[_BYTES], validate=True)})
    except ValueError:
        return None
