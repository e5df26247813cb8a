"""The config screen: a training config as a form, with what it comes to beside it."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult, SuspendNotSupported
from textual.widget import Widget

from loratui.sessions.config_form import key_of
from loratui.ui.errands import COMMAND, Errand, begun_run
from loratui.ui.frame import Frame
from loratui.ui.handover import run_in
from loratui.ui.questions import ask_train
from loratui.ui.registry import Scope
from loratui.ui.screens.config_file import TOLD_S, ConfigFilePage
from loratui.ui.screens.config_new import NewConfig
from loratui.ui.text import plain
from loratui.ui.widgets.config_differences import DifferenceList, OtherList
from loratui.ui.widgets.config_findings import ORDER, FindingList, is_of_pictures
from loratui.ui.widgets.config_keys import KeyList
from loratui.ui.widgets.prompt import Typed
from loratui_protocol.errors import LoratuiError
from loratui_protocol.findings import Finding

if TYPE_CHECKING:
    from loratui.sessions.config_compare import Difference, Other
    from loratui.ui.shell import Shell

_HOST = "ssh://"
_NUMBER = re.compile(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?")
_OF_A_FORM = ("edit", "cycle", "reset", "undo", "write", "write_as", "compare", "findings", "train")
_OF_A_FILE = ("editor", "read")


class ConfigPage(ConfigFilePage):
    """Opens configs, changes them key by key, and sends them off to be trained."""

    place = "config"
    own_scopes = (Scope.CONFIG, Scope.CONFIG_CHOICE, Scope.CONFIG_WRITE_STRIP, Scope.CONFIG_TRAIN_STRIP)

    def __init__(self, shell: "Shell") -> None:
        super().__init__(shell)
        self._others = OtherList(id="others")
        self._differences = DifferenceList(id="differences")
        self._findings = FindingList(id="findings")
        self._new = NewConfig(shell, self.open, self._not_made)
        self._errand: Errand | None = None
        self._asked_to_train = "", Path()

    def compose(self) -> ComposeResult:
        """Put the keys beside the plan; what is compared takes their place."""
        yield self.keys
        yield self.plan
        yield self.key_help
        yield self._others
        yield self._differences
        yield self._findings
        yield self.change

    @property
    def panes(self) -> tuple[Widget, ...]:
        """Return the plan: on a small screen it has three rows."""
        return () if self.form is None or self.main_list is not self.keys else (self.plan,)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Return where the keys work: in the form, or in what is compared."""
        return (Scope.CONFIG if self.main_list is self.keys else Scope.CONFIG_CHOICE), Scope.LIST

    def refusals(self) -> Mapping[str, str]:
        """Return what can't be done now, and why."""
        form, no, keys = self.form, dict[str, str](), self.shell.actions
        if self.path is None:
            no |= {f"config_{name}": "no config is open" for name in _OF_A_FILE}
        if form is None:
            return no | {f"config_{name}": "no config is open" for name in _OF_A_FORM}
        unsaved = keys.fill("{config_write} writes your changes first; {config_read} drops them")
        if self.has_edits:
            no |= {f"config_{name}": unsaved for name in ("open", "new", "editor", "train")}
        if self.opened is not None and self.opened.is_new:
            no["config_train"] = f"{keys.name_of('config_write')} writes it as {self.opened.target.name} first"
        if self.opened is not None and self.path != self.opened.path:
            no |= {f"config_{name}": "another config is being read" for name in ("train", "write", "write_as")}
        elif not form.is_dirty:
            no["config_write"] = "nothing has changed"
        if not form.num_changes:
            no["config_undo"] = "nothing to take back"
        if self.keys.chosen is None:
            no |= {f"config_{name}": "no key is chosen" for name in ("edit", "cycle", "reset")}
        if form.loaded is None:
            no["config_compare"] = "the errors first"
        no.setdefault("config_train", self._why_no_training())
        if self._others.chosen is None and self.main_list is self._others:
            no["config_choose"] = "there is nothing to choose"
        return {action: why for action, why in no.items() if why}

    def _why_no_training(self) -> str:
        plan = self.plan.plan
        if plan is None or not self.plan.is_current:
            return "the plan is not reckoned yet"
        if plan.errors:
            return f"{len(plan.errors)} error{'s' if len(plan.errors) > 1 else ''} in the way: {plan.errors[0].what}"
        return ""

    def show(self, frame: Frame) -> None:
        """Show a moment; what is asked to be written lies over the form."""
        self.set_class(self.shell.strip.scope is Scope.CONFIG_WRITE_STRIP, "-writing")
        self.set_class(self.form is None, "-empty")
        self.set_class(self.main_list is self._others, "-choosing")
        self.set_class(self.main_list is self._differences, "-comparing")
        self.set_class(self.main_list is self._findings, "-finding")
        self.key_help.row = self.keys.chosen
        self.plan.is_written = not self.has_edits and not (self.opened is not None and self.opened.is_new)
        super().show(frame)

    def on_list_pane_moved(self) -> None:
        """Show the help of the key that is chosen now."""
        self.key_help.refused = ""
        self.key_help.row = self.keys.chosen
        self.key_help.rebuild()

    # --- keys of the form ---------------------------------------------------------------------------------------------

    def do_config_new(self) -> None:
        """Ask what is to be trained."""
        self._new.ask()

    def make_of(self, folder: Path) -> None:
        """Ask what is to be trained on these pictures."""
        self._new.ask_of(folder)

    def _not_made(self, why: str, fix: str) -> None:
        again = f"{self.shell.actions.name_of('config_new')} asks again"
        if self.form is None:
            self.keys.trouble = (why, fix, again)
            self.again()
        self.shell.say(f"! {again}: {why}", TOLD_S)

    def do_config_edit(self) -> None:
        """Let a value be typed; one that is refused can be mended."""
        if self.form is not None and self.keys.chosen is not None:
            key = self.keys.chosen.key
            self._ask_value(key, before := self.form.typed(key, lambda text: plain(text) == text), before)

    def _ask_value(self, key: str, value: str, before: str | None = None) -> None:
        # Taken as it stood, nothing is set: a default stays one.
        # A number is typed anew, and what was refused is mended where it stands.
        kind = Typed.ANSWER if value == before and _NUMBER.fullmatch(value) else Typed.TEXT
        self.shell.ask_text(
            f"{key} =", lambda text: None if text == before else self._set(key, text), value, kind, about=str(self.path)
        )

    def _set(self, key: str, typed: str) -> None:
        form = self.form
        if form is None:
            return
        try:
            form.set(key, typed)
        except LoratuiError as error:
            self._ask_value(key, typed)
            self._refused(error)
        else:
            self.changed()

    def _refused(self, error: LoratuiError) -> None:
        self.key_help.refused = f"{error.what}: {error.fix}" if error.fix else error.what
        self.again()

    def do_config_cycle(self) -> None:
        """Take the next value of a flag or a choice."""
        form, row = self.form, self.keys.chosen
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
            self.changed()

    def do_config_reset(self) -> None:
        """Take the key out of the file."""
        form, row = self.form, self.keys.chosen
        if form is None or row is None:
            return
        try:
            form.reset(row.key)
        except LoratuiError as error:
            self._refused(error)
        else:
            self.changed()

    def do_config_undo(self) -> None:
        """Take the last change back."""
        if self.form is not None and (what := self.form.undo()):
            self.changed()
            self.keys.choose(what)
            self.shell.say(f"taken back: {what}")

    # --- comparing ----------------------------------------------------------------------------------------------------

    def do_config_compare(self) -> None:
        """Ask what to compare with."""
        preferences = self.shell.desk.preferences

        def look() -> "list[Other]":
            # Here, in the thread: with the screen it would be waited for.
            from loratui.sessions.config_compare import others

            return others(preferences)

        self.in_thread(look, self._choose, "what there is to compare with")

    def _choose(self, found: "list[Other]") -> None:
        self._others.fill(found)
        self._turn_to(self._others)

    def do_config_choose(self) -> None:
        """Compare with the chosen one, or go to the key that the chosen difference or finding is about."""
        form, other, preferences = self.form, self._others.chosen, self.shell.desk.preferences
        if self.main_list is self._differences:
            self._go_to(self._differences.chosen.key if self._differences.chosen else "")
        elif self.main_list is self._findings:
            self._go_to_finding(self._findings.chosen)
        elif form is not None and form.loaded is not None and other is not None:
            config = form.loaded.config
            self._differences.there = f"{other.kind} {other.title}"

            def compare() -> "list[Difference]":
                from loratui.sessions.config_compare import differences

                return differences(config, other, preferences)

            self.in_thread(compare, self._compare, "the comparison")

    def _compare(self, found: "list[Difference]") -> None:
        self._differences.fill(found)
        self._turn_to(self._differences)

    def _go_to_finding(self, finding: Finding | None) -> None:
        """Go to the key that a finding is about, or to the pictures."""
        # Loaded when it is shown, as all screens are.
        from loratui.ui.screens.data import DataPage

        page = self.shell.pages[DataPage.place]
        key = key_of(finding.what) if finding else ""
        if finding is None or key or self.path is None or not is_of_pictures(finding) or not isinstance(page, DataPage):
            self._go_to(key)
            return
        self._turn_to(self.keys)
        self.shell.go(page.place)
        page.open_path(self.path)

    def _go_to(self, key: str) -> None:
        if key:
            self.keys.set_query("")
            self.keys.choose(key)
        self._turn_to(self.keys)

    def do_config_findings(self) -> None:
        """Show all findings."""
        plan = self.plan.plan
        if plan is not None:
            self._findings.fill(sorted(plan.findings, key=lambda finding: ORDER.index(finding.severity)))
            self._turn_to(self._findings)

    def do_config_choice_close(self) -> None:
        """Go one step back."""
        self._turn_to(self._others if self.main_list is self._differences else self.keys)

    def _turn_to(self, shown: "KeyList | OtherList | DifferenceList | FindingList") -> None:
        self.main_list = shown
        self.again()

    # --- training -----------------------------------------------------------------------------------------------------

    def do_config_train(self) -> None:
        """Ask where."""
        plan, preferences = self.plan.plan, self.shell.desk.preferences
        if plan is not None and self.opened is not None:
            # What is asked about is what is trained, whatever is read and planned meanwhile.
            self._asked_to_train = plan.name, self.opened.path
            price = preferences.local_price_microusd_per_h
            self.shell.ask(Scope.CONFIG_TRAIN_STRIP, lambda _: ask_train(plan, price))

    def do_config_train_here(self) -> None:
        """Send the command out that trains it here."""
        self.shell.stop_asking()
        name, path = self._asked_to_train
        self._errand = self.shell.send_out(f"train {name}", "train", str(path), "--on", "local", "--yes", "--detach")
        if self._errand is not None:
            self.shell.say(f"starting {name} on this machine…")

    def do_config_train_host(self) -> None:
        """Ask for the host."""
        name, path = self._asked_to_train
        before = [line for line in self.shell.frame().overview.runs if line.target.startswith(_HOST)]
        usual = max(before, key=lambda line: line.created_ts).target if before else _HOST
        kind = Typed.ANSWER if before else Typed.TEXT
        self.shell.ask_text(
            "train on:", lambda target: self._train_on_host(name, path, target.strip()), usual, kind, about=str(path)
        )

    def _train_on_host(self, name: str, path: Path, target: str) -> None:
        """Let the command that trains there have the terminal: whether it is the right host, it asks a person."""
        if target in ("", _HOST):
            self.shell.say("no host was typed, and nothing is started")
            return
        argv = ("train", str(path), "--on", target, "--detach")
        known = {line.id for line in self.shell.frame().overview.runs}
        try:
            status = run_in(self.app, (*COMMAND, *argv), self.shell.errands.environ)
        except SuspendNotSupported:
            self.shell.say(f"! it has questions, and can't have this terminal: loratui {shlex.join(argv)}", TOLD_S)
            return
        except OSError as error:
            self.shell.say(f"! train {name}: not started, {error.strerror}")
            return
        self.shell.do_redraw()
        self.shell.desk.look()
        preferences = self.shell.desk.preferences

        def begun() -> str:
            # What reads the records takes a tenth of a second to load.
            from loratui.sessions.overview import overview

            runs = (line for line in overview(preferences).runs if line.target.startswith(_HOST))
            return max((line.id for line in runs if line.id not in known), default="")

        def show(run_id: str) -> None:
            if run_id:
                self.shell.open_run(run_id)
            else:
                self.shell.say(f"{'! ' * bool(status)}train {name}: nothing was started on {target}", TOLD_S)

        self.in_thread(begun, show, "what was started")

    def do_config_train_rented(self) -> None:
        """Show what can be rented."""
        self.shell.stop_asking()
        self.shell.go("offers")

    def do_config_train_no(self) -> None:
        """Start nothing."""
        self.shell.stop_asking()

    def errand_ended(self, errand: Errand) -> None:
        """Show the run that was started."""
        if errand is self._errand and errand.status == 0:
            run_id = begun_run(errand.lines())
            if run_id:
                self.shell.open_run(run_id)
