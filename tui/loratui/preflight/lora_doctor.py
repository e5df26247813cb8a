"""The LoRA doctor: what is wrong with a LoRA file, from whatever trainer it is, and why it may have no effect."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loratui.preflight.lora_facts import LoraFacts, lora_facts
from loratui.preflight.lora_keys import LoraModule
from loratui.preflight.lora_loaders import loader_findings
from loratui.preflight.lora_numbers import Measured
from loratui_protocol.errors import ModelError
from loratui_protocol.findings import Finding, plural
from loratui_protocol.harmless import clean
from loratui_protocol.single_file import check_kind

_ANOTHER_FILE = "take another file of the same training; an earlier checkpoint may still be sound"
_NAME_CHARS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The base model that a LoRA is to be used with."""

    name: str
    """As it was typed."""
    kind: str
    """In the words of ``lora_keys.base_of``; empty: it isn't known here."""


def look_at_lora(path: Path, base: Base | None = None) -> tuple[LoraFacts, list[Finding]]:
    """Return what there is to know of a file, and what is wrong with it, used with such a base model.

    Raises:
        ModelError: it is cut off, damaged, a pickle, or no safetensors file; codes as of ``read_header``.
    """
    facts = lora_facts(path)
    if not facts.modules:
        return facts, [_no_lora(facts)]
    found = [*_of_numbers(facts), *_of_effect(facts, base), *_of_base(facts, base)]
    return facts, [*found, *loader_findings(facts)]


def _no_lora(facts: LoraFacts) -> Finding:
    if not facts.header.tensors:
        return Finding(
            code="lora.empty",
            severity="error",
            what="the file holds no tensors at all",
            fix="download or copy it again",
        )
    try:
        kind = f"a base model of the kind {check_kind(facts.header, facts.path.name).name}"
    except ModelError as error:
        kind = error.what.removeprefix(f"{facts.path.name} is ") if " is " in error.what else "something else"
    return Finding(
        code="lora.not_lora",
        severity="error",
        what=f"the file is no LoRA: it is {kind}",
        fix="give a LoRA; a base model is named in a config, as pretrained_model_name_or_path",
    )


def _of_numbers(facts: LoraFacts) -> Iterator[Finding]:
    unsound = [module for module, each in facts.pairs if not each.is_sound]
    if unsound:
        yield Finding(
            code="lora.nan",
            severity="error",
            what=f"{_of_all(unsound, facts)} NaN or infinite numbers: pictures come out black; {_first(unsound)}",
            fix=f'{_ANOTHER_FILE}; train again with a lower rate, or with mixed_precision = "bf16"',
        )
    broken = [module for module, each in facts.pairs if each.is_broken]
    if broken:
        yield Finding(
            code="lora.broken_module",
            severity="error",
            what=f"{_of_all(broken, facts)} matrices that don't fit each other, or one of two; {_first(broken)}",
            fix="download or export the file again: a loader fails with it, or leaves these layers alone",
        )
    unmeasured = [module for module, each in facts.pairs if each.norm is None and not each.is_broken]
    if unmeasured:
        yield Finding(
            code="lora.not_measured",
            severity="info",
            what=f"the norm of {plural(len(unmeasured), 'module')} was not measured: it depends on the base model's "
            "own weights (OFT), its numbers are of a type that isn't read, or it takes too much to reckon; "
            f"{_first(unmeasured)}",
        )
    if any(module.is_dora for module in facts.modules):
        yield Finding(
            code="lora.dora_norm",
            severity="info",
            what="the norms are those of the matrices alone: what DoRA's scale does depends on the base model",
        )


def _of_effect(facts: LoraFacts, base: Base | None) -> Iterator[Finding]:
    """Yield why all of it, or the part of one model, changes nothing."""
    if all(_is_idle(each) for each in facts.measured):
        yield _no_effect(facts)
        return
    if facts.without_layer and len(facts.without_layer) == len(facts.modules) and base is None:
        yield Finding(
            code="lora.no_effect",
            severity="error",
            what=f"the LoRA has no effect: no loader has a place for any of its keys; {_first(facts.modules)}",
            fix="export it again with kohya's names (lora_unet_..., lora_te_...)",
        )
    for part in facts.parts:
        of_part = [(module, each) for module, each in facts.pairs if (module.part or "unknown") == part]
        idle = [module for module, each in of_part if _is_idle(each)]
        if len(idle) == len(of_part):
            yield Finding(
                code="lora.idle_part",
                severity="warning",
                what=f"the {part} is not changed, though the file has {plural(len(idle), 'module')} for it: "
                "nothing was learned there",
                fix="give it a learning rate above 0, or leave it out of the training: the file gets smaller",
            )
        elif idle:
            yield Finding(
                code="lora.idle_modules",
                severity="info",
                what=f"{len(idle)} of {len(of_part)} modules of the {part} change nothing; {_first(idle)}",
            )


