"""What can be typed before there is a config: the options of ``new`` and of ``caption --with``."""

import argparse
from pathlib import Path

from loratui.captioning.captioner import KINDS
from loratui.cli.values import reliability
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


def draft_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``caption --with`` can be told."""
    drafts = parser.add_argument_group("or drafts by a model, for pictures without a caption of yours")
    drafts.add_argument(
        "--with",
        dest="captioner",
        choices=tuple(KINDS),
        help="wd14 writes Danbooru's tags; florence2 and blip write sentences, and need torch on this machine; "
        "--trigger comes first, --yes downloads the model without asking",
    )
    drafts.add_argument(
        "--model", metavar="PATH|ID", help="a folder or file of this machine, or a hub id (org/name@revision)"
    )
    drafts.add_argument(
        "--threshold",
        type=reliability,
        metavar="0.35",
        help="how sure wd14 must be of a tag; of a character's name at least 0.85",
    )
    drafts.add_argument("--overwrite", action="store_true", help="replace captions that a person wrote, too")
