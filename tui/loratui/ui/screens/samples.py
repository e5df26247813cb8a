"""The samples screen: the pictures of one step as large as they fit, two steps side by side, or one picture."""

from typing import TYPE_CHECKING

from textual.app import ComposeResult

from loratui.ui.page import Page
from loratui.ui.registry import Scope
from loratui.ui.widgets.gallery import sample_steps
from loratui.ui.widgets.pictures import PicturesPane

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

_OF_PICTURES = (
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


class SamplesPage(Page):
    """Shows the samples of the open run, step by step."""

    place = "samples"
    own_scopes = (Scope.SAMPLES,)

    def __init__(self, shell: "Shell") -> None:
        super().__init__(shell)
        self._pictures = PicturesPane(id="pictures")

    def compose(self) -> ComposeResult:
        """Fill the page with pictures."""
        yield self._pictures

    def refusals(self) -> dict[str, str]:
        """Return that there is nothing to turn while there are no samples."""
        source = self.shell.source
        if source is None:
            return dict.fromkeys(_OF_PICTURES, "no run is open")
        steps = sample_steps(source.view())
        if not steps:
            return dict.fromkeys(_OF_PICTURES, "no samples yet")
        return {} if len(steps) > 1 else {"sample_compare": "there is one step alone"}

    def yank_text(self) -> str:
        """Return where the chosen picture is."""
        path = self._pictures.chosen_path()
        return super().yank_text() if path is None else str(path)

    def do_earlier(self) -> None:
        """Show the samples of the step before."""
        self._pictures.turn(-1)

    def do_later(self) -> None:
        """Show the samples of the step after."""
        self._pictures.turn(1)

    def do_sample_large(self) -> None:
        """Show the chosen picture large, or all again."""
        self._pictures.is_large = not self._pictures.is_large
        self._pictures.rebuild()

    def do_sample_compare(self) -> None:
        """Compare two steps, or end that."""
        self._pictures.compare()

    def do_sample_left(self) -> None:
        """Choose the picture before."""
        self._pictures.choose(-1)

    def do_sample_right(self) -> None:
        """Choose the next picture."""
        self._pictures.choose(1)

    def do_sample_up(self) -> None:
        """Choose one a row up."""
        self._pictures.choose(-1, rows=True)

    def do_sample_down(self) -> None:
        """Choose one a row down."""
        self._pictures.choose(1, rows=True)

    def do_sample_page_up(self) -> None:
        """Show the page before."""
        self._pictures.choose(-1, pages=True)

    def do_sample_page_down(self) -> None:
        """Show the next page."""
        self._pictures.choose(1, pages=True)

    def do_sample_text(self) -> None:
        """Show words instead of pictures, or pictures again."""
        self._pictures.toggle_text()

    def do_samples_close(self) -> None:
        """Go one layer out, at last to the run."""
        if not self._pictures.step_out():
            self.shell.go("run")
