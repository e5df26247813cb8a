"""Edits of a dataset from the data screen: asked for, shown, made by a thread, and taken back."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from loratui.preflight.caption_edits import Wishes, caption_edit
from loratui.preflight.caption_files import without_unseen
from loratui.preflight.changes import Edit, preview
from loratui.preflight.edits import apply, undo
from loratui.sessions.dataset import Listed, OpenDataset, chosen, fix_of, rewritten
from loratui.sessions.whole_caption import whole_caption, written_whole
from loratui.ui.frame import Frame
from loratui.ui.handover import NO_TERMINAL, edit_in
from loratui.ui.questions import Question
from loratui.ui.registry import Scope
from loratui.ui.text import Role, plain
from loratui.ui.widgets.data_lists import shortened
from loratui.ui.widgets.prompt import Typed
from loratui.ui.work import look_first
from loratui_protocol.errors import LoratuiError

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

_FILES_SHOWN = 20
_TITLE_CELLS = 40
_LEFT_NAMED = 2
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_CHARS = 60
_BUSY = "not now: another edit is being made"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """An edit that is asked about."""

    dataset: OpenDataset
    edit: Edit
    shown: tuple[str, ...]


class DataEdits:
    """Makes one edit at a time. ``show`` is told which edit is asked about, ``done`` that the folder has changed."""

    def __init__(
        self, shell: "Shell", show: Callable[[Proposed | None], None], done: Callable[[OpenDataset], None]
    ) -> None:
        self._shell = shell
        self._show = show
        self._done = done
        self._proposed: Proposed | None = None
        self.is_busy = False

    @property
    def proposed(self) -> Proposed | None:
        """Return what is asked about; a question may be closed by what covers it, too."""
        if self._shell.strip.scope is not Scope.CHANGE_STRIP:
            self._proposed = None
        return self._proposed

    # --- one caption -------------------------------------------------------------------------------------------------

    def retype(self, dataset: OpenDataset, entry: Listed) -> None:
        """Let the caption be typed anew, and write it at once; what controls a terminal or hides text does not stay."""
        before = without_unseen(entry.caption)

        def typed(text: str) -> None:
            if text.strip() in ("", entry.caption.strip()):
                self._shell.say("the caption stays as it is" + ("" if text.strip() else ": an empty one is none"))
            else:
                self._make(dataset, lambda: rewritten(dataset, entry.name, text))

        about = str(dataset.folder / entry.name)
        self._shell.ask_text(f"caption of {shortened(entry.name, 20)}:", typed, before, about=about)

    def write_in_editor(self, dataset: OpenDataset, entry: Listed) -> None:
        """Let the caption be written in the user's editor, with all its lines."""

        def work() -> None:
            before = whole_caption(dataset, entry.name)
            with _copy(entry.name, before) as path:
                if trouble := self._trouble_in_editor(path):
                    raise LoratuiError(f"{trouble}; the caption stays as it is")
                edit = written_whole(dataset, entry.name, before, path)
                if edit.changes:
                    apply(edit, dataset.folder)
            self._tell(dataset, self._done_with(edit) if edit.changes else "the caption stays as it is")

        self._work(work, "the caption")

    def _trouble_in_editor(self, path: Path) -> str:
        app = self._shell.app
        try:
            trouble = app.call_from_thread(edit_in, app, path)
        except SuspendNotSupported:
            return f"{NO_TERMINAL}: {self._shell.actions.name_of('caption_edit')} edits the first line here"
        app.call_from_thread(self._shell.do_redraw)
        return trouble

    # --- many --------------------------------------------------------------------------------------------------------

    def ask_wish(
        self, dataset: OpenDataset, names: frozenset[str], label: str, wish: Callable[[str], Wishes], likely: str = ""
    ) -> None:
        """Let a text be typed over a likely one, and propose the edit that it makes."""

        def typed(text: str) -> None:
            if text.strip():
                self._propose(dataset, lambda: caption_edit(chosen(dataset.pictures(), names), wish(text)))
            else:
                self._shell.say("nothing was typed, and nothing is changed")

        self._shell.ask_text(f"{label}, {_pictures(names)}:", typed, likely, Typed.ANSWER)

    def ask_replacement(self, dataset: OpenDataset, names: frozenset[str]) -> None:
        """Let two texts be typed, and propose to replace one by the other."""

        def replaced(old: str) -> None:
            if not old:
                self._shell.say("nothing was typed, and nothing is changed")
                return
            self._shell.ask_text(f"{shortened(old, 20)} becomes", lambda new: propose(old, new))

        def propose(old: str, new: str) -> None:
            wishes = Wishes(replace=((old, new),))
            self._propose(dataset, lambda: caption_edit(chosen(dataset.pictures(), names), wishes))

        self._shell.ask_text(f"change which words, {_pictures(names)}:", replaced)

    def propose_fix(
        self, dataset: OpenDataset, code: str, *, trigger: str | None = None, repeats: int | None = None
    ) -> None:
        """Propose what sets a finding right."""
        self._propose(dataset, lambda: fix_of(dataset, code, trigger=trigger, repeats=repeats))

    def _propose(self, dataset: OpenDataset, make: Callable[[], Edit]) -> None:
        if self.is_busy:
            self._shell.say(_BUSY)
            return

        def look() -> Callable[[], None]:
            try:
                edit = make()
            except LoratuiError as error:
                return partial(self._shell.say, _told(error))
            return partial(self._ask, Proposed(dataset=dataset, edit=edit, shown=tuple(_shown(edit))))

        what = "looking at the files"
        look_first(self._shell, f"{what}…", look, lambda go_on: go_on(), what)

    def _ask(self, proposed: Proposed) -> None:
        if not proposed.edit.changes:
            self._shell.say("there is nothing to change")
            return
        self._shell.ask(Scope.CHANGE_STRIP, lambda frame: _question(proposed, frame))
        self._proposed = proposed
        self._show(proposed)

    def do_proposed(self) -> None:
        """Make the edit that is asked about."""
        proposed = self.proposed
        self.drop()
        if proposed is not None:
            self._make(proposed.dataset, lambda: proposed.edit)

    def drop(self) -> None:
        """Make no edit."""
        self._shell.stop_asking()
        self._proposed = None
        self._show(None)

    # --- made and taken back -----------------------------------------------------------------------------------------

    def _make(self, dataset: OpenDataset, make: Callable[[], Edit]) -> None:
        def work() -> None:
            edit = make()
            if edit.changes:
                apply(edit, dataset.folder)
            self._tell(dataset, self._done_with(edit))

        self._work(work, "the edit")

    def _done_with(self, edit: Edit) -> str:
        undo = self._shell.actions.name_of("data_undo")
        return f"{edit.title}: {_files(edit)} changed; {undo} takes it back"

    def undo(self, dataset: OpenDataset) -> None:
        """Take back the newest edit of the folder."""

        def work() -> None:
            undone = undo(dataset.folder)
            if undone is None:
                self._tell(dataset, "there is no edit to take back")
                return
            left = ", ".join(undone.left[:_LEFT_NAMED])
            number = undone.num_restored
            kept = f"; left, because somebody changed it since: {left}" if left else ""
            self._tell(dataset, f"taken back: {undone.title}, {number} change{'' if number == 1 else 's'}{kept}")

        self._work(work, "taking the edit back")

    def _tell(self, dataset: OpenDataset, notice: str) -> None:
        def tell() -> None:
            self._shell.say(plain(notice))
            self._done(dataset)

        self._shell.app.call_from_thread(tell)

    def _work(self, work: Callable[[], None], what: str) -> None:
        if self.is_busy:
            self._shell.say(_BUSY)
            return
        self.is_busy = True

        def guarded() -> None:
            try:
                work()
            except LoratuiError as error:
                self._shell.app.call_from_thread(self._shell.say, _told(error))
            finally:
                self.is_busy = False

        self._shell.work(guarded, what)


