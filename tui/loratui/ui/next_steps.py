"""Works out what to try after the open run, and writes the change that is chosen as a config of its own."""

from pathlib import Path
from typing import TYPE_CHECKING

from loratui.domain.run import RunView
from loratui.ui.typed_path import typed_path
from loratui.ui.widgets.next_list import NextList, NextPane
from loratui.ui.widgets.prompt import Typed
from loratui_protocol.errors import LoratuiError
from loratui_protocol.judging.advice import advise, pairs_of

if TYPE_CHECKING:
    from loratui.sessions.next_steps import Change
    from loratui.ui.shell import Shell

_SAY_S = 30.0


class NextSteps:
    """Fills the list and the pane beside it."""

    def __init__(self, shell: "Shell", listed: NextList, pane: NextPane) -> None:
        self._shell = shell
        self._list = listed
        self._pane = pane
        self._name = ""
        self.run_id = ""
        """Of the run that it is about."""

    def begin(self, view: RunView) -> None:
        """Work out what there is to say of a run: its captions are read for it."""
        preferences = self._shell.desk.preferences
        self._name, self.run_id = view.name, view.run_id
        self._list.is_read, self._list.trouble = False, ""
        self._take([])

        def work() -> None:
            # Here, in the thread: it takes as long to load as a screen may take to come up.
            from loratui.sessions.next_steps import next_steps
            from loratui.store import Store

            found, trouble = list["Change"](), ""
            try:
                with Store(preferences.database) as store:
                    run, downloads = store.run(view.run_id), store.downloads(view.run_id)
                found = next_steps(preferences, run, view, advise(pairs_of(view.scores)), downloads)
            except LoratuiError as error:
                trouble = error.what
            self._shell.app.call_from_thread(self._read, view.run_id, found, trouble)

        self._shell.work(work, "what to try next")

    def _read(self, run_id: str, found: "list[Change]", trouble: str) -> None:
        if run_id != self.run_id:
            return
        self._list.is_read, self._list.trouble = True, trouble
        self._take(found)
        self._shell.refresh_view()

    def _take(self, found: "list[Change]") -> None:
        self._list.fill(found)
        self.show_chosen()

    def show_chosen(self) -> None:
        """Show the finding under the cursor."""
        self._pane.change = self._list.chosen
        self._pane.rebuild()

    def why_not_write(self) -> str:
        """Return why there is nothing to write; empty: there is."""
        if self._list.chosen is None:
            return "nothing is chosen"
        return "" if self._list.chosen.text or self._list.chosen.command else "no setting mends that"

    def accept(self) -> None:
        """Ask how the config is to be called, write it, and open it; or lead to where the run itself goes on."""
        change = self._list.chosen
        if change is not None and change.going_on is not None:
            # Loaded when it is shown, as all screens are.
            from loratui.ui.screens.home import HomePage

            home = self._shell.pages[HomePage.place]
            if isinstance(home, HomePage):
                self._shell.go(home.place)
                home.resume(self.run_id, change.going_on.epochs, change.cost.short if change.cost else "")
        elif change is not None:
            usual = Path.cwd() / f"{Path(self._name).name}.{change.remedy.code}.toml"
            self._shell.ask_text("write as", lambda text: self._write(change, text), str(usual), Typed.PATH)

    def _write(self, change: "Change", text: str) -> None:
        if not text.strip():
            return
        # Loaded when it is shown, as all screens are.
        from loratui.sessions.presets import write_new
        from loratui.ui.screens.config import ConfigPage

        path, page = typed_path(text), self._shell.pages[ConfigPage.place]
        try:
            write_new(path, change.text)
        except LoratuiError as error:
            # The whole path would leave no room for what is wrong with it.
            self._shell.say(f"! not written: {error.what.replace(str(path), path.name)}; {error.fix}", _SAY_S)
            return
        if isinstance(page, ConfigPage) and not page.refusals().get("config_open"):
            self._shell.go(page.place)
            page.open(path)
        self._shell.say(f"{path.name} is written; nothing was started", _SAY_S)
