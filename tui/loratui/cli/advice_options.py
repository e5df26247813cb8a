"""What can be typed to ``advice``."""

import argparse
from pathlib import Path

from loratui.cli.values import positive


def advice_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``advice`` can be told beside the run."""
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument(
        "--write", type=positive, metavar="N", help="write the config with the change of this number into a new file"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="where --write writes; by default NAME.N.toml, here"
    )
