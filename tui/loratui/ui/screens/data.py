"""The data screen: the pictures of a folder with their captions, what is wrong with them, and what sets it right."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Container
from textual.widget import Widget

from loratui.preflight.caption_edits import Wishes
from loratui.preflight.fixes import FIXES
from loratui.sessions.dataset import NEEDS_REPEATS, NEEDS_TRIGGER, Found, OpenDataset
from loratui.ui.frame import Frame
from loratui.ui.page import Page
from loratui.ui.registry import Scope
from loratui.ui.screens.data_edits import DataEdits, Proposed
from loratui.ui.screens.data_rounds import Rounds, Seen
from loratui.ui.text import Row
from loratui.ui.typed_path import typed_path
from loratui.ui.widgets.change_preview import ChangePreview
from loratui.ui.widgets.data_lists import FindingList, PictureList, shortened
from loratui.ui.widgets.data_next import next_row
from loratui.ui.widgets.picture_pane import PicturePane
from loratui.ui.widgets.prompt import Typed

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

_EDITS = ("caption_edit", "caption_editor", "data_fix", "data_undo")
_BULK = ("bulk_prefix", "bulk_suffix", "bulk_replace", "bulk_trigger", "bulk_drop")
_MOST_REPEATS = 10_000
_NAME = 30


class DataPage(Page):
    """Shows one dataset; two lists, of which one is in sight."""

    place = "data"
    own_scopes = (Scope.DATA,)

    def __init__(self, shell: "Shell") -> None:
        super().__init__(shell)
        self._pictures, self._findings = PictureList(id="picture-list"), FindingList(id="finding-list")
        self._picture = PicturePane(shell.work, id="picture")
        self._change = ChangePreview(id="change")
        self._rounds = Rounds(shell, self._saw)
        self._edits = DataEdits(shell, self._show_change, self._changed)
        self._path: Path | None = None
        self._seen: Seen | None = None
        self._has_edits = False
        self.main_list = self._pictures
        self.add_class("-pictures")

    def compose(self) -> ComposeResult:
        """Put the picture beside the list."""
        with Container(id="data-lists"):
            yield self._pictures
            yield self._findings
            yield self._picture
        yield self._change

    @property
    def panes(self) -> tuple[Widget, ...]:
        """Return the picture: alone it is as large as the screen, also where it has no room beside the list."""
        return () if self._picture.entry is None else (self._picture,)

    # --- what is open ------------------------------------------------------------------------------------------------

    def open_path(self, path: Path) -> None:
        """Show a folder of pictures, or what a config names, and check it."""
        if path != self._path:
            self._path, self._seen = path, None
            self._show_list(self._pictures)
            for each in (self._pictures, self._findings):
                each.marked.clear()
            self._pictures.only, self._pictures.trouble = None, ""
            self._pictures.findings, self._findings.is_read = {}, False
            self._pictures.fill(())
            self._findings.fill(())
        self._rounds.begin(path)
        self.shell.refresh_view()

    @property
    def is_checked(self) -> bool:
        """Return whether all of what is open has been looked at."""
        return self._seen is not None and not self._rounds.is_under_way

    def entered(self) -> None:
        """Look at what an earlier session had open, once it is wanted."""
        if self._path is not None and self._seen is None and not self._rounds.is_under_way:
            self.open_path(self._path)

    def kept(self) -> dict[str, str]:
        """Return what is open."""
        return {} if self._path is None else {"path": str(self._path)}

    def restore(self, kept: Mapping[str, str]) -> None:
        """Take up the path; it is looked at when this screen is."""
        path = kept.get("path", "")
        if isinstance(path, str) and path and "\0" not in path:
            self._path = Path(path)

    def on_unmount(self) -> None:
        """Let no check keep the program from ending."""
        self._rounds.end()

    def _saw(self, seen: Seen) -> None:
        """Take what a round has seen; until it is over, what the one before it has found stays."""
        self._seen, self._has_edits = seen, seen.has_edits
        self._pictures.trouble = seen.trouble
        if seen.found is not None:
            self._pictures.findings = seen.of_picture
            self._findings.is_read = not seen.trouble
            self._findings.fill(seen.found)
            if seen.trouble:
                self.shell.say(f"! not checked: {seen.trouble}")
        self._fill()
        self.shell.refresh_view()

    def _fill(self) -> None:
        pictures = () if self._seen is None else self._seen.pictures
        only = self._pictures.only
        if only is not None:
            # The same finding may be about fewer pictures by now, or none.
            name = self._findings.name_of(only)
            same = next((each for each in self._findings.entries if self._findings.name_of(each) == name), None)
            self._pictures.only = only = same
        self._pictures.fill(pictures if only is None else tuple(each for each in pictures if each.name in only.names))

    @property
    def _dataset(self) -> OpenDataset | None:
        return None if self._seen is None else self._seen.dataset

    # --- what is shown -----------------------------------------------------------------------------------------------

    def show(self, frame: Frame) -> None:
        """Show the list that is in sight and what is chosen there."""
        if self._edits.proposed is None:
            self.remove_class("-changing")
        self._pictures.doing = self._findings.doing = self._doing()
        self._pictures.next = self._findings.next = self._next()
        self.set_class(self._seen is None or not self._seen.pictures, "-empty")
        self._picture.edge = "" if self.main_list is self._findings else "┬"
        self._choose()
        super().show(frame)

    def _next(self) -> Row:
        seen = self._seen
        if seen is None or seen.dataset is None or seen.found is None or seen.trouble:
            return []
        return next_row(seen.found, seen.pictures, has_config=seen.dataset.config is not None)

    def _doing(self) -> str:
        if not self._rounds.is_under_way:
            dataset = self._dataset
            if dataset is None:
                return ""
            which = f", folder 1 of {dataset.num_folders}" if dataset.num_folders > 1 else ""
            return f"{shortened(dataset.folder.name, _NAME)}{which}"
        progress = self._rounds.progress
        return "checking" if progress is None else f"checking {progress[0]} of {progress[1]}"

    def _choose(self) -> None:
        if self.main_list is self._findings:
            self._picture.finding, self._picture.entry = self._findings.chosen, None
        else:
            entry = self._pictures.chosen
            self._picture.finding, self._picture.entry = None, entry
            self._picture.found = () if entry is None else self._pictures.findings.get(entry.name, ())

    def on_list_pane_moved(self) -> None:
        """Show what is chosen now."""
        self._choose()
        self._picture.rebuild()

    def _show_list(self, shown: PictureList | FindingList) -> None:
        self.main_list = shown
        self.set_class(shown is self._findings, "-findings")
        self.set_class(shown is self._pictures, "-pictures")
        self._choose()

    def _show_change(self, proposed: Proposed | None) -> None:
        self._change.said = () if proposed is None else proposed.shown
        self.set_class(proposed is not None, "-changing")
        self.shell.refresh_view()

    def refusals(self) -> Mapping[str, str]:
        """Return what can't be done with nothing open, or nothing chosen."""
        no: dict[str, str] = {}
        if self._dataset is None:
            no = dict.fromkeys((*_EDITS, *_BULK, "data_check", "data_lists", "data_config"), "no folder is open")
        else:
            if not self._has_edits:
                no["data_undo"] = "there is no edit to take back"
            if not self._pictures.found:
                no |= dict.fromkeys(_BULK, "no picture is listed")
            if self.main_list is self._findings or self._pictures.chosen is None:
                no |= dict.fromkeys(("caption_edit", "caption_editor"), "no picture is chosen")
            if self._finding is None:
                no["data_fix"] = f"choose a finding first ({self.shell.actions.name_of('data_lists')})"
            elif self._finding.finding.code not in FIXES:
                no["data_fix"] = "this one is for a person to set right"
        return no

    @property
    def _finding(self) -> Found | None:
        """Return the finding that is meant."""
        return self._findings.chosen if self.main_list is self._findings else self._pictures.only

    def _names(self) -> frozenset[str]:
        """Return the pictures that a bulk edit is about: the marked ones, else all that are listed."""
        pictures = self._pictures.meant if self._pictures.marked else self._pictures.found
        return frozenset(each.name for each in pictures)

    # --- actions -----------------------------------------------------------------------------------------------------

    def do_data_folder(self) -> None:
        """Ask for a path."""
        here = self._path or Path.cwd()

        def typed(text: str) -> None:
            if text.strip():
                # Not every name can be shown as it is, and the next session may begin in another folder.
                self.open_path(here if text == str(here) else typed_path(text))

        self.shell.ask_text("folder or config:", typed, str(here), Typed.PATH)

    def do_data_check(self) -> None:
        """Look at everything anew."""
        if self._path is not None:
            self.shell.say("looking at all of it again")
            self.open_path(self._path)

    def do_data_lists(self) -> None:
        """Show the other list."""
        self._show_list(self._pictures if self.main_list is self._findings else self._findings)
        self.shell.refresh_view()

    def do_data_enter(self) -> None:
        """Show the pictures of a finding, or edit the caption of a picture."""
        if self._dataset is None:
            self.do_data_folder()
        elif self.main_list is self._findings:
            if self._findings.chosen is not None:
                self._show_only(self._findings.chosen)
        else:
            self.shell.keyboard.perform(self.shell.actions["caption_edit"])

    def do_data_back(self) -> None:
        """Show all pictures; where those of a finding were shown, the findings first."""
        if self._pictures.only is not None:
            self._show_only(None)
            self._show_list(self._findings)
        else:
            self._show_list(self._pictures)
        self.shell.refresh_view()

    def _show_only(self, only: Found | None) -> None:
        self._pictures.only = only
        self._pictures.marked.clear()
        self._fill()
        self._show_list(self._pictures)
        self.shell.refresh_view()

    def do_caption_edit(self) -> None:
        """Let the caption of the chosen picture be typed anew."""
        if self._dataset is not None and self._pictures.chosen is not None:
            self._edits.retype(self._dataset, self._pictures.chosen)

    def do_caption_editor(self) -> None:
        """Let the user's editor have the caption of the chosen picture."""
        if self._dataset is not None and self._pictures.chosen is not None:
            self._edits.write_in_editor(self._dataset, self._pictures.chosen)

    def do_bulk_prefix(self) -> None:
        """Ask for what is to stand before the captions."""
        self._ask_wish("prefix", lambda text: Wishes(prefix=text))

    def do_bulk_suffix(self) -> None:
        """Ask for what is to stand behind the captions."""
        self._ask_wish("suffix", lambda text: Wishes(suffix=text))

    def do_bulk_trigger(self) -> None:
        """Ask for the trigger."""
        likely = "" if self._seen is None else self._seen.trigger
        self._ask_wish("trigger word", lambda text: Wishes(trigger=text.strip()), likely)

    def do_bulk_drop(self) -> None:
        """Ask for the tag that is to go."""
        self._ask_wish("drop the tag", lambda text: Wishes(remove_tags=(text,)))

    def do_bulk_replace(self) -> None:
        """Ask for what is to be replaced, and by what."""
        if self._dataset is not None:
            self._edits.ask_replacement(self._dataset, self._names())

    def _ask_wish(self, label: str, wish: Callable[[str], Wishes], likely: str = "") -> None:
        if self._dataset is not None:
            self._edits.ask_wish(self._dataset, self._names(), label, wish, likely)

    def do_data_fix(self) -> None:
        """Propose what sets the finding right, once it is known what only a person knows."""
        dataset, found = self._dataset, self._finding
        if dataset is None or found is None:
            return
        code = found.finding.code
        if code in NEEDS_TRIGGER and not dataset.trigger:
            self.shell.ask_text(
                "trigger word:",
                lambda text: self._edits.propose_fix(dataset, code, trigger=text.strip()),
                "" if self._seen is None else self._seen.trigger,
                Typed.ANSWER,
            )
        elif code in NEEDS_REPEATS:
            self.shell.ask_text("repeats of each picture:", lambda text: self._fix_repeats(dataset, code, text))
        else:
            self._edits.propose_fix(dataset, code)

    def _fix_repeats(self, dataset: OpenDataset, code: str, text: str) -> None:
        if not (text.strip().isdecimal() and 1 <= int(text) <= _MOST_REPEATS):
            self.shell.say(f"repeats are a number from 1 to {_MOST_REPEATS}; nothing is changed")
            return
        self._edits.propose_fix(dataset, code, repeats=int(text))

    def do_data_undo(self) -> None:
        """Take back the newest edit."""
        if self._dataset is not None:
            self._edits.undo(self._dataset)

    def do_data_config(self) -> None:
        """Show the config that was opened, or ask for what is missing to make one of the folder."""
        # Loaded when it is shown, as all screens are.
        from loratui.ui.screens.config import ConfigPage

        page, dataset = self.shell.pages[ConfigPage.place], self._dataset
        if dataset is None or not isinstance(page, ConfigPage):
            return
        why_not = page.refusals().get("config_new", "")
        if dataset.config is not None and page.path == dataset.path:
            self.shell.go(page.place)
        elif why_not:
            self.shell.say(f"not now: on screen 3 {why_not}")
        elif dataset.config is not None:
            self.shell.go(page.place)
            page.open(dataset.path)
        else:
            self.shell.go(page.place)
            page.make_of(dataset.path)

    def do_change_do(self) -> None:
        """Make the edit that is shown."""
        self._edits.do_proposed()

    def do_change_cancel(self) -> None:
        """Make no edit."""
        self._edits.drop()

    def _changed(self, dataset: OpenDataset) -> None:
        if self._path is not None and self._dataset is not None and self._dataset.path == dataset.path:
            # Until the new round has looked: who has just made one may take it back at once.
            self._has_edits = True
            self.open_path(self._path)
