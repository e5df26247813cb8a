"""What can be typed to ``edit``."""

import argparse
from pathlib import Path


def edit_options(parser: argparse.ArgumentParser) -> None:
    """Add what is changed in a config, and where that is written."""
    parser.add_argument("config", type=Path, metavar="CONFIG")
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set this key, to its default with nothing behind =; may be given again",
    )
    parser.add_argument(
        "--unset", action="append", default=[], metavar="KEY", help="take the key out of the file; may be given again"
    )
    parser.add_argument(
        "-o",
        dest="name",
        metavar="NAME",
        help="write a new file of this name beside it, which paths in it count from as well; never overwritten",
    )
    parser.add_argument("--editor", action="store_true", help="open it in $EDITOR instead, and read it afterwards")
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    parser.add_argument("--dry-run", action="store_true", help="show what would differ and change nothing")
    parser.add_argument("--json", action="store_true", help="one JSON document")
