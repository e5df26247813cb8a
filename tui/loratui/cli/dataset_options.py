"""What can be typed to look at a config or a dataset and to set it right."""

import argparse
from pathlib import Path

from loratui.captioning.captioner import KINDS
from loratui.cli.values import positive, reliability, share


def check_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``check`` takes."""
    parser.add_argument("path", type=Path, nargs="+", metavar="PATH", help="a config, a dataset folder or a LoRA file")
    parser.add_argument(
        "--fix",
        action="store_true",
        help="write a config as it was read into a new file beside it, and set right what can be in folders, with an "
        "undo record",
    )
    _fix_options(parser)
    parser.add_argument(
        "--trigger", metavar="T", help="what is to stand in every caption; by default the config's trigger_word"
    )
    parser.add_argument(
        "--base", metavar="MODEL", help="the base model that a LoRA file is to be used with: a path or a hub id"
    )
    parser.add_argument(
        "--crops", type=Path, metavar="FILE.jpg", help="and draw there what of the pictures of a config is cropped away"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")


def convert_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``convert`` takes."""
    parser.add_argument("config", type=Path, metavar="CONFIG")
    parser.add_argument("--to", required=True, choices=("native", "kohya"), help="kohya: for sd-scripts")
    parser.add_argument("-o", dest="to_file", type=Path, metavar="F", help="a new file; by default standard output")


def plan_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``plan`` takes."""
    parser.add_argument("config", type=Path, metavar="CONFIG")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--gpu", metavar="NAME", help="and what it takes on this GPU, by what can be rented now")
    which.add_argument("--all", action="store_true", help="the same, on every GPU that can be rented now")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def _fix_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``check --fix`` of folders takes."""
    options = parser.add_argument_group("with --fix, for folders; each edit is shown and asked about")
    options.add_argument("--yes", action="store_true", help="ask nothing")
    options.add_argument("--dry-run", action="store_true", help="show everything and change nothing")
    options.add_argument(
        "--repeats",
        type=positive,
        metavar="N",
        help="move the pictures of a flat folder into N_name, which shows each N times an epoch",
    )


def caption_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``caption`` takes."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder of pictures, or of numbered folders")
    bulk = parser.add_argument_group("edits, done in this order")
    bulk.add_argument("--set", dest="set_text", metavar="TEXT", help="the caption of every picture")
    bulk.add_argument(
        "--replace",
        nargs=2,
        action="append",
        default=[],
        metavar=("OLD", "NEW"),
        help="put NEW for OLD, exactly as written; may be given more than once",
    )
    bulk.add_argument(
        "--remove-tag", action="append", default=[], metavar="TAG", help="of tags between commas; may be given again"
    )
    bulk.add_argument(
        "--prune-above",
        type=share,
        metavar="SHARE",
        help="remove tags that stand in at least this share of the captions (0.9), except --trigger",
    )
    bulk.add_argument("--prefix", metavar="TEXT", help="before every caption, with a space between")
    bulk.add_argument("--suffix", metavar="TEXT", help="behind every caption")
    bulk.add_argument(
        "--trigger", metavar="T", help="in every caption: put first where it is missing, corrected in another case"
    )
    bulk.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PICTURE",
        help="edit the caption of this picture alone, named by its path, or its path in DIR; may be given again",
    )
    others = parser.add_argument_group("or one of these").add_mutually_exclusive_group()
    others.add_argument(
        "--move-captions", action="store_true", help="bring captions from folders of captions and from odd names"
    )
    others.add_argument("--review", action="store_true", help="say that all drafts have been read")
    others.add_argument("--list", dest="list_captions", action="store_true", help="show all captions")
    others.add_argument("--undo", action="store_true", help="take back the newest edit of the folder")
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    parser.add_argument("--dry-run", action="store_true", help="show everything and change nothing")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    _draft_options(parser)


def _draft_options(parser: argparse.ArgumentParser) -> None:
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
