"""What can be typed to ``files``."""

import argparse

from loratui.domain.library import MOST_STARS, ORDERS


def file_options(parser: argparse.ArgumentParser) -> None:
    """Add what is done with the files of the library; without a word they are listed."""
    parser.set_defaults(words=[], sort="newest")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    actions = parser.add_subparsers(metavar="ACTION")

    def add(name: str, handler: str, summary: str) -> argparse.ArgumentParser:
        action = actions.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
        )
        action.set_defaults(handler=handler)
        action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document")
        return action

    listed = add("list", "files:show", "list all LoRAs made here, or those that match all words")
    listed.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="a part of a name, run or base model; run:NAME, base:NAME; here, missing, failed, away, final, rated; "
        "'rated>=4', 'step<900'",
    )
    listed.add_argument("--sort", choices=ORDERS, default="newest", help="what comes first (%(default)s)")

    verified = add("verify", "files:verify_files", "read files and compare them with what was announced of them")
    _file_argument(verified, "*", "; by default all that are here")
    rated = add("rate", "files:rate_files", "say what files are worth")
    _file_argument(rated, "+", "")
    rated.add_argument(
        "--stars",
        type=int,
        choices=range(MOST_STARS + 1),
        required=True,
        metavar="N",
        help=f"1 to {MOST_STARS}; 0 takes back what was said",
    )
    deleted = add("delete", "files:delete_files", "delete files from this machine, once what is lost is agreed to")
    _file_argument(deleted, "+", "")
    deleted.add_argument("--yes", action="store_true", help="ask nothing")


def _file_argument(parser: argparse.ArgumentParser, number: str, default: str) -> None:
    parser.add_argument(
        "files",
        nargs=number,
        metavar="FILE",
        help=f"a path, a name, or the beginning of a sha256, as loratui files shows them{default}",
    )
    parser.add_argument("--run", metavar="RUN", help="only among the files of this run: name or beginning of an id")
