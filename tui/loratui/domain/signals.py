"""What a training says of its pace and of how strong its LoRA is, in words. Pure.

A figure that was not measured is a dash, never 0: other versions of the trainer say less.
"""

from collections.abc import Mapping
from itertools import islice

from loratui.domain import formatting
from loratui_protocol.messages import DeltaNorms, Metrics

MOST_NAMES = 40
"""Of blocks or models: a UNet has at most 9, and a trainer may be anyone's."""
WHOLE = "unet"


def pace(metrics: Metrics | None) -> str:
    """Return "9.2 img/s, 54 TFLOP/s, 3.1 % of the time without data"."""
    seen = metrics or Metrics(step=0)
    return (
        f"{formatting.significant(seen.img_s, 'img/s')}, {formatting.significant(seen.tflop_s, 'TFLOP/s')}, "
        f"{formatting.percent(seen.data_wait)} of the time without data"
    )


def exposures(metrics: Metrics | None) -> str:
    """Return how often a picture was shown: "12 x (mean)"."""
    return formatting.significant(metrics.exposures_per_picture if metrics else None, "x (mean)")


def effective_lrs(rates: Mapping[str, float]) -> str:
    """Return "5e-05 unet, 2.5e-05 text encoder"."""
    named = (f"{rate:.2g} {name.replace('_', ' ')}" for name, rate in islice(rates.items(), MOST_NAMES))
    return ", ".join(named) or formatting.UNKNOWN


def strength(norms: DeltaNorms) -> str:
    """Return how large the LoRA is beside the weights of each model, and in which block it is largest."""
    parts = {name: value for name, value in norms.relative.items() if "block" not in name}
    blocks = {name: value for name, value in norms.relative.items() if name not in parts}
    said = [
        f"{formatting.percent(value)} of the {name.replace('_', ' ')}"
        for name, value in islice(parts.items(), MOST_NAMES)
    ]
    if blocks:
        most = max(blocks, key=lambda name: blocks[name])
        said.append(f"most in {most} ({formatting.percent(blocks[most])})")
    return "delta norm " + (", ".join(said) or formatting.UNKNOWN)


def by_kind(norms: DeltaNorms) -> dict[str, list[float]]:
    """Return the norms of blocks by kind, in their order: "down", "mid", "up", "text"."""
    kinds: dict[str, list[float]] = {}
    for name, value in islice(norms.relative.items(), MOST_NAMES):
        if name != WHOLE:
            kinds.setdefault(name.split("_")[0], []).append(value)
    return kinds
