"""What is known of a LoRA file, in a few lines for a person."""

import math
from collections.abc import Iterator

from loratui.domain import formatting
from loratui.domain.lora_snippets import snippets_of
from loratui.preflight.lora_facts import LoraFacts, Norm
from loratui_protocol.findings import plural
from loratui_protocol.harmless import clean

_LABEL_COLUMNS = 12
_MOST_RANKS = 4
_BAR_COLUMNS = 24


def lora_table(facts: LoraFacts) -> Iterator[str]:
    """Yield the lines; numbers are those at weight 1."""
    words = facts.words
    size = formatting.size(facts.path.stat().st_size)
    yield f"{clean(facts.path.name)}: {', '.join(facts.kinds)} for {facts.base or 'an unknown base model'}"
    yield _row("file", f"{size}, {', '.join(facts.dtypes)}, names are {' and '.join(facts.keys.families)}")
    yield _row("parts", ", ".join(f"{part} {plural(number, 'module')}" for part, number in facts.parts.items()))
    yield _row("rank", _ranks(facts))
    if words.base_file:
        yield _row("trained on", words.base_file)
    yield _row("trigger", words.trigger or "not said")
    yield _row("prompt", snippets_of(facts.path.name, words.trigger).prompt)
    yield _row("norm", f"{_norm(facts.norm)}: what is added to the weights, at weight 1; by block:")
    blocks = facts.blocks
    widest = max((each.norm or 0 for each in blocks.values() if _is_number(each)), default=0)
    columns = max(map(len, blocks))
    for block, each in blocks.items():
        share = (each.norm or 0) / widest if widest and _is_number(each) else 0
        line = f"{'':{_LABEL_COLUMNS + 2}}{block:<{columns}}  {_norm(each):>9}  {'#' * round(share * _BAR_COLUMNS)}"
        yield line.rstrip()


def _row(label: str, text: str) -> str:
    return f"  {label:<{_LABEL_COLUMNS}}{clean(text)}"


def _ranks(facts: LoraFacts) -> str:
    ranks = facts.ranks
    if not ranks:
        return "none: it is no product of matrices"
    told = [f"{rank} (alpha {'none' if alpha is None else f'{alpha:g}'})" for (rank, alpha), _ in ranks[:_MOST_RANKS]]
    if len(ranks) == 1:
        return f"{told[0]} everywhere"
    more = f", and {len(ranks) - _MOST_RANKS} more" if len(ranks) > _MOST_RANKS else ""
    return ", ".join(f"{each} in {number}" for each, (_, number) in zip(told, ranks, strict=False)) + more


def _is_number(norm: Norm) -> bool:
    return norm.norm is not None and math.isfinite(norm.norm)


def _norm(norm: Norm) -> str:
    if norm.norm is None:
        return "not measured"
    if math.isnan(norm.norm):
        return "no number"
    told = f"{norm.norm:.3g}"
    return f"{told} without {plural(norm.num_unmeasured, 'module')}" if norm.num_unmeasured else told
