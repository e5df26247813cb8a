"""A config that judges files and trains none: what has to be there, and what there is to say of it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import LoratuiError
from loratui_protocol.findings import Finding, Severity
from loratui_protocol.judging.drawable import check_drawable
from loratui_protocol.judging.feature_files import lacking
from loratui_protocol.judging.prompts import MARK, without_trigger


def files_of(config: TrainingConfig) -> list[Path]:
    """Return the LoRA files that a judgement needs, another one to be used together with them last."""
    also = [config.evaluate_together] if config.evaluate_together else []
    return [Path(each) for each in (*config.evaluate_loras, *also)]


def features_of(config: TrainingConfig) -> dict[str, str]:
    """Return the folders of the models that are named to measure with, by their keys."""
    named = {"evaluate_dino": config.evaluate_dino, "evaluate_clip": config.evaluate_clip}
    return {key: name for key, name in named.items() if name}


def judging_findings(config: TrainingConfig) -> Iterator[Finding]:
    """Yield what is wrong with the files that are judged, and what can't be measured."""
    for path in files_of(config):
        if not path.is_file():
            yield _error(f"{path} is to be tried out, and there is no such file", "correct the path")
            continue
        yield from _unfit(path, config.pretrained_model_name_or_path)
    if not (config.evaluate_loras or config.evaluate_checkpoints):
        return
    for key, folder in features_of(config).items():
        names = {path.name for path in Path(folder).iterdir()} if Path(folder).is_dir() else set()
        if lacks := lacking(names, reads_texts=key == "evaluate_clip"):
            yield _error(f"{key} names {folder}, which lacks {lacks}", "download the model whole, and name its folder")
    if not config.evaluate_dino:
        what = "likeness, copying and variety are not measured: evaluate_dino names no model"
        yield _unmeasured(what, "name a folder of one as transformers saves it: facebook/dinov2-small, for instance")
    if not config.evaluate_clip:
        what = "how prompts are followed is not measured: evaluate_clip names no model"
        yield _unmeasured(what, "name a folder of one, openai/clip-vit-base-patch32, for instance")
    if unasked := without_trigger(config):
        what = f"{len(unasked)} of the evaluate_prompts have no trigger, and show only what bleeds: {unasked[0]!r}"
        yield _unmeasured(what, f"write {MARK} where {config.trigger_word!r} is to stand", severity="warning")
    if config.evaluate_loras and not (config.train_data_dir or config.datasets):
        what = "likeness and copying are not measured: there are no training pictures to compare with"
        yield _unmeasured(what, "name their folder as train_data_dir")


def _unfit(path: Path, base: str) -> Iterator[Finding]:
    """Yield why a file can't be drawn with: nobody pays for a machine to be told so there."""
    # What looks at its numbers takes a while to load.
    from loratui.sessions.lora_check import check_lora

    try:
        check_drawable(path)
        _, found = check_lora(path, base)
    except LoratuiError as error:
        yield Finding(code=error.code, severity="error", what=error.what, fix=error.fix)
        return
    for each in found:
        # One without an effect is drawn all the same: that is worth seeing. What diffusers refuses is not.
        if each.code == "lora.not_for_diffusers" or (each.severity == "error" and each.code != "lora.no_effect"):
            yield replace(each, path=str(path), severity="error")


def _error(what: str, fix: str) -> Finding:
    return Finding(code="evaluate.missing", severity="error", what=what, fix=fix)


def _unmeasured(what: str, fix: str, severity: Severity = "info") -> Finding:
    return Finding(code="evaluate.unmeasured", severity=severity, what=what, fix=fix)
