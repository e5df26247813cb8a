"""The filter of offers as a form, under the list that it changes while it is filled in."""

from loratui.domain.offer_form import FormField
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span
from loratui.ui.widgets.list_pane import ListPane

_LABEL = 24


class FilterForm(ListPane[FormField]):
    """A row for each field; ``values`` are those that the filter has now, by name."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.values: dict[str, str] = {}

    def name_of(self, entry: FormField) -> str:
        """Return its name."""
        return entry.name

    def matches(self, entry: FormField, query: str) -> bool:
        """Look in its label."""
        return query.lower() in entry.label.lower()

    def heading(self, _: Frame) -> list[Span]:
        """Return what is filled in."""
        return [("filter of the offers", Role.TITLE)]

    def remark(self, frame: Frame) -> str:
        """Return what the keys do."""
        return frame.keys.fill("{form_edit} types · {form_clear} clears · {form_close} closes")

    def entry_row(self, entry: FormField, width: int) -> Row:  # noqa: ARG002 - cut by the caller
        """Return the field and its value, or what could be typed."""
        value = self.values.get(entry.name, "")
        shown: Span = (value, Role.STRONG) if value else (f"any   ({entry.hint})", Role.DIM)
        return [(f"{entry.label:<{_LABEL}}", Role.TEXT), shown]
