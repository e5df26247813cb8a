"""What can be typed to ``install``."""

import argparse
from pathlib import Path

from loratui.install_settings import NAMES


def install_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``install`` takes."""
    parser.add_argument("loras", type=Path, nargs="+", metavar="LORA", help="files to copy")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--to",
        dest="to_folder",
        type=Path,
        metavar="DIR",
        help="the program's folder, or any other, which takes the files as they are",
    )
    where.add_argument(
        "--ui",
        choices=tuple(NAMES),
        help="which of the programs that are found; the settings install.a1111, install.forge and install.comfyui "
        "say where they are",
    )
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    parser.add_argument("--json", action="store_true", help="one JSON document")
