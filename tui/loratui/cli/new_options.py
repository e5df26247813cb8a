"""What can be typed to ``new``."""

import argparse
from pathlib import Path

from loratui.domain.presets import BASES


def new_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``new`` can be told."""
    parser.add_argument("--preset", metavar="NAME", help="what the pictures show; --list names them all")
    parser.add_argument("--base", metavar="MODEL", help=f"a hub id, a path, or one of {', '.join(BASES)}")
    parser.add_argument("--kind", choices=BASES, help="which kind of model that is, where nobody can tell")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the folder of pictures")
    parser.add_argument("--trigger", metavar="T", help="the word that calls what is learned")
    parser.add_argument("--name", metavar="NAME", help="what the LoRA is called")
    parser.add_argument("--gpu", metavar="NAME", help="fit it to the memory of this GPU (RTX 4090, 12GB)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="by default NAME.toml; never overwritten")
    parser.add_argument("--yes", action="store_true", help="ask nothing: what is not given is as usual")
    parser.add_argument("--list", action="store_true", help="list the presets, yours first")
    parser.add_argument("--from-run", metavar="RUN", help="with --save-preset: the finished run to make one of")
    parser.add_argument("--save-preset", metavar="NAME", help="keep the settings of a run as a preset of yours")
