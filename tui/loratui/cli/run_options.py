"""What can be typed to commands that start, follow or name a run."""

import argparse
from pathlib import Path
from typing import Any

from loratui.cli.market_options import market_options, offer_option
from loratui.cli.values import duration, positive
from loratui.domain.formatting import parse_microusd


class _Configs(argparse.Action):
    """Keeps all configs, and the first one by itself."""

    def __call__(self, _: argparse.ArgumentParser, typed: argparse.Namespace, values: Any, *__: object) -> None:
        typed.configs, typed.config = values, values[0]


def train_arguments(parser: argparse.ArgumentParser, *, is_detached: bool) -> None:
    """Add which configs are trained, where and how far."""
    parser.add_argument(
        "configs",
        type=Path,
        nargs="+",
        metavar="CONFIG",
        action=_Configs,
        help="training_config.toml, kohya's keys; several are trained one after the other on one machine",
    )
    parser.add_argument(
        "--on", required=True, metavar="TARGET", help="local, ssh://user@host:port, or rented: vast, runpod, cheapest"
    )
    parser.add_argument(
        "--stop-at-epoch",
        type=positive,
        metavar="N",
        help="stop after so many epochs, to look; the schedule stays that of the whole run, and resume goes on",
    )
    train_options(parser, is_detached=is_detached)
    parser.set_defaults(resumed=None, detach=is_detached)


def train_options(parser: argparse.ArgumentParser, *, is_detached: bool = False) -> None:
    """Add how a run is started and what may be spent on it."""
    parser.add_argument("--deadline", type=duration, metavar="3h", help="save and stop after this time")
    parser.add_argument("--budget", type=parse_microusd, metavar="USD", help="save and stop when this much is spent")
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    if not is_detached:
        parser.add_argument(
            "--detach", action="store_true", help="start the run and return once nothing needs this machine"
        )
    parser.add_argument(
        "--on-done",
        metavar="WHAT",
        help="what the host does when the files are here, verified: stop (the agent), poweroff, or a command",
    )
    parser.add_argument(
        "--keep",
        type=duration,
        metavar="30m",
        help="a rented machine is kept for so long once the files are here; a host waits with --on-done for so long "
        "for someone to fetch them",
    )
    parser.add_argument(
        "--wait-price",
        type=parse_microusd,
        metavar="USD",
        help="wait until a machine is to be rented for at most so much an hour",
    )
    parser.add_argument(
        "--accept", action="append", default=[], metavar="CODE", help="go on in spite of what would be refused"
    )
    parser.add_argument(
        "--ask-token", action="store_true", help="ask for a token, hidden, that the host downloads a model with"
    )
    host_options(parser)
    market_options(parser)
    offer_option(parser)
    format_options(parser)


def run_argument(parser: argparse.ArgumentParser) -> None:
    """Add the run that is meant."""
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="name or beginning of an id; by default the active run, or the newest",
    )


def on_option(parser: argparse.ArgumentParser) -> None:
    """Add the host whose runs count, too."""
    parser.add_argument(
        "--on",
        metavar="TARGET",
        help="also the runs that are on this host (ssh://user@host:port), whoever started them",
    )
    host_options(parser)


def host_options(parser: argparse.ArgumentParser) -> None:
    """Add how a host is reached."""
    options = parser.add_argument_group("ssh hosts; what is given once is remembered for the host")
    options.add_argument("--identity", type=Path, metavar="FILE", help="private key; by default one of its own is made")
    options.add_argument(
        "--ssh-config", action="store_true", help="heed ~/.ssh/config and the ssh agent, which are left alone otherwise"
    )
    options.add_argument(
        "--host-key", metavar="SHA256:…", help="fingerprint that the host must show; by default the first one is pinned"
    )


def format_options(parser: argparse.ArgumentParser) -> None:
    """Add in which form a run is followed."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--plain", action="store_true", help="a sentence a change instead of the interface")
    form.add_argument("--json", action="store_true", help="a JSON object a line instead of the interface")
