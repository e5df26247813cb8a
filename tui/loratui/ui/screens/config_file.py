"""The file behind the config screen: opened, written, given to an editor, and read again."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from textual.app import SuspendNotSupported

from loratui.domain.formatting import homely
from loratui.sessions.config_files import Opened, elsewhere, form_of, has_changed, open_config, write
from loratui.sessions.config_form import ConfigForm
from loratui.sessions.config_plan import ConfigPlan
from loratui.ui.drafts import ConfigDraft
from loratui.ui.handover import NO_TERMINAL, edit_in
from loratui.ui.page import Page
from loratui.ui.planning import Planning
from loratui.ui.questions import ask_write
from loratui.ui.registry import Scope
from loratui.ui.screens.config_drafts import Restored, draft_of, restored
from loratui.ui.typed_path import typed_path
from loratui.ui.widgets.config_differences import ChangePane
from loratui.ui.widgets.config_keys import KeyHelp, KeyList
from loratui.ui.widgets.config_plan_pane import PlanPane
from loratui.ui.widgets.prompt import Typed
from loratui_protocol.config_file import Loaded
from loratui_protocol.errors import LoratuiError
from loratui_protocol.findings import Finding

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

T = TypeVar("T")
TOLD_S = 30.0
"""For so long what went wrong with a file is said."""


class ConfigFilePage(Page):
    """Base of the config page: what it does with the file as a whole."""

    def __init__(self, shell: "Shell") -> None:
        super().__init__(shell)
        self.keys = KeyList(id="keys")
        self.key_help = KeyHelp(id="key-help")
        self.plan = PlanPane(id="plan")
        self.change = ChangePane(id="change")
        self.main_list = self.keys
        self.path: Path | None = None
        """What was opened last, even if that failed."""
        self.opened: Opened | None = None
        self.form: ConfigForm | None = None
        self._asked_to_write: tuple[ConfigForm, Opened] | None = None
        self._planning = Planning(shell, self._planned)

    @property
    def has_edits(self) -> bool:
        """Return whether something was changed here that is not on the disk."""
        form, opened = self.form, self.opened
        if form is None or opened is None:
            return False
        return form.num_changes > 0 if opened.is_new else form.is_dirty

    def entered(self) -> None:
        """See whether somebody else has changed the file meanwhile, and plan anew: captions may be others by now."""
        if (opened := self.opened) is not None:
            self.in_thread(lambda: has_changed(opened), self._mark_stale, "the config")
            if self.form is not None and self.form.loaded is not None:
                self._plan(self.form.loaded, opened)

    def kept(self) -> dict[str, str]:
        """Return the file that is open."""
        return {} if self.path is None else {"config": str(self.path)}

    def draft(self) -> ConfigDraft | None:
        """Return the changes that are not written."""
        form, opened = self.form, self.opened
        return draft_of(form, opened) if form is not None and opened is not None and self.has_edits else None

    def restore(self, kept: Mapping[str, str]) -> None:
        """Open it again, if it is still there."""
        if (named := kept.get("config")) and "\0" not in named:
            self.open(Path(named))

    # --- opening ------------------------------------------------------------------------------------------------------

    def do_config_open(self) -> None:
        """Ask for a file."""
        self.shell.ask_text("open", self._open_named, str(self.path or ""), Typed.PATH)

    def _open_named(self, text: str) -> None:
        if text.strip():
            self.open(typed_path(text))

    def open(self, path: Path) -> None:
        """Read a config and show it, with the changes that an earlier session did not write."""
        self.path = path
        self.keys.is_read = False
        draft = self.shell.reopening.config_draft(path.expanduser().absolute())

        def read() -> None:
            opened = trouble = None
            try:
                opened = open_config(path)
                form = form_of(opened)
            except LoratuiError as error:
                opened, trouble = None, error
            if draft is not None and (again := restored(draft, opened)) is not None:
                self.app.call_from_thread(self._take_again, path, again)
            elif trouble is not None:
                self.app.call_from_thread(self._not_opened, path, trouble)
            elif opened is not None:
                self.app.call_from_thread(self._take, path, opened, form)

        self.shell.work(read, "the config")
        self.again()

    def _take_again(self, path: Path, again: Restored) -> None:
        if path == self.path:
            self.shell.reopening.taken_up(again.draft, again.sentence(self.shell.actions))
            self._take(path, again.opened, again.form)
            self._mark_stale(again.is_stale)

    def _take(self, path: Path, opened: Opened, form: ConfigForm) -> None:
        if path != self.path:
            # Another one was opened meanwhile.
            return
        self.opened, self.form, self.path = opened, form, opened.path
        self.shell.config_path = opened.path
        self.keys.trouble, self.keys.is_stale = (), False
        self.main_list = self.keys
        self.changed()
        if opened.is_new and not form.num_changes:
            write = f"{self.shell.actions.name_of('config_write')} writes it as {opened.target.name}"
            self.shell.say(f"read as a config of ours; {write}, beside this file", TOLD_S)

    def _not_opened(self, path: Path, error: LoratuiError) -> None:
        if path != self.path:
            return
        self.opened = self.form = self.shell.config_path = None
        self._planning.forget()
        self.plan.plan, self.plan.is_current = None, True
        self.keys.is_read, self.keys.trouble = True, (f"{path.name}: {error.what}", error.fix)
        self.keys.name_of_file = path.name
        self.keys.fill(())
        self.again()

    def _not_read(self, path: Path, error: LoratuiError) -> None:
        """Keep what is here: the file on the disk is broken."""
        self._mark_stale(is_stale=path == self.path)
        self.shell.say(f"! {path.name}: {error.what}. {self.shell.actions.name_of('config_editor')} mends it", TOLD_S)

    def _mark_stale(self, is_stale: bool) -> None:
        self.keys.is_stale = is_stale
        self.again()

    def changed(self) -> None:
        """Show the form as it is now, and plan it."""
        form, opened = self.form, self.opened
        if form is None or opened is None:
            return
        self.keys.is_read = True
        self.keys.name_of_file = opened.target.name
        self.keys.is_dirty = form.is_dirty
        self.key_help.refused = ""
        self.keys.fill(form.rows)
        if form.loaded is None:
            self._planning.forget()
            told = (Finding(code=each.code, severity="error", what=each.what, fix=each.fix) for each in form.troubles)
            self._planned(ConfigPlan(findings=tuple(told)))
        else:
            self.plan.is_current = False
            self._plan(form.loaded, opened)
        self.again()

    def _plan(self, loaded: Loaded, opened: Opened) -> None:
        self._planning.plan(replace(loaded, findings=(*opened.findings, *loaded.findings)), opened.target)

    def _planned(self, plan: ConfigPlan) -> None:
        self.plan.plan, self.plan.is_current = plan, True
        self.again()

    def again(self) -> None:
        """Show this moment anew, if the page is in sight."""
        if self.is_mounted and self.shell.page is self:
            self.shell.refresh_view()

    def in_thread(self, function: Callable[[], T], then: Callable[[T], None], what: str) -> None:
        """Do something in a thread, and hand on what it returns."""
        self.shell.work(lambda: self.app.call_from_thread(then, function()), what)

    # --- writing ------------------------------------------------------------------------------------------------------

    def do_config_write(self) -> None:
        """Show what differs from the file, and ask."""
        form, opened = self.form, self.opened
        if form is None or opened is None:
            return
        # What is asked about is what is written, whatever is read meanwhile.
        self._asked_to_write = form, opened
        self.change.about = homely(opened.target)
        self.change.changed = form.diff(opened.path.name, opened.target.name)
        num_keys = sum(row.is_changed for row in form.rows)
        is_whole = form.loaded is not None
        self.shell.ask(
            Scope.CONFIG_WRITE_STRIP,
            lambda _: ask_write(opened.target, num_keys, is_new=opened.is_new, is_whole=is_whole),
        )
        self.again()

    def do_config_write_yes(self) -> None:
        """Write the file, unless somebody else has changed it."""
        self.do_config_write_no()
        if self._asked_to_write is not None:
            self._write(*self._asked_to_write)

    def do_config_write_no(self) -> None:
        """Leave the file as it is."""
        self.shell.stop_asking()
        self.again()

    def do_config_write_as(self) -> None:
        """Ask for another name."""
        if self.opened is not None:
            self.shell.ask_text("write as", self._write_as, self.opened.target.name)

    def _write_as(self, name: str) -> None:
        if self.form is None or self.opened is None:
            return
        try:
            self._write(self.form, elsewhere(self.opened, name))
        except LoratuiError as error:
            self.shell.say(f"! {error.what}: {error.fix}", TOLD_S)

    def _write(self, form: ConfigForm, opened: Opened) -> None:
        text = form.text

        def work() -> None:
            try:
                after = write(opened, text)
            except LoratuiError as error:
                self.app.call_from_thread(self.shell.say, f"! {error.what}: {error.fix}", TOLD_S)
                self.app.call_from_thread(self._mark_stale, error.code == "disk.changed_meanwhile")
            else:
                self.app.call_from_thread(self._written, form, after)

        self.shell.work(work, "the config")

    def _written(self, form: ConfigForm, opened: Opened) -> None:
        form.written(opened.text)
        if form is self.form:
            self.opened = opened
            self.path = self.shell.config_path = opened.path
            self.keys.is_stale = False
            self.changed()
        self.shell.say(f"written: {homely(opened.path)}")

    # --- editor and file on the disk ----------------------------------------------------------------------------------

    def do_config_editor(self) -> None:
        """Let the user's editor have the terminal, and read the file again."""
        if self.path is None:
            return
        try:
            trouble = edit_in(self.app, self.path)
        except SuspendNotSupported:
            read = self.shell.actions.name_of("config_read")
            self.shell.say(f"! {NO_TERMINAL}: run it in another one, then press {read}")
            return
        self.shell.do_redraw()
        if trouble:
            self.shell.say(f"! {trouble}", TOLD_S)
        self.do_config_read()

    def do_config_read(self) -> None:
        """Take what is on the disk now; the form's undo brings back what it had."""
        path, before = self.path, self.form
        if path is None:
            return

        def take(opened: Opened) -> None:
            if before is None or before is not self.form or opened.is_new:
                self._take(path, opened, form_of(opened))
                return
            before.saved = opened.text
            before.replace(opened.text, path.name)
            before.written(opened.text)
            self.opened, self.keys.is_stale = opened, False
            self.changed()

        def read() -> None:
            try:
                opened = open_config(path)
            except LoratuiError as error:
                self.app.call_from_thread(self._not_read if before else self._not_opened, path, error)
            else:
                self.app.call_from_thread(take, opened)

        self.shell.work(read, "the config")
