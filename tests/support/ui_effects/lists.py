"""What the keys of every list must bring about, shown on the list of runs."""

from support.ui_effects.effect import Check, Effect, shows
from support.ui_effects.home import on_home


def cursor_on(name: str) -> Check:
    """Return a check of where the cursor is."""
    return lambda shown: any(row.startswith(">") and f"{name} " in row for row in shown.rows())


TO_THOSE_WITH_ONE = ("/", "-", "1", "enter")
LISTS = {
    "list_down": Effect(cursor_on("style-1"), start=on_home),
    "list_up": Effect(cursor_on("style-1"), ("down", "down"), on_home),
    "list_page_down": Effect(cursor_on("style-14"), start=on_home),
    "list_page_up": Effect(cursor_on("style-25"), ("G",), on_home),
    "list_first": Effect(cursor_on("style-0"), ("G",), on_home),
    "list_last": Effect(cursor_on("style-39"), start=on_home),
    "filter": Effect(shows("/ █"), start=on_home),
    "found_next": Effect(cursor_on("style-10"), TO_THOSE_WITH_ONE, on_home),
    "found_before": Effect(cursor_on("style-19"), TO_THOSE_WITH_ONE, on_home),
    "found_all": Effect(lambda shown: "runs  40 " in shown.text(), TO_THOSE_WITH_ONE, on_home),
    "mark": Effect(shows("1 marked", " *style-0"), start=on_home),
}
