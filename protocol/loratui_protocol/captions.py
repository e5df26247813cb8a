"""What a caption becomes when its picture is shown: sd-scripts' rules, in sd-scripts' order."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from loratui_protocol.config import TrainingConfig
from loratui_protocol.subsets import subsets_of


@dataclass(frozen=True, slots=True)
class Moment:
    """When a picture is shown. Steps and epochs count from 1."""

    step: int
    num_steps: int
    epoch: int


def captions_vary(config: TrainingConfig) -> bool:
    """Return whether captions of any folder are others from step to step, but for whole ones dropped."""
    return any(Captions(subset.config).vary for subset in subsets_of(config))


class Captions:
    """The rules of a config."""

    def __init__(self, config: TrainingConfig) -> None:
        self._config = config

    def whole(self, caption: str) -> str:
        """Return a caption with nothing dropped or shuffled; of what there is to choose from the longest."""
        return self._separated(self._chosen(caption, lambda choices: max(choices, key=len)))

    def kept(self, caption: str) -> list[str]:
        """Return the tags of a caption that are neither shuffled nor left out."""
        first, _, last = self._split(self._chosen(caption, lambda choices: max(choices, key=len)))
        return [*first, *last]

    @property
    def vary(self) -> bool:
        """Return whether a picture's caption is another one from step to step, but for whole captions dropped."""
        return self._config.enable_wildcard or self._tags_vary

    @property
    def _tags_vary(self) -> bool:
        config = self._config
        return config.shuffle_caption or config.caption_tag_dropout_rate > 0 or config.token_warmup_step > 0

    def shown(self, caption: str, rng: random.Random, when: Moment) -> str:
        """Return the caption for one exposure; empty where it is dropped."""
        config = self._config
        # One number is drawn either way: a changed rate must not change how the others are shuffled.
        is_dropped = rng.random() < config.caption_dropout_rate
        every = config.caption_dropout_every_n_epochs
        if is_dropped or (every and when.epoch % every == 0):
            return ""
        chosen = self._chosen(caption, rng.choice)
        if not self._tags_vary:
            return self._separated(chosen)
        first, loose, last = self._split(chosen)
        loose = loose[: self._num_warm(len(loose), when)]
        if config.shuffle_caption:
            rng.shuffle(loose)
        if config.caption_tag_dropout_rate > 0:
            loose = [tag for tag in loose if rng.random() >= config.caption_tag_dropout_rate]
        return self._separated(", ".join((*first, *loose, *last)))

    def _chosen(self, caption: str, choose: Callable[[list[str]], str]) -> str:
        """Return the caption with prefix and suffix; with wildcards one of its lines, and one of each ``{a|b}``."""
        if not self._config.enable_wildcard:
            return self._framed(caption)
        # As in sd-scripts, which takes doubled braces first: they are braces to be read.
        line = self._framed(choose(caption.split("\n"))).replace("{{", "\0").replace("}}", "\1")
        # Behind the last brace that closes none is looked for: of many that only open, each would look to the end.
        closed, brace, rest = line.rpartition("}")
        line = re.sub(r"\{([^}]+)\}", lambda found: choose(found[1].split("|")), closed + brace) + rest
        return line.replace("\0", "{").replace("\1", "}")

    def _framed(self, caption: str) -> str:
        parts = (self._config.caption_prefix, caption, self._config.caption_suffix)
        return " ".join(part for part in parts if part)

    def _split(self, caption: str) -> tuple[list[str], list[str], list[str]]:
        """Return the tags that stay at the front, those that move, and those that stay at the end."""
        config = self._config
        mark = config.keep_tokens_separator
        if mark and mark in caption:
            first, _, rest = caption.partition(mark)
            loose, _, last = rest.partition(mark)
            return self._tags(first), self._tags(loose), self._tags(last)
        tags = [tag.strip() for tag in caption.split(config.caption_separator)]
        return tags[: config.keep_tokens], tags[config.keep_tokens :], []

    def _tags(self, text: str) -> list[str]:
        return [tag for part in text.split(self._config.caption_separator) if (tag := part.strip())]

    def _num_warm(self, num_tags: int, when: Moment) -> int | None:
        """Return how many of the loose tags are shown so far; None: all."""
        config = self._config
        given = config.token_warmup_step
        last = int(given * when.num_steps) if given < 1 else int(given)
        # sd-scripts counts the steps that are done.
        done = when.step - 1
        if done >= last:
            return None
        return int(done * (num_tags - config.token_warmup_min) / last) + config.token_warmup_min

    def _separated(self, caption: str) -> str:
        mark = self._config.secondary_separator
        return caption.replace(mark, self._config.caption_separator) if mark else caption
