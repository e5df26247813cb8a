"""All that there is to say of a config: one row for each finding, and of the chosen one what helps."""

from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, wrap
from loratui.ui.widgets.list_pane import ListPane
from loratui_protocol.findings import Finding

SIGNS = {"error": ("!", Role.ALARM), "warning": ("-", Role.WARN), "info": ("·", Role.DIM)}
ORDER = tuple[str, ...](SIGNS)
"""The worst first."""
_OF_PICTURES = ("dataset", "caption", "picture")


def is_of_pictures(finding: Finding) -> bool:
    """Return whether it is about the pictures or their captions, which another screen shows."""
    return finding.code.partition(".")[0] in _OF_PICTURES


class FindingList(ListPane[Finding]):
    """Findings, the worst first."""

    def name_of(self, entry: Finding) -> tuple[str, str]:
        """Return code and words."""
        return entry.code, entry.what

    def yanked(self, entry: Finding) -> str:
        """Return what was found, and what to do."""
        return f"{entry.code}: {entry.what}. {entry.fix}".removesuffix(" ")

    def matches(self, entry: Finding, query: str) -> bool:
        """Look in severity, code and words."""
        words = f"{entry.severity} {entry.code} {entry.what}".lower()
        return all(word in words for word in query.lower().split())

    def heading(self, _: Frame) -> list[Span]:
        """Return the name of the list."""
        return [("findings", Role.TITLE)]

    def nothing(self, _: Frame) -> list[Row]:
        """Return that there are none."""
        return [[(" nothing to say", Role.GOOD)]]

    def entry_row(self, entry: Finding, width: int) -> Row:  # noqa: ARG002 - cut by the caller
        """Return severity and words."""
        sign, role = SIGNS[entry.severity]
        return [(f"{sign} {entry.severity:<8}", role), (entry.what, Role.TEXT)]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the findings in sight, and under them the chosen one whole."""
        if self.chosen is None:
            return super().lines(frame, width, height)
        chosen = self.chosen
        rows: list[Row] = [[("─" * width, Role.DIM)], [(f" {chosen.code}", Role.TITLE)]]
        rows += [[(f" {line}", Role.TEXT)] for line in wrap(chosen.what, width - 2)]
        rows += [[(f" {line}", Role.STRONG)] for line in wrap(chosen.fix, width - 2)]
        if is_of_pictures(chosen):
            rows.append([(" enter", Role.KEY), (" shows the pictures, and what sets them right", Role.TEXT)])
        rows = rows[: max(2, height * 2 // 3)]
        above = super().lines(frame, width, height - len(rows))
        return [*above, *([] for _ in range(height - len(rows) - len(above))), *rows]
