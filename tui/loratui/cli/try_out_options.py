"""What can be typed to ``test``."""

import argparse
from pathlib import Path

from loratui_protocol.errors import UsageError


def try_out_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``test`` can be told."""
    parser.add_argument(
        "loras",
        type=Path,
        nargs="+",
        metavar="LORA",
        help="files to try out, the earliest first, all for one base model",
    )
    parser.add_argument(
        "--on", required=True, metavar="TARGET", help="local, ssh://user@host:port, or rented: vast, runpod, cheapest"
    )
    grid = parser.add_argument_group("what is drawn; what is not given is as in the config, or as usual")
    grid.add_argument("--like", type=Path, metavar="CONFIG", help="the config that they were trained with")
    grid.add_argument("--base", metavar="MODEL", help="base model: a hub id or a path; needed without --like")
    grid.add_argument("--data", type=Path, metavar="DIR", help="the pictures that they learned from, to compare with")
    grid.add_argument("--trigger", metavar="WORD", help="the word that calls the concept")
    grid.add_argument("--class-word", metavar="WORD", help="the ordinary word for what it names")
    grid.add_argument(
        "--prompt", action="append", dest="prompts", metavar="TEXT", help="with {trigger} in it; may be given often"
    )
    grid.add_argument("--weights", type=_weights, metavar="0,0.5,1", help="weights to try; 0 is the base model alone")
    grid.add_argument("--seeds", type=int, metavar="N", help="pictures of each prompt at each weight")
    grid.add_argument("--together", type=Path, metavar="LORA", help="another LoRA, to see both together")
    grid.add_argument("--size", metavar="W,H", help="of a picture, in pixels")
    grid.add_argument("--dino", metavar="DIR|ID", help="model that measures likeness, as facebook/dinov2-small")
    grid.add_argument("--clip", metavar="DIR|ID", help="model that measures prompts, as openai/clip-vit-base-patch32")
    grid.add_argument("--name", metavar="NAME", help="what the judgement is called; by default as the first file")


def _weights(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(each) for each in text.split(","))
    except ValueError as error:
        raise UsageError(f"{text!r} is no list of weights", fix="write them with commas: 0,0.5,0.8,1") from error