def _no_effect(facts: LoraFacts) -> Finding:
    if all(each.alpha == 0 for each in facts.measured):
        why = "alpha is 0 everywhere, and everything is multiplied by alpha / rank"
        fix = "train again with network_alpha above 0: half of network_dim is usual"
    elif facts.words.has_no_rate:
        why = "its metadata tells a learning rate of 0, so nothing was learned"
        fix = "train again with a learning rate above 0: unet_lr = 1e-4 is usual"
    elif all(each.is_up_zero for each in facts.measured):
        why = "every up matrix is zero, as before the first step: nothing was learned, or this is a file from step 0"
        fix = "take a later checkpoint; see that the run took steps, and that its learning rate was above 0"
    else:
        why = "the product of its matrices is zero everywhere"
        fix = _ANOTHER_FILE
    return Finding(code="lora.no_effect", severity="error", what=f"the LoRA has no effect: {why}", fix=fix)


def _of_base(facts: LoraFacts, base: Base | None) -> Iterator[Finding]:
    if not facts.base:
        yield Finding(
            code="lora.base_unknown",
            severity="info",
            what="its layers don't tell for which kind of base model it is"
            + (f"; its metadata says {facts.words.base}" if facts.words.base else ""),
        )
    if base is not None and not base.kind:
        yield Finding(
            code="lora.base_unread",
            severity="warning",
            what=f"whether it fits {clean(base.name)} is not known: of which kind that model is can't be told here",
            fix="give the model's file or folder on this machine as --base",
        )
    elif base is not None and facts.base and base.kind != facts.base:
        yield Finding(
            code="lora.other_base",
            severity="error",
            what=f"it is for {facts.base}, and {clean(base.name)} is {base.kind}: it fails to load there, or does "
            "nothing",
            fix=f"use it with a model of the kind {facts.base}, or train one for {base.kind}",
        )
    elif base is not None and (other := _other_file(facts.words.base_file, base.name)):
        yield Finding(
            code="lora.other_checkpoint",
            severity="info",
            what=f"it was trained on {other}, and works on {clean(base.name)} as far as the two are alike",
            fix="where the likeness is poor, draw with the model that it was trained on",
        )
    strange = facts.without_layer
    if facts.base and strange and (base is None or base.kind in ("", facts.base)):
        yield Finding(
            code="lora.unknown_layers",
            severity="warning",
            what=f"{_of_all(strange, facts)} a layer that {facts.base} has not: loaders leave them out, and Forge "
            f"leaves out the whole file from 13 such tensors on; {_first(strange)}",
            fix="export it again for the base model, with kohya's names",
        )
    said = facts.words.base
    if said and facts.base and said != facts.base and facts.words.version:
        yield Finding(
            code="lora.metadata_base",
            severity="warning",
            what=f"its layers are those of {facts.base}, and its metadata says {said}: A1111 sorts it by that",
            fix="trust the layers; where A1111 hides it, set its version in the card of the LoRA there",
        )


def _other_file(trained_on: str, used: str) -> str:
    """Return the name of the model that it was trained on, if that is another file than the one used."""
    names = [clean(name).replace("\\", "/").rpartition("/")[2] for name in (trained_on, used)]
    stems = [name.removesuffix(".safetensors").removesuffix(".ckpt").lower() for name in names]
    return names[0] if stems[0] and stems[0] != stems[1] else ""


def _is_idle(measured: Measured) -> bool:
    """Return whether a module changes nothing; one of which that isn't known is taken to change something."""
    return measured.norm is not None and not math.isnan(measured.norm) and measured.norm == 0


def _of_all(some: Sequence[LoraModule], facts: LoraFacts) -> str:
    has = "has" if len(some) == 1 else "have"
    return f"{len(some)} of {plural(len(facts.modules), 'module')} {has}"


def _first(modules: Sequence[LoraModule]) -> str:
    return f"first: {clean(modules[0].name, _NAME_CHARS)}"
