"""The samples screen: the pictures of one step, two steps side by side, or one picture; and what was tried out."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from loratui.domain.run import RunView
from loratui.domain.run_files import newest_here
from loratui.report.judgement_zip import JudgementZip, open_judgement
from loratui.ui.frame import Frame
from loratui.ui.next_steps import NextSteps
from loratui.ui.page import Page
from loratui.ui.registry import Scope
from loratui.ui.widgets.next_list import NextList, NextPane
from loratui.ui.widgets.pictures import PicturesPane
from loratui.ui.widgets.samples import sample_steps
from loratui.ui.widgets.tried import TriedPane
from loratui_protocol.messages import ArtifactKind

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

_OF_PICTURES = (
    "maximise",
    "earlier",
    "later",
    "sample_large",
    "sample_compare",
    "sample_left",
    "sample_right",
    "sample_up",
    "sample_down",
    "sample_page_up",
    "sample_page_down",
    "sample_text",
)
_OF_TRIED = ("tried_weight", "tried_weight_before")


class SamplesPage(Page):
    """Shows the samples of the open run step by step, or the pictures that its files were judged by."""

    place = "samples"
    own_scopes = (Scope.SAMPLES, Scope.NEXT_STEPS)

    def __init__(self, shell: "Shell") -> None:
        super().__init__(shell)
        self._pictures = PicturesPane(id="pictures")
        self._tried = TriedPane(id="tried")
        self._is_tried: bool | None = None
        """Whether what was tried out is shown; None: where there is nothing else."""
        self._opened: tuple[str, Path] | None = None
        """Of which run, and from where, the judgement is that is open or being opened."""
        self._open = ExitStack()
        self.main_list = self._list = NextList(id="next")
        self._change = NextPane(id="next-change")
        self._next = NextSteps(shell, self._list, self._change)
        self._is_next = False

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Return where the keys work now: over the pictures, or in the list of what to try next."""
        return (Scope.NEXT_STEPS, Scope.LIST) if self._is_next else (Scope.SAMPLES,)

    def compose(self) -> ComposeResult:
        """Fill the page with pictures of either kind."""
        yield self._pictures
        yield self._tried
        yield self._list
        yield self._change

    def on_mount(self) -> None:
        """Show one kind."""
        super().on_mount()
        self._lay_out(is_tried=False)

    def on_unmount(self) -> None:
        """Close the judgement."""
        self._open.close()

    def show(self, frame: Frame) -> None:
        """Show the kind that is wanted, and have the judgement opened."""
        if self._is_next and frame.run is not None and frame.run.run_id != self._next.run_id:
            # Another run was opened meanwhile.
            self._next.begin(frame.run)
        is_tried = frame.run is not None and self._shows_tried(frame.run)
        self._lay_out(is_tried=is_tried)
        if is_tried and frame.run is not None:
            self._read(frame.run)
        super().show(frame)

    def _lay_out(self, *, is_tried: bool) -> None:
        self._tried.display = is_tried and not self._is_next
        self._pictures.display = not is_tried and not self._is_next
        self._list.display = self._change.display = self._is_next

    def on_list_pane_moved(self) -> None:
        """Show the change under the cursor."""
        self._next.show_chosen()

    def _shows_tried(self, view: RunView) -> bool:
        if self._is_tried is None:
            return bool(view.scores) and not sample_steps(view)
        return self._is_tried and bool(view.scores)

    @property
    def _shown(self) -> PicturesPane | TriedPane:
        return self._tried if self._tried.display else self._pictures

    # --- the judgement -----------------------------------------------------------------------------------------------

    def _read(self, view: RunView) -> None:
        path = newest_here(view, ArtifactKind.JUDGEMENT)
        wanted = None if path is None else (view.run_id, path)
        if wanted == self._opened:
            return
        self._opened = wanted
        self._take(wanted, None, ExitStack())
        if path is None:
            return

        def read() -> None:
            opened = ExitStack()
            judged = opened.enter_context(open_judgement(path))
            self.app.call_from_thread(self._take, wanted, judged, opened)

        self.shell.work(read, "reading the judgement")

    def _take(self, wanted: tuple[str, Path] | None, judged: JudgementZip | None, opened: ExitStack) -> None:
        if wanted != self._opened:
            # A newer one is wanted by now.
            opened.close()
            return
        self._open.close()
        self._open, self._tried.judged = opened, judged
        self._tried.rebuild()

    # --- what can be done --------------------------------------------------------------------------------------------

    def refusals(self) -> dict[str, str]:
        """Return that there is nothing to turn while there are no samples, or nothing tried out."""
        source = self.shell.source
        if source is None:
            return dict.fromkeys((*_OF_PICTURES, *_OF_TRIED, "tried", "next_steps"), "no run is open")
        if self._is_next:
            refused = {"maximise": "the list has the room that it needs"}
            return refused | ({"next_write": why} if (why := self._next.why_not_write()) else {})
        view = source.view()
        steps = sample_steps(view)
        if self._shows_tried(view):
            return {} if steps else {"tried": "there are no samples"}
        nothing_tried = "" if view.scores else "nothing was tried out: loratui test does"
        refused = {"tried": nothing_tried} if nothing_tried else {}
        refused |= dict.fromkeys(_OF_TRIED, nothing_tried or "samples have no other weight")
        if not steps:
            return refused | dict.fromkeys(_OF_PICTURES, "no samples yet")
        return refused | ({} if len(steps) > 1 else {"sample_compare": "there is one step alone"})

    def yank_text(self) -> str:
        """Return where the chosen picture is."""
        path = None if self._is_next else self._shown.chosen_path()
        return super().yank_text() if path is None else str(path)

    def do_tried(self) -> None:
        """Show what was tried out, or the samples again."""
        if self.shell.source is not None:
            self._is_tried = not self._shows_tried(self.shell.source.view())
            self.shell.refresh_view()

    def do_next_steps(self) -> None:
        """Show what to try next."""
        if self.shell.source is not None:
            self._is_next = True
            self._next.begin(self.shell.source.view())
            self.shell.refresh_view()

    def do_next_write(self) -> None:
        """Write the chosen change as a config of its own, or have the run go on."""
        self._next.accept()

    def do_next_close(self) -> None:
        """Go back to the pictures."""
        self._is_next = False
        # Its keys would go on to mean something here.
        self._list.set_query("")
        self.shell.refresh_view()

    def do_tried_weight(self) -> None:
        """Show the next weight."""
        self._tried.weigh(1)

    def do_tried_weight_before(self) -> None:
        """Show the weight before."""
        self._tried.weigh(-1)

    def do_earlier(self) -> None:
        """Show the samples of the step before, or the file before."""
        self._shown.turn(-1)

    def do_later(self) -> None:
        """Show the samples of the step after, or the next file."""
        self._shown.turn(1)

    def do_sample_large(self) -> None:
        """Show the chosen picture large, or all again."""
        self._shown.enlarge()

    def do_maximise(self) -> None:
        """Do the same: the pictures have the whole page already, and one of them can have it alone."""
        self.do_sample_large()

    def do_sample_compare(self) -> None:
        """Compare two steps, or what was tried out with the base model and the file before, or end that."""
        self._shown.compare()

    def do_sample_left(self) -> None:
        """Choose the picture before."""
        self._shown.choose(-1)

    def do_sample_right(self) -> None:
        """Choose the next picture."""
        self._shown.choose(1)

    def do_sample_up(self) -> None:
        """Choose one a row up."""
        self._shown.choose(-1, rows=True)

    def do_sample_down(self) -> None:
        """Choose one a row down."""
        self._shown.choose(1, rows=True)

    def do_sample_page_up(self) -> None:
        """Show the page before."""
        self._shown.choose(-1, pages=True)

    def do_sample_page_down(self) -> None:
        """Show the next page."""
        self._shown.choose(1, pages=True)

    def do_sample_text(self) -> None:
        """Show words instead of pictures, or pictures again."""
        self._shown.toggle_text()

    def do_samples_close(self) -> None:
        """Go one layer out, at last to the run."""
        if not self._shown.step_out():
            self.shell.go("run")
