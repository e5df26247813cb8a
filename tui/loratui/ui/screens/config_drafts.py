"""A config with the changes that an earlier session did not write."""

from dataclasses import dataclass
from pathlib import Path

from loratui.sessions.config_files import Opened, form_of
from loratui.sessions.config_form import ConfigForm
from loratui.ui.drafts import ConfigDraft
from loratui.ui.registry import Registry
from loratui_protocol.errors import ConfigError

_UNDONE = "your unsaved changes"
"""What taking them back is said to be of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A draft as a form. ``opened`` is what its changes were made of: it is not written over what is another now."""

    draft: ConfigDraft
    opened: Opened
    form: ConfigForm
    is_stale: bool
    """Whether the disk has something else by now, or nothing."""

    def sentence(self, keys: Registry) -> str:
        """Return what to tell of it."""
        name, read = self.opened.target.name, keys.name_of("config_read")
        if self.is_stale:
            elsewhere = keys.name_of("config_write_as")
            return (
                f"! {name} changed on disk; your changes are here: {read} reads it, {elsewhere} writes them elsewhere"
            )
        undo = keys.name_of("config_undo")
        return f"unsaved changes of {name} are here again: {undo} takes them back, {read} reads the file"


def draft_of(form: ConfigForm, opened: Opened) -> ConfigDraft:
    """Return the changes of a form."""
    return ConfigDraft(
        path=str(opened.path),
        content=opened.content,
        before=opened.text,
        target=str(opened.target),
        kind=opened.kind,
        text=form.text,
    )


def restored(draft: ConfigDraft, now: Opened | None) -> Restored | None:
    """Return a config as it was left; ``now`` is its file, None: it can't be read. None: the draft is damaged."""
    then = Opened(
        path=Path(draft.path),
        content=draft.content,
        text=draft.before,
        target=Path(draft.target),
        kind=draft.kind,
    )
    is_same = now is not None and now.content == draft.content
    opened = now if now is not None and is_same else then
    try:
        form = form_of(opened)
        form.replace(draft.text, _UNDONE)
    except ConfigError:
        return None
    return Restored(draft=draft, opened=opened, form=form, is_stale=not is_same)
