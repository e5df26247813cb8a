"""What can be typed to ``report``."""

import argparse
from pathlib import Path


def report_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``report`` can be told."""
    parser.add_argument(
        "--out", type=Path, dest="to_file", metavar="FILE", help="where; by default where it was written before"
    )
    parser.add_argument(
        "--pictures",
        action="store_true",
        dest="with_pictures",
        help="with small copies of the training pictures and their captions: for those who may see them",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
