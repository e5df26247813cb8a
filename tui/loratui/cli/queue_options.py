"""What can be typed to ``queue``."""

import argparse


def queue_options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add what is done with what waits; return the parser of ``add``, which takes what ``train`` does."""
    parser.add_argument("--json", action="store_true", help="one JSON document")
    actions = parser.add_subparsers(metavar="ACTION")

    def add(name: str, handler: str, summary: str) -> argparse.ArgumentParser:
        action = actions.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
        )
        action.set_defaults(handler=handler)
        return action

    listed = add("list", "queueing:show", "list the runs of each machine in the order in which it takes them up")
    added = add("add", "train:train", "let configs wait behind what is there, and return; as train --detach")
    removed = add("remove", "queueing:remove", "take a run that waits out of its queue; one that trains goes on")
    removed.add_argument("run", metavar="RUN", help="name or beginning of an id")
    removed.add_argument(
        "--undo", action="store_true", help="put back one that was removed: it waits again, at the end"
    )
    for action in (listed, removed):
        action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document")
    return added
