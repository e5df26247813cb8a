"""The config screen: a training config as a form, with what it comes to beside it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from textual.app import ComposeResult, SuspendNotSupported

from loratui.sessions.config_compare import Difference, Other, differences, others
from loratui.sessions.config_files import Opened, elsewhere, form_of, has_changed, open_config, write
from loratui.sessions.config_form import ConfigForm
from loratui.sessions.config_plan import ConfigPlan
from loratui.ui.editor import edit
from loratui.ui.errands import Errand
from loratui.ui.frame import Frame
from loratui.ui.page import Page
from loratui.ui.planning import Planning
from loratui.ui.questions import ask_train, ask_write
from loratui.ui.registry import Scope
from loratui.ui.screens.config_new import NewConfig
from loratui.ui.text import plain
from loratui.ui.widgets.config_differences import ChangePane, DifferenceList, OtherList
from loratui.ui.widgets.config_keys import KeyHelp, KeyList
from loratui.ui.widgets.config_plan_pane import PlanPane
from loratui_protocol.errors import LoratuiError
from loratui_protocol.findings import Finding

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

T = TypeVar("T")
_RUN_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_TOLD_S = 30.0
_OF_A_FORM = ("edit", "cycle", "reset", "undo", "write", "write_as", "compare", "train")
_OF_A_FILE = ("editor", "read")


class ConfigPage(Page):
    """Opens configs, changes them key by key, and sends them off to be trained."""

    place = "config"
    own_scopes = (Scope.CONFIG, Scope.CONFIG_CHOICE, Scope.CONFIG_WRITE_STRIP, Scope.CONFIG_TRAIN_STRIP)

    def __init__(self, shell: "Shell") -> None:
        super().__init__(shell)
        self._keys = KeyList(id="keys")
        self._help = KeyHelp(id="key-help")
        self._plan = PlanPane(id="plan")
        self._others = OtherList(id="others")
        self._differences = DifferenceList(id="differences")
        self._change = ChangePane(id="change")
        self.main_list = self._keys
        self._path: Path | None = None
        """What was opened last, even if that failed."""
        self._opened: Opened | None = None
        self._form: ConfigForm | None = None
        self._planning = Planning(shell, self._planned)
        self._new = NewConfig(shell, self.open)
        self._errand: Errand | None = None

    def compose(self) -> ComposeResult:
        """Put the keys beside the plan; what is compared takes their place."""
        yield self._keys
        yield self._plan
        yield self._help
        yield self._others
        yield self._differences
        yield self._change

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Return where the keys work: in the form, or in what is compared."""
        return (Scope.CONFIG if self.main_list is self._keys else Scope.CONFIG_CHOICE), Scope.LIST

    def refusals(self) -> Mapping[str, str]:
        """Return what can't be done now, and why."""
        form, no = self._form, dict[str, str]()
        if self._path is None:
            no |= {f"config_{name}": "no config is open" for name in _OF_A_FILE}
        if form is None:
            return no | {f"config_{name}": "no config is open" for name in _OF_A_FORM}
        unsaved = "w writes your changes first; r drops them"
        if form.is_dirty:
            no |= {f"config_{name}": unsaved for name in ("open", "new", "editor", "train")}
        else:
            no["config_write"] = "nothing has changed"
        if not form.num_changes:
            no["config_undo"] = "nothing to take back"
        if self._keys.chosen is None:
            no |= {f"config_{name}": "no key is chosen" for name in ("edit", "cycle", "reset")}
        if form.loaded is None:
            no["config_compare"] = "the errors first"
        no.setdefault("config_train", self._why_no_training())
        if self._others.chosen is None and self.main_list is self._others:
            no["config_choose"] = "there is nothing to choose"
        return {action: why for action, why in no.items() if why}

    def _why_no_training(self) -> str:
        plan = self._plan.plan
        if plan is None or not self._plan.is_current:
            return "the plan is not reckoned yet"
        if plan.errors:
            return f"{len(plan.errors)} error{'s' if len(plan.errors) > 1 else ''} in the way: {plan.errors[0].what}"
        return ""

    def show(self, frame: Frame) -> None:
        """Show a moment; what is asked to be written lies over the form."""
        self.set_class(self.shell.strip.scope is Scope.CONFIG_WRITE_STRIP, "-writing")
        self.set_class(self._form is None, "-empty")
        self.set_class(self.main_list is self._others, "-choosing")
        self.set_class(self.main_list is self._differences, "-comparing")
        self._help.row = self._keys.chosen
        super().show(frame)

    def entered(self) -> None:
        """See whether somebody else has changed the file meanwhile."""
        if (opened := self._opened) is not None:
            self._in_thread(lambda: has_changed(opened), self._mark_stale, "the config")

    def kept(self) -> dict[str, str]:
        """Return the file that is open."""
        return {} if self._path is None else {"config": str(self._path)}

    def restore(self, kept: Mapping[str, str]) -> None:
        """Open it again, if it is still there."""
        if (named := kept.get("config")) and "\0" not in named:
            self.open(Path(named))

    def on_list_pane_moved(self) -> None:
        """Show the help of the key that is chosen now."""
        self._help.refused = ""
        self._help.row = self._keys.chosen
        self._help.rebuild()

    # --- the file -----------------------------------------------------------------------------------------------------

    def open(self, path: Path) -> None:
        """Read a config and show it."""
        self._path = path
        self._keys.is_read = False

        def read() -> None:
            try:
                opened = open_config(path)
                form = form_of(opened)
            except LoratuiError as error:
                self.app.call_from_thread(self._not_opened, path, error)
            else:
                self.app.call_from_thread(self._take, path, opened, form)

        self.shell.work(read, "the config")
        self._again()

    def _take(self, path: Path, opened: Opened, form: ConfigForm) -> None:
        if path != self._path:
            # Another one was opened meanwhile.
            return
        self._opened, self._form, self._path = opened, form, opened.path
        self.shell.config_path = opened.path
        self._keys.trouble = ()
        self.main_list = self._keys
        self._changed()
        if opened.is_new:
            self.shell.say(f"read as a config of ours; w writes it as {opened.target.name}, beside this file", _TOLD_S)

    def _not_opened(self, path: Path, error: LoratuiError) -> None:
        if path != self._path:
            return
        self._opened = self._form = self.shell.config_path = None
        self._planning.forget()
        self._plan.plan, self._plan.is_current = None, True
        self._keys.is_read, self._keys.trouble = True, (f"{path.name}: {error.what}", error.fix)
        self._keys.name_of_file = path.name
        self._keys.fill(())
        self._again()

    def _mark_stale(self, is_stale: bool) -> None:
        self._keys.is_stale = is_stale
        self._again()

    def _changed(self) -> None:
        """Show the form as it is now, and plan it."""
        form, opened = self._form, self._opened
        if form is None or opened is None:
            return
        self._keys.is_read = True
        self._keys.name_of_file = opened.target.name
        self._keys.is_dirty = form.is_dirty
        self._help.refused = ""
        self._keys.fill(form.rows)
        if form.loaded is None:
            self._planning.forget()
            told = (Finding(code=each.code, severity="error", what=each.what, fix=each.fix) for each in form.troubles)
            self._planned(ConfigPlan(findings=tuple(told)))
        else:
            self._plan.is_current = False
            loaded = replace(form.loaded, findings=(*opened.findings, *form.loaded.findings))
            self._planning.plan(loaded, form.base)
        self._again()

    def _planned(self, plan: ConfigPlan) -> None:
        self._plan.plan, self._plan.is_current = plan, True
        self._again()

    def _again(self) -> None:
        if self.is_mounted and self.shell.page is self:
            self.shell.refresh_view()

    def _in_thread(self, function: Callable[[], T], then: Callable[[T], None], what: str) -> None:
        self.shell.work(lambda: self.app.call_from_thread(then, function()), what)

    # --- keys of the form ---------------------------------------------------------------------------------------------

    def do_config_open(self) -> None:
        """Ask for a file."""
        self.shell.ask_text("open", self._open_named, str(self._path or ""))

    def _open_named(self, text: str) -> None:
        if text.strip():
            self.open(Path(text.strip()).expanduser().absolute())

    def do_config_new(self) -> None:
        """Ask what is to be trained."""
        self._new.ask()

    def do_config_edit(self) -> None:
        """Let a value be typed; one that is refused can be mended."""
        if self._form is not None and self._keys.chosen is not None:
            key = self._keys.chosen.key
            self._ask_value(key, self._form.typed(key, lambda text: plain(text) == text))

    def _ask_value(self, key: str, value: str) -> None:
        self.shell.ask_text(f"{key} =", lambda text: self._set(key, text), value)

    def _set(self, key: str, typed: str) -> None:
        form = self._form
        if form is None:
            return
        try:
            form.set(key, typed)
        except LoratuiError as error:
            self._ask_value(key, typed)
            self._refused(error)
        else:
            self._changed()

    def _refused(self, error: LoratuiError) -> None:
        self._help.refused = f"{error.what}: {error.fix}" if error.fix else error.what
        self._again()

    def do_config_cycle(self) -> None:
        """Take the next value of a flag or a choice."""
        form, row = self._form, self._keys.chosen
        if form is None or row is None:
            return
        following = form.next_choice(row.key)
        if following is None:
            self.do_config_edit()
            return
        try:
            form.set(row.key, following)
        except LoratuiError as error:
            self._refused(error)
        else:
            self._changed()

    def do_config_reset(self) -> None:
        """Take the key out of the file."""
        form, row = self._form, self._keys.chosen
        if form is None or row is None:
            return
        try:
            form.reset(row.key)
        except LoratuiError as error:
            self._refused(error)
        else:
            self._changed()

    def do_config_undo(self) -> None:
        """Take the last change back."""
        if self._form is not None and (what := self._form.undo()):
            self._changed()
            self._keys.choose(what)
            self.shell.say(f"taken back: {what}")

    # --- comparing ----------------------------------------------------------------------------------------------------

    def do_config_compare(self) -> None:
        """Ask what to compare with."""
        preferences = self.shell.desk.preferences
        self._in_thread(lambda: others(preferences), self._choose, "what there is to compare with")

    def _choose(self, found: list[Other]) -> None:
        self._others.fill(found)
        self._turn_to(self._others)

    def do_config_choose(self) -> None:
        """Compare with the chosen one, or go to the key of the chosen difference."""
        form, other, preferences = self._form, self._others.chosen, self.shell.desk.preferences
        if self.main_list is self._differences:
            if self._differences.chosen is not None:
                self._keys.set_query("")
                self._keys.choose(self._differences.chosen.key)
            self._turn_to(self._keys)
        elif form is not None and form.loaded is not None and other is not None:
            config = form.loaded.config
            self._differences.there = f"{other.kind} {other.title}"
            self._in_thread(lambda: differences(config, other, preferences), self._compare, "the comparison")

    def _compare(self, found: list[Difference]) -> None:
        self._differences.fill(found)
        self._turn_to(self._differences)

    def do_config_choice_close(self) -> None:
        """Go one step back."""
        self._turn_to(self._others if self.main_list is self._differences else self._keys)

    def _turn_to(self, shown: "KeyList | OtherList | DifferenceList") -> None:
        self.main_list = shown
        self._again()

    # --- writing ------------------------------------------------------------------------------------------------------

    def do_config_write(self) -> None:
        """Show what differs from the file, and ask."""
        form, opened = self._form, self._opened
        if form is None or opened is None:
            return
        self._change.about = str(opened.target)
        self._change.changed = form.diff(opened.path.name, opened.target.name)
        num_keys = sum(row.is_changed for row in form.rows)
        is_whole = form.loaded is not None
        self.shell.ask(
            Scope.CONFIG_WRITE_STRIP,
            lambda _: ask_write(opened.target, num_keys, is_new=opened.is_new, is_whole=is_whole),
        )
        self._again()

    def do_config_write_yes(self) -> None:
        """Write the file, unless somebody else has changed it."""
        self.do_config_write_no()
        if self._opened is not None:
            self._write(self._opened)

    def do_config_write_no(self) -> None:
        """Leave the file as it is."""
        self.shell.stop_asking()
        self._again()

    def do_config_write_as(self) -> None:
        """Ask for another name."""
        if self._opened is not None:
            self.shell.ask_text("write as", self._write_as, self._opened.target.name)

    def _write_as(self, name: str) -> None:
        if self._opened is None:
            return
        try:
            self._write(elsewhere(self._opened, name))
        except LoratuiError as error:
            self.shell.say(f"! {error.what}: {error.fix}", _TOLD_S)

    def _write(self, opened: Opened) -> None:
        form = self._form
        if form is None:
            return
        text = form.text

        def work() -> None:
            try:
                after = write(opened, text)
            except LoratuiError as error:
                self.app.call_from_thread(self.shell.say, f"! {error.what}: {error.fix}", _TOLD_S)
                self.app.call_from_thread(self._mark_stale, error.code == "config.changed_meanwhile")
            else:
                self.app.call_from_thread(self._written, form, after)

        self.shell.work(work, "the config")

    def _written(self, form: ConfigForm, opened: Opened) -> None:
        form.written(opened.text)
        if form is self._form:
            self._opened = opened
            self._path = self.shell.config_path = opened.path
            self._keys.is_stale = False
            self._changed()
        self.shell.say(f"written: {opened.path}")

    # --- editor and file on the disk ----------------------------------------------------------------------------------

    def do_config_editor(self) -> None:
        """Let the user's editor have the terminal, and read the file again. The loop waits, so nothing repaints."""
        if self._path is None:
            return
        try:
            with self.app.suspend():
                trouble = edit(self._path)
        except SuspendNotSupported:
            self.shell.say("! an editor can't have this terminal: run it in another one, then press r")
            return
        self.shell.do_redraw()
        if trouble:
            self.shell.say(f"! {trouble}", _TOLD_S)
        self.do_config_read()

    def do_config_read(self) -> None:
        """Take what is on the disk now; the form's undo brings back what it had."""
        path, before = self._path, self._form
        if path is None:
            return

        def take(opened: Opened) -> None:
            if before is None or before is not self._form or opened.is_new:
                self._take(path, opened, form_of(opened))
                return
            before.saved = opened.text
            before.replace(opened.text, path.name)
            before.written(opened.text)
            self._opened, self._keys.is_stale = opened, False
            self._changed()

        def read() -> None:
            try:
                opened = open_config(path)
            except LoratuiError as error:
                self.app.call_from_thread(self._not_opened, path, error)
            else:
                self.app.call_from_thread(take, opened)

        self.shell.work(read, "the config")

    # --- training -----------------------------------------------------------------------------------------------------

    def do_config_train(self) -> None:
        """Ask where."""
        plan, preferences = self._plan.plan, self.shell.desk.preferences
        if plan is not None:
            price = preferences.local_price_microusd_per_h
            self.shell.ask(Scope.CONFIG_TRAIN_STRIP, lambda _: ask_train(plan, price))

    def do_config_train_here(self) -> None:
        """Send the command out that trains it here."""
        self.shell.stop_asking()
        plan = self._plan.plan
        if self._opened is not None and plan is not None:
            argv = ("train", str(self._opened.path), "--on", "local", "--yes", "--detach")
            self._errand = self.shell.send_out(f"train {plan.name}", *argv)
            if self._errand is not None:
                self.shell.say(f"starting {plan.name} on this machine…")

    def do_config_train_rented(self) -> None:
        """Show what can be rented."""
        self.shell.stop_asking()
        if "offers" in self.shell.pages:
            self.shell.go("offers")
        else:
            self.shell.say("loratui train CONFIG --on cheapest shows what can be rented, and asks")

    def do_config_train_no(self) -> None:
        """Start nothing."""
        self.shell.stop_asking()

    def errand_ended(self, errand: Errand) -> None:
        """Show the run that was started."""
        if errand is self._errand and errand.status == 0:
            ids = [line.strip() for line in errand.lines() if _RUN_ID.fullmatch(line.strip())]
            if ids:
                self.shell.open_run(ids[-1])
