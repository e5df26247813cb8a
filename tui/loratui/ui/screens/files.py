"""The files screen: the library of all LoRAs made here, and what can be done with each."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from loratui.domain import formatting, library
from loratui.domain.library import FileState, LibraryFile
from loratui.domain.run import RunView
from loratui.sessions.library import Library, delete_local, verify
from loratui.store.ratings import rate
from loratui.ui.errands import Errand
from loratui.ui.folder_viewer import show_folder, viewer
from loratui.ui.frame import Frame
from loratui.ui.installing import Installing
from loratui.ui.page import Page
from loratui.ui.questions import Question
from loratui.ui.registry import Registry, Scope
from loratui.ui.text import Role
from loratui.ui.widgets.confirm_strip import Ask
from loratui.ui.widgets.file_list import FileList, FilePane
from loratui_protocol.errors import LoratuiError

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

_EVERY_S = 5.0
_WRONG_S = 30.0
"""So long stays to be read that a file is not what it should be."""


class FilesPage(Page):
    """Reads the library in a thread every few seconds while it is in sight."""

    place = "files"
    own_scopes = (Scope.FILES,)

    def __init__(self, shell: "Shell") -> None:
        super().__init__(shell)
        self.main_list = self._list = FileList(id="files")
        self._file = FilePane(id="file")
        self._library = Library(shell.desk.preferences)
        self._read: list[LibraryFile] = []
        self._read_at_s = float("-inf")
        self._is_reading = False
        self._is_stale = False
        """Whether something has changed while the library was read."""
        self._verdicts: dict[tuple[str, str, str], tuple[str, str]] = {}
        self._is_verifying = False
        self._is_over = False
        self._asked: LibraryFile | None = None
        self._installing = Installing(shell)

    def compose(self) -> ComposeResult:
        """Put the list over the chosen file."""
        yield self._list
        yield self._file

    def on_unmount(self) -> None:
        """Let a file that is being read go: the program would wait for it."""
        self._is_over = True

    def entered(self) -> None:
        """Read at once."""
        self._reload()

    def errand_ended(self, errand: Errand) -> None:  # noqa: ARG002 - any may have brought a file
        """Read again."""
        self._reload()

    def show(self, frame: Frame) -> None:
        """Show what was read last, and read again when that is old."""
        if frame.now_s - self._read_at_s >= _EVERY_S:
            self._reload()
        self._choose()
        super().show(frame)

    def on_list_pane_moved(self) -> None:
        """Show the file under the cursor."""
        self._choose()
        self._file.rebuild()

    def _choose(self) -> None:
        self._file.file = file = self._list.chosen
        self._file.verdict = ("", "") if file is None else self._verdicts.get(file.key, ("", ""))

    # --- reading -----------------------------------------------------------------------------------------------------

    def _reload(self) -> None:
        if self._is_reading:
            self._is_stale = True
            return
        self._is_reading, self._is_stale = True, False
        self._read_at_s = self.shell.clock.monotonic_s()

        def read() -> None:
            files, trouble = list[LibraryFile](), ""
            try:
                files = self._library.files()
            except LoratuiError as error:
                trouble = error.what
            finally:
                self.app.call_from_thread(self._filled, files, trouble)

        self.shell.work(read, "reading the library")

    def _filled(self, files: list[LibraryFile], trouble: str) -> None:
        self._is_reading = False
        self._list.is_read, self._list.trouble, self._read = True, trouble, files
        self._fill()
        if self._is_stale:
            self._reload()

    def _fill(self) -> None:
        source = self.shell.source
        view = None if source is None else source.view()
        self._list.fill(library.ordered((_told(file, view) for file in self._read), self._list.order))
        self._choose()
        self._file.rebuild()

    # --- what can be done --------------------------------------------------------------------------------------------

    def refusals(self) -> Mapping[str, str]:
        """Return what the chosen file, or the lack of one, keeps from being done."""
        file = self._list.chosen
        if file is None:
            return dict.fromkeys(
                (
                    *("file_open", "file_download", "file_verify", "file_rate", "file_delete"),
                    *("file_install", "file_report"),
                ),
                "no file is chosen",
            )
        refused = dict[str, str]()
        if file.path is None:
            refused["file_open"] = "the file is not here"
        if not file.is_here:
            refused |= dict.fromkeys(("file_delete", "file_install"), "the file is not here")
        if not any(each.is_here for each in self._list.meant):
            refused["file_verify"] = "the file is not here"
        elif self._is_verifying:
            refused["file_verify"] = "one is being verified"
        if not file.can_come:
            refused["file_download"] = "its machine does not have it any more"
        return refused

    def do_file_open(self) -> None:
        """Open the folder, or say where it is."""
        file, program = self._list.chosen, viewer()
        if file is None or file.path is None:
            return
        path = file.copy or file.path
        if not program:
            self.shell.say("there is no file manager here; the path is above")
            return
        try:
            show_folder(program, path.parent)
            self.shell.say(f"opening {path.parent}")
        except OSError as error:
            self.shell.say(f"! the file manager did not start: {error.strerror}; the path is above")

    def do_file_download(self) -> None:
        """Send the command out that fetches."""
        file = self._list.chosen
        if file is not None and self.shell.send_out(f"download {file.run_name}", "download", file.run_id):
            self.shell.say(f"fetching the files of {file.run_name}; that goes on when you leave")

    def do_file_sort(self) -> None:
        """Use the next order."""
        at = library.ORDERS.index(self._list.order)
        self._list.order = library.ORDERS[(at + 1) % len(library.ORDERS)]
        self._fill()

    def do_file_verify(self) -> None:
        """Read the files that are meant and compare their sums."""
        files = [file for file in self._list.meant if file.is_here]
        self._is_verifying = True

        def work() -> None:
            wrong = []
            try:
                for file in files:
                    problem = verify(file, partial(self._progress, file), lambda: not self._is_over)
                    if self._is_over:
                        return
                    if problem:
                        wrong.append(f"{file.name}: {problem}")
                    self.app.call_from_thread(self._verified, file, problem)
            finally:
                if not self._is_over:
                    self.app.call_from_thread(self._all_verified, len(files), wrong)

        self.shell.work(work, "verifying")

    def _progress(self, file: LibraryFile, num_bytes: int) -> None:
        self._list.progress = f"verifying {file.name} {formatting.share(num_bytes, max(1, file.size))}"

    def _verified(self, file: LibraryFile, problem: str) -> None:
        self._verdicts[file.key] = f"{self.shell.clock.local():%H:%M}", problem

    def _all_verified(self, count: int, wrong: list[str]) -> None:
        self._is_verifying, self._list.progress = False, ""
        if wrong:
            self.shell.say(f"! {wrong[0]}{f', and {len(wrong) - 1} more' if len(wrong) > 1 else ''}", _WRONG_S)
        else:
            self.shell.say("it is what was announced" if count == 1 else f"all {count} are what was announced")
        self.shell.refresh_view()

    # --- beyond this program ---------------------------------------------------------------------------------------

    def do_file_install(self) -> None:
        """Ask whether the file is to go to another program."""
        if self._list.chosen is not None:
            self._installing.begin(self._list.chosen)

    def do_install_yes(self) -> None:
        """Copy it."""
        self._installing.install()

    def do_install_other(self) -> None:
        """Ask about the next program."""
        self._installing.other()

    def do_install_cancel(self) -> None:
        """Close the question."""
        self.shell.stop_asking()

    def do_file_report(self) -> None:
        """Send the command out that writes the report."""
        file = self._list.chosen
        if file is not None and self.shell.send_out(f"report {file.run_name}", "report", file.run_id):
            self.shell.say(f"writing the report of {file.run_name}…")

    # --- rating ------------------------------------------------------------------------------------------------------

    def do_file_rate(self) -> None:
        """Ask for stars."""
        self.shell.ask(Scope.RATE_STRIP, _ask_stars(self._list.meant))

    def _rate(self, stars: int) -> None:
        self.shell.stop_asking()
        files = self._list.meant
        database = self.shell.desk.preferences.database

        def write() -> None:
            for file in files:
                rate(database, file.run_id, file.artifact_id, file.sha256, stars)
            self.app.call_from_thread(self._reload)

        rated = {file.key for file in files}
        self._read = [replace(file, stars=stars) if file.key in rated else file for file in self._read]
        self._fill()
        self.shell.work(write, "rating")

    def do_stars_0(self) -> None:
        """Take the rating back."""
        self._rate(0)

    def do_stars_1(self) -> None:
        """Give one star."""
        self._rate(1)

    def do_stars_2(self) -> None:
        """Give two."""
        self._rate(2)

    def do_stars_3(self) -> None:
        """Give three."""
        self._rate(3)

    def do_stars_4(self) -> None:
        """Give four."""
        self._rate(4)

    def do_stars_5(self) -> None:
        """Give five."""
        self._rate(5)

    def do_rate_cancel(self) -> None:
        """Close the question."""
        self.shell.stop_asking()

    # --- deleting ----------------------------------------------------------------------------------------------------

    def do_file_delete(self) -> None:
        """Ask whether the chosen file is to be deleted."""
        if self._list.chosen is not None:
            self._asked = self._list.chosen
            self.shell.ask(Scope.DELETE_FILE_STRIP, ask_delete(self._asked, self.shell.actions))

    def do_file_delete_yes(self) -> None:
        """Delete the file that was asked about, wherever the cursor is now."""
        self.shell.stop_asking()
        file, self._asked = self._asked, None
        if file is None:
            return

        def delete() -> None:
            delete_local(self.shell.desk.preferences, file)
            self.app.call_from_thread(self._deleted, file)

        self.shell.work(delete, "deleting")

    def _deleted(self, file: LibraryFile) -> None:
        self.shell.say(f"{file.name} is deleted" + (f"; its copy stays: {file.copy}" if file.copy else ""))
        self._reload()

    def do_file_delete_cancel(self) -> None:
        """Close the question."""
        self.shell.stop_asking()

    # --- sessions ----------------------------------------------------------------------------------------------------

    def kept(self) -> dict[str, str]:
        """Return order and filter."""
        return {"order": self._list.order, "filter": self._list.query_text}

    def restore(self, kept: Mapping[str, str]) -> None:
        """Take them up."""
        if kept.get("order") in library.ORDERS:
            self._list.order = kept["order"]
        self._list.query_text = kept.get("filter", "")


def ask_delete(file: LibraryFile, keys: Registry) -> Ask:
    """Return the question before the file is deleted: what of it would be left."""
    size = formatting.size(file.size)
    return lambda _: Question(
        title=(("DELETE", Role.ALARM), (f" {file.name}", Role.STRONG), (f" ({size})", Role.DIM)),
        stake=library.what_stays(file, again=keys.name_of("file_download")),
    )


def _ask_stars(files: list[LibraryFile]) -> Ask:
    names = files[0].name if len(files) == 1 else f"{len(files)} files"
    return lambda _: Question(
        title=(("RATE", Role.TITLE), (f" {names}", Role.STRONG)), stake="What is it worth? A later look will use it."
    )


def _told(file: LibraryFile, view: RunView | None) -> LibraryFile:
    """Return the file with what the run that is followed says of it: nobody writes down why a file did not come."""
    if view is None or view.run_id != file.run_id or file.state not in (FileState.AWAY, FileState.PARTLY):
        return file
    if failure := view.download_failures.get(file.artifact_id):
        return replace(file, state=FileState.FAILED, why=failure)
    if declined := view.declined.get(file.artifact_id):
        return replace(file, why=f"left there, {declined}")
    if view.fetching is not None and view.fetching[0] == file.artifact_id:
        return replace(file, state=FileState.PARTLY, why=formatting.share(view.fetching[1], max(1, file.size)))
    return file
