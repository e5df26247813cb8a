"""What A1111, Forge, ComfyUI and diffusers make of a LoRA file, by its names and by what it says of itself.

As their loaders are: A1111 1.10, Forge and ComfyUI of 2025, diffusers 0.35.
"""

import shlex
from collections.abc import Iterator

from loratui.preflight.lora_facts import LoraFacts
from loratui.preflight.lora_keys import DIFFUSERS, DOTTED, KOHYA, LYCORIS, PEFT, PLAIN, RAW_PEFT, SDXL
from loratui_protocol.findings import Finding, plural
from loratui_protocol.harmless import clean

_EXPORT = "export it with kohya's names (lora_unet_..., lora_te_...), which all of them read"
_NAME_CHARS = 100
_EMBEDDING = "bundle_emb."


def loader_findings(facts: LoraFacts) -> Iterator[Finding]:
    """Yield what there is to say before it is loaded anywhere."""
    yield from _of_names(facts)
    yield from _of_kinds(facts)
    yield from _of_alpha(facts)
    yield from _of_metadata(facts)


def _of_names(facts: LoraFacts) -> Iterator[Finding]:
    families = facts.keys.families
    if RAW_PEFT in families:
        yield Finding(
            code="lora.raw_peft",
            severity="warning",
            what="its keys begin with base_model.model, as PEFT saves an adapter by itself: A1111, Forge and the "
            "pipelines of diffusers have no place for them",
            fix=f"save it through diffusers' save_lora_weights, or {_EXPORT}",
        )
    elif LYCORIS in families:
        yield Finding(
            code="lora.lycoris_names",
            severity="warning",
            what="its keys begin with lycoris_, as LyCORIS names layers when it is used without sd-scripts: A1111 and "
            "diffusers have no place for them",
            fix=_EXPORT,
        )
    elif {PEFT, DIFFUSERS, DOTTED} & set(families):
        yield Finding(
            code="lora.dotted_names",
            severity="warning",
            what=f"its names are {' and '.join(families)}: diffusers and newer versions of ComfyUI and Forge load "
            "them, A1111 has no place for them and draws as if the LoRA were not there",
            fix=f"for A1111 {_EXPORT}",
        )
    strange = [key for key in facts.keys.strange if not key.startswith(_EMBEDDING)]
    if len(strange) < len(facts.keys.strange):
        yield Finding(
            code="lora.embedding",
            severity="info",
            what="it carries an embedding, as OneTrainer bundles it: OneTrainer and A1111 read it, diffusers refuses "
            "such a file, others pass over it",
            fix="elsewhere use the embedding's own file beside the LoRA",
        )
    if strange:
        first = clean(strange[0], _NAME_CHARS)
        yield Finding(
            code="lora.unknown_keys",
            severity="warning",
            what=f"{plural(len(strange), 'tensor', 'is', 'are')} there that no loader knows: diffusers refuses such "
            f"a file, others pass over them; first: {first}",
            fix="export it again without them, where it doesn't load",
        )


def _of_kinds(facts: LoraFacts) -> Iterator[Finding]:
    if any(module.is_dora for module in facts.modules):
        yield Finding(
            code="lora.dora",
            severity="warning",
            what="it is a DoRA: diffusers drops its scale and loads a wrong plain LoRA, for Stable Diffusion 1.x and "
            "SDXL at least; and along which side the scale runs, trainers disagree",
            fix="compare a picture from your program with one of the trainer's samples",
        )
    others = sorted({module.kind for module in facts.modules if module.kind not in ("", PLAIN)})
    if others and KOHYA in facts.keys.families:
        yield Finding(
            code="lora.not_for_diffusers",
            severity="warning",
            what=f"it is {' and '.join(others)}: A1111, Forge and ComfyUI load it, diffusers refuses it",
            fix="for diffusers train a LoRA: network_module = networks.lora",
        )


def _of_alpha(facts: LoraFacts) -> Iterator[Finding]:
    plain = [each for module, each in facts.pairs if module.kind == PLAIN]
    without = sum(each.alpha is None for each in plain)
    scale = facts.words.adapter_scale
    if without and scale is not None and scale != 1:
        yield Finding(
            code="lora.alpha_aside",
            severity="warning",
            what=f"its alpha stands in PEFT's metadata alone: diffusers multiplies by {scale:g}, A1111, Forge and "
            "ComfyUI by 1",
            fix=f"outside diffusers use it with {scale:g} times the weight",
        )
    elif without:
        yield Finding(
            code="lora.no_alpha",
            severity="info",
            what=f"{without} of {plural(len(facts.modules), 'module')} "
            f"{'has' if without == 1 else 'have'} no alpha: every loader takes the rank for it, and multiplies by 1",
            fix="where it was trained with another alpha, use it with alpha / rank times the weight",
        )


def _of_metadata(facts: LoraFacts) -> Iterator[Finding]:
    words = facts.words
    if words.is_empty:
        yield Finding(
            code="lora.no_metadata",
            severity="warning",
            what="it says nothing of itself: A1111 sorts it as of an unknown version and shows it with every model; "
            "nobody can see how it was trained, or by which word it is called",
            fix="keep the training's config beside it; train without no_metadata",
        )
        return
    if facts.base == SDXL and not words.version:
        yield Finding(
            code="lora.no_version",
            severity="warning",
            what="it is for SDXL and has no ss_base_model_version: A1111 takes it for one of Stable Diffusion 1.x, and "
            "hides it where an SDXL model is loaded",
            fix="let A1111 always show all networks on the Lora page, in its settings, or set the version in the "
            "card of the LoRA there",
        )
    if not words.trigger:
        likely = f"; its captions have most often: {', '.join(words.likely_triggers)}" if words.likely_triggers else ""
        yield Finding(
            code="lora.no_trigger",
            severity="info",
            what=f"it doesn't say by which word it is called{likely}",
            fix="look for the word where the file came from; trained here, trigger_word writes it into the file",
        )
    if words.says_training:
        yield Finding(
            code="lora.config",
            severity="info",
            what="its metadata tells how it was trained",
            fix=f"loratui convert {shlex.quote(str(facts.path))} --to native writes that as a config",
        )
