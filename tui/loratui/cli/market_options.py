"""What can be typed to choose among offers: for ``offers``, and for ``train`` and ``resume`` on what is rented."""

import argparse

from loratui.cli.values import positive, regions, reliability, version
from loratui.domain.formatting import parse_microusd


def market_options(parser: argparse.ArgumentParser) -> None:
    """Add what a machine must have, and what comes first."""
    options = parser.add_argument_group("what can be rented; what is not given does not matter")
    options.add_argument("--gpu", metavar="NAME", help="a part of the GPU's name: 4090")
    options.add_argument("--vram", type=positive, metavar="GB", help="at least so much memory on the GPU")
    options.add_argument("--max-price", type=parse_microusd, metavar="USD", help="at most so much an hour")
    options.add_argument("--region", type=regions, metavar="CC[,CC]", help="only there: countries by two letters")
    options.add_argument("--cuda", type=version, metavar="12.4", help="a driver that runs at least this CUDA")
    options.add_argument("--compute-capability", type=version, metavar="8.6", help="of the GPU, at least")
    options.add_argument(
        "--min-reliability",
        type=reliability,
        metavar="0.99",
        help="of the machine, at least, as its provider measured it; by default the setting rental.min_reliability",
    )
    options.add_argument("--datacenter", action="store_true", help="only machines in datacentres, not in homes")
    options.add_argument(
        "--sort",
        choices=("total", "price", "time", "reliability", "privacy"),
        help="what comes first: by default the likely total of the run where there is one, else the hourly price. "
        "privacy: only datacentres, by the total",
    )


def offer_option(parser: argparse.ArgumentParser) -> None:
    """Add how one offer is named, which nothing else may take the place of."""
    parser.add_argument(
        "--offer",
        metavar="ID",
        help="rent this offer, as loratui offers names it last in its row, and no other; if it is gone nothing is "
        "rented. With --max-price it is taken at no higher price",
    )
