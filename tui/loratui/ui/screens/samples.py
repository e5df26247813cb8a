"""The samples screen: the pictures of one step as large as they fit."""

from typing import TYPE_CHECKING

from textual.app import ComposeResult

from loratui.ui.page import Page
from loratui.ui.registry import Scope
from loratui.ui.widgets.gallery import PicturesPane

if TYPE_CHECKING:
    from loratui.ui.shell import Shell


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
            return dict.fromkeys(("earlier", "later"), "no run is open")
        return {} if source.view().samples else dict.fromkeys(("earlier", "later"), "no samples yet")

    def do_earlier(self) -> None:
        """Show the samples of the step before."""
        self._pictures.turn(-1)

    def do_later(self) -> None:
        """Show the samples of the step after."""
        self._pictures.turn(1)

    def do_samples_close(self) -> None:
        """Go back to the run."""
        self.shell.go("run")
