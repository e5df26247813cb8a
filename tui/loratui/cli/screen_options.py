"""What can be typed of how the interface behaves on this terminal."""

import argparse


def screen_options(parser: argparse.ArgumentParser, default: object) -> None:
    """Add the options; ``default`` lets a command leave alone what was typed before its name."""
    options = parser.add_argument_group("interface")
    for name, summary in (
        ("--readonly", "look only: no key changes anything"),
        ("--slow", "fewer updates, for slow connections"),
        ("--ascii", "plain characters only"),
        ("--no-mouse", "leave the mouse to the terminal"),
        ("--no-diff", "send whole regions of the screen, not only what has changed in them"),
    ):
        options.add_argument(name, action="store_true", default=default, help=summary)
