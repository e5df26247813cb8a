"""What the roles of text look like: three themes of our own, and two that leave the colours to the terminal.

Every role has at least 4.5:1 against each background that it stands on, in the high contrast at least 7:1; a test
computes that. A theme of Textual's (``TEXTUAL_THEME``) works as well: its own colours for text are taken.
"""

from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from loratui.screen_settings import THEMES


def _theme(name: str, *, dark: bool, background: str, surface: str, text: str, **roles: str) -> Theme:
    return Theme(
        name=f"loratui-{name}",
        primary=roles["title"],
        secondary=roles["key"],
        accent=roles["mean"],
        success=roles["good"],
        warning=roles["warn"],
        error=roles["alarm"],
        foreground=text,
        background=background,
        surface=surface,
        dark=dark,
        variables={f"role-{role}": colour for role, colour in roles.items()},
    )


_OWN = {
    "dark": _theme(
        "dark",
        dark=True,
        background="#14171c",
        surface="#1d222a",
        text="#dce1e8",
        dim="#9aa4b2",
        title="#8cc8ff",
        key="#7fd6c2",
        good="#7bd88f",
        warn="#f0c05a",
        alarm="#ff9a92",
        raw="#8792a1",
        mean="#7fd6c2",
        other="#f0c05a",
        mark="#ff9a92",
    ),
    "light": _theme(
        "light",
        dark=False,
        background="#fbfaf7",
        surface="#efede7",
        text="#1f2328",
        dim="#555e68",
        title="#0a4a94",
        key="#0b5a4f",
        good="#17692b",
        warn="#784a00",
        alarm="#a3150f",
        raw="#5f6873",
        mean="#0b5a4f",
        other="#784a00",
        mark="#a3150f",
    ),
    "contrast": _theme(
        "contrast",
        dark=True,
        background="#000000",
        surface="#000000",
        text="#ffffff",
        dim="#d0d0d0",
        title="#ffff00",
        key="#00ffff",
        good="#5fff87",
        warn="#ffd700",
        alarm="#ff9a9a",
        raw="#b8b8b8",
        mean="#00ffff",
        other="#ffd700",
        mark="#ff9a9a",
    ),
}
# Faint text is left out: how faint it is, and so whether it can be read, is the terminal's to say.
_ANSI_ROLES = {
    "dim": "ansi_default",
    "title": "ansi_default",
    "key": "ansi_cyan",
    "good": "ansi_green",
    "warn": "ansi_yellow",
    "alarm": "ansi_red",
    "raw": "ansi_default",
    "mean": "ansi_green",
    "other": "ansi_yellow",
    "mark": "ansi_red",
}
_ON_LIGHT = {"key": "ansi_blue", "warn": "ansi_magenta", "other": "ansi_magenta"}


def theme(name: str) -> Theme:
    """Return the theme that the setting ``ui.theme`` calls so."""
    return _OWN.get(name) or BUILTIN_THEMES[name]


def following(name: str) -> str:
    """Return the name of the next theme; the first after one that is not ours."""
    return THEMES[(THEMES.index(name) + 1) % len(THEMES)] if name in THEMES else THEMES[0]


def roles_of(current: Theme) -> dict[str, str]:
    """Return the colours of the roles for a theme that has none of its own."""
    if current.ansi:
        roles = _ANSI_ROLES if current.dark else _ANSI_ROLES | _ON_LIGHT
    else:
        colours = current.to_color_system().generate()
        text, behind = Color.parse(colours["foreground"]), Color.parse(colours["background"])
        roles = {
            "dim": behind.blend(text, 0.75).hex,
            "title": colours["text-primary"],
            "key": colours["text-accent"],
            "good": colours["text-success"],
            "warn": colours["text-warning"],
            "alarm": colours["text-error"],
            "raw": behind.blend(text, 0.65).hex,
            "mean": colours["text-accent"],
            "other": colours["text-warning"],
            "mark": colours["text-error"],
        }
    return {f"role-{role}": colour for role, colour in roles.items()}