@contextmanager
def _copy(name: str, text: str) -> Iterator[Path]:
    """Keep a copy of a caption for an editor, which is removed unless the caption did not get what was written there.

    An editor that is killed leaves no caption half written, and gets no file's name that it could take for an option.
    """
    folder = Path(tempfile.mkdtemp(prefix="loratui-caption-"))
    path = folder / f"{_NO_NAME.sub('_', Path(name).stem)[:_NAME_CHARS]}.txt"
    path.write_bytes(text.encode())
    try:
        yield path
    except LoratuiError as error:
        if path.is_file() and path.read_bytes() != text.encode():
            raise LoratuiError(f"{error.what}; what you wrote is in {path}", fix=error.fix, code=error.code) from error
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _shown(edit: Edit) -> Iterator[str]:
    """Yield what becomes of the first files: the name of each over its lines that go and come."""
    for change in edit.files[:_FILES_SHOWN]:
        lines = [*preview(Edit(title=edit.title, changes=(change,)))]
        if lines and lines[0].startswith("--- "):
            yield lines[1].removeprefix("+++ ")
            yield from (line for line in lines[2:] if not line.startswith("@@"))
        else:
            yield from lines


def _question(proposed: Proposed, frame: Frame) -> Question:
    edit = proposed.edit
    return Question(
        title=(("CHANGE", Role.TITLE), (f" {_files(edit)}: {shortened(edit.title, _TITLE_CELLS)}", Role.STRONG)),
        stake=f"No picture is written over. {frame.keys.name_of('data_undo')} takes it back afterwards.",
    )


def _told(error: LoratuiError) -> str:
    return plain(f"! {error.what}" + (f"; {error.fix}" if error.fix else ""))


def _files(edit: Edit) -> str:
    number = len(edit.files)
    return f"{number} file{'' if number == 1 else 's'}"


def _pictures(names: frozenset[str]) -> str:
    return f"{len(names)} picture{'' if len(names) == 1 else 's'}"
