"""How one moves in every list."""

from loratui.ui.registry import Action, Scope

LISTS = (
    Action(id="list_down", keys=("down", "j"), label="Next", help="one entry down", scope=Scope.LIST),
    Action(id="list_up", keys=("up", "k"), label="Previous", help="one entry up", scope=Scope.LIST),
    Action(
        id="list_page_down", keys=("pagedown", "ctrl+d"), label="Page down", help="a page further", scope=Scope.LIST
    ),
    Action(id="list_page_up", keys=("pageup", "ctrl+u"), label="Page up", help="a page back", scope=Scope.LIST),
    Action(id="list_first", keys=("g", "home"), label="First", help="the first entry", scope=Scope.LIST),
    Action(id="list_last", keys=("G", "end"), label="Last", help="the last entry", scope=Scope.LIST),
    Action(
        id="filter",
        keys=("/",),
        label="Filter",
        help="show only entries that match; enter keeps it, esc clears it",
        scope=Scope.LIST,
        footer=lambda _: "Filter",
    ),
    Action(
        id="found_next",
        keys=("n",),
        label="Next match",
        help="the next entry that the filter lets through, after the last one the first",
        scope=Scope.FOUND,
        footer=lambda _: "Next",
    ),
    Action(
        id="found_before",
        keys=("N",),
        label="Match before",
        help="the entry before that the filter lets through",
        scope=Scope.FOUND,
    ),
    Action(
        id="found_all",
        keys=("escape",),
        label="All entries again",
        help="clear the filter",
        scope=Scope.FOUND,
        footer=lambda _: "All",
    ),
    Action(id="mark", keys=("space",), label="Mark", help="mark the entry, or unmark it", scope=Scope.MARKS),
)
