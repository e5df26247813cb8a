"""The very sentence that a picture of each folder is trained with."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace

from loratui.preflight.naming import quoted
from loratui.preflight.trained_folders import TrainedFolder
from loratui_protocol.captions import Captions, Moment
from loratui_protocol.config import TrainingConfig
from loratui_protocol.findings import Finding, plural
from loratui_protocol.harmless import clean

_AFTER_ALL = Moment(step=2, num_steps=1, epoch=1)
"""When every tag has been warmed up."""


def trains_on_findings(folders: Iterable[TrainedFolder]) -> Iterator[Finding]:
    """Yield for each folder one caption as the trainer feeds it, and what pictures without one are told to be."""
    for folder in folders:
        told = [each for each in folder.told if each.is_readable]
        written = next((each for each in told if each.file is not None and each.picture.caption), None)
        without = [each for each in told if each.file is None]
        parts = []
        if written is not None:
            shown = _shown(folder.subset.config, written.picture.caption)
            parts.append(f"{clean(written.picture.path.name)} is trained with {_named(shown)}{_varied(folder)}")
        if without:
            shown = _shown(folder.subset.config, without[0].picture.caption)
            number = "1 has" if len(without) == 1 else f"{len(without)} have"
            lacks = "none has a caption file" if len(without) == len(folder.told) else f"{number} no caption file"
            parts.append(f"{lacks}: trained with {_named(shown)}")
        if not parts:
            continue
        name = clean(folder.path.name) + (" (regularisation)" if folder.is_reg else "")
        yield Finding(
            code="caption.trains_on",
            severity="info",
            what=f"{name}, {plural(len(folder.told), 'picture')}: {'; '.join(parts)}",
            path=str(folder.path),
        )


def _shown(config: TrainingConfig, caption: str) -> str:
    never_empty = replace(config, caption_dropout_rate=0.0, caption_dropout_every_n_epochs=0)
    return Captions(never_empty).shown(caption, random.Random(config.seed or 0), _AFTER_ALL)


def _named(shown: str) -> str:
    return quoted(shown) if shown else "no words at all"


def _varied(folder: TrainedFolder) -> str:
    """Return how it is another one from step to step."""
    config = folder.subset.config
    ways = []
    if config.enable_wildcard:
        ways.append("one of its lines and choices is drawn at every step")
    if config.shuffle_caption:
        ways.append("its tags are shuffled at every step" + _kept(config))
    if config.caption_tag_dropout_rate:
        ways.append(f"{config.caption_tag_dropout_rate:.0%} of its tags are left out")
    if config.caption_dropout_rate:
        ways.append(f"{config.caption_dropout_rate:.0%} of the time it is empty")
    return f" ({', '.join(ways)})" if ways else ""


def _kept(config: TrainingConfig) -> str:
    if config.keep_tokens_separator:
        return f" but those before {quoted(config.keep_tokens_separator)}"
    return f" but the first {config.keep_tokens}" if config.keep_tokens else ""
