"""A config that judges files and trains none: what has to be there, and what there is to say of it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import LoratuiError
from loratui_protocol.findings import Finding, Severity

_OF_DIFFUSERS: dict[str, Severity] = {"lora.not_for_diffusers": "error", "lora.dora": "warning"}
"""What is said of a file that diffusers refuses or loads wrongly: it is diffusers that draws."""


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
        if not (Path(folder) / "config.json").is_file():
            yield _error(f"{key} names {folder}, and no model is there", "download it, and name its folder")
    if not config.evaluate_dino:
        what = "likeness, copying and variety are not measured: evaluate_dino names no model"
        yield _unmeasured(what, "name a folder of one as transformers saves it: facebook/dinov2-small, for instance")
    if not config.evaluate_clip:
        what = "how prompts are followed is not measured: evaluate_clip names no model"
        yield _unmeasured(what, "name a folder of one, openai/clip-vit-base-patch32, for instance")
    if config.evaluate_loras and not (config.train_data_dir or config.datasets):
        what = "likeness and copying are not measured: there are no training pictures to compare with"
        yield _unmeasured(what, "name their folder as train_data_dir")


def _unfit(path: Path, base: str) -> Iterator[Finding]:
    """Yield why a file can't be drawn with: nobody pays for a machine to be told so there."""
    # What looks at its numbers takes a while to load.
    from loratui.sessions.lora_check import check_lora

    try:
        _, found = check_lora(path, base)
    except LoratuiError as error:
        yield Finding(code=error.code, severity="error", what=error.what, fix=error.fix)
        return
    for each in found:
        # One without an effect is drawn all the same: that is worth seeing.
        is_error = each.severity == "error" and each.code != "lora.no_effect"
        if is_error or each.code in _OF_DIFFUSERS:
            yield replace(each, path=str(path), severity=_OF_DIFFUSERS.get(each.code, "error"))


def _error(what: str, fix: str) -> Finding:
    return Finding(code="evaluate.missing", severity="error", what=what, fix=fix)


def _unmeasured(what: str, fix: str) -> Finding:
    return Finding(code="evaluate.unmeasured", severity="info", what=what, fix=fix)
