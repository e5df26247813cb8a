"""A config that judges files and trains none: what has to be there, and what there is to say of it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from loratui.domain.base_kinds import KnownFeatures
from loratui.sessions.model_source import hub_source, taken_for_hub_id, token_for
from loratui.settings import Settings
from loratui_protocol.buckets import VAE_FACTOR, drawn_size
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import LoratuiError, ModelError
from loratui_protocol.feature_models import EXAMPLES, KEYS, check_feature_folder
from loratui_protocol.findings import Finding
from loratui_protocol.inputs import ModelPurpose, ModelSource
from loratui_protocol.judging.drawable import check_drawable
from loratui_protocol.judging.prompts import MARK, without_trigger

_WHERE = "other machines download it; here a folder that has it"


def files_of(config: TrainingConfig) -> list[Path]:
    """Return the LoRA files that a judgement needs, another one to be used together with them last."""
    also = [config.evaluate_together] if config.evaluate_together else []
    return [Path(each) for each in (*config.evaluate_loras, *also)]


def features_of(config: TrainingConfig) -> dict[ModelPurpose, str]:
    """Return the models that are named to measure with, folders or hub ids; none where nothing is judged."""
    if not (config.evaluate_loras or config.evaluate_checkpoints):
        return {}
    named = {ModelPurpose.DINO: config.evaluate_dino, ModelPurpose.CLIP: config.evaluate_clip}
    return {purpose: name for purpose, name in named.items() if name}


def feature_sources(config: TrainingConfig, hub_url: str) -> list[ModelSource]:
    """Return those of them that another machine downloads; the others travel from here."""
    sources = (hub_source(name, hub_url, purpose) for purpose, name in features_of(config).items())
    return [source for source in sources if source is not None]


def features_told_here(config: TrainingConfig, preferences: Settings) -> tuple[KnownFeatures, ...]:
    """Return what is known of these without asking anyone: not how large they are."""
    sources = feature_sources(config, preferences.remote_hub_url)
    return tuple(KnownFeatures(source=source, num_bytes=None) for source in sources)


async def ask_for_features(
    sources: Sequence[ModelSource], token: str = "", owner: ModelSource | None = None
) -> tuple[tuple[KnownFeatures, ...], list[Finding]]:
    """Return models with their sizes, asked of their hub, and what stands in the way: no training fails for that.

    ``token`` is shown to the server of its ``owner`` alone.
    """
    known, findings = [], []
    for source in sources:
        # The HTTP library takes as long to load as the whole screen of offers.
        from loratui.remote.model_hub import look_at_features

        size = None
        try:
            size = await look_at_features(source, token_for(source, token, owner))
        except ModelError as error:
            what = f"{KEYS[source.purpose]} names {source.address}, and what it measures may be missing: {error.what}"
            findings.append(Finding(code=error.code, severity="warning", what=what, fix=error.fix))
        known.append(KnownFeatures(source=source, num_bytes=size))
    return tuple(known), findings


def check_features_here(config: TrainingConfig) -> None:
    """Refuse a config that is to be judged with what only other machines download.

    Raises:
        ModelError: it names a model by its hub id.
    """
    for source in feature_sources(config, ""):
        raise ModelError(
            f"{KEYS[source.purpose]} names {source.address}, which is no folder on this machine: only other machines "
            "download a hub id",
            fix=f"download it and name its folder, or leave {KEYS[source.purpose]} out",
            code="evaluate.missing",
        )


def judging_findings(config: TrainingConfig, folder: Path) -> Iterator[Finding]:
    """Yield what is wrong with the files that are judged, how they are drawn, and what can't be measured.

    ``folder`` is the config's.
    """
    for path in files_of(config):
        if not path.is_file():
            what = f"{path} is to be tried out, and there is no such file"
            yield Finding(code="evaluate.missing", severity="error", what=what, fix="correct the path")
            continue
        yield from _unfit(path, config.pretrained_model_name_or_path)
    if not (config.evaluate_loras or config.evaluate_checkpoints):
        return
    for purpose, name in features_of(config).items():
        yield from _feature_findings(purpose, name, folder)
    if (drawn := drawn_size(config.resolution)) != config.resolution:
        (width, height), (drawn_width, drawn_height) = config.resolution, drawn
        size = f"{drawn_width}x{drawn_height}, not {width}x{height}"
        what = f"pictures are drawn at {size}: a latent is {VAE_FACTOR} pixels a side"
        yield Finding(code="evaluate.size", severity="info", what=what, fix=f"name sides that divide by {VAE_FACTOR}")
    yield from _unmeasured(config)


def _unmeasured(config: TrainingConfig) -> Iterator[Finding]:
    """Yield what of the pictures can't be measured, and how it could."""
    if 0 not in config.evaluate_weights:
        what = (
            "artefacts and what bleeds are not measured: 0 is not among the evaluate_weights, so the base model draws "
            "nothing to compare with"
        )
        yield Finding(code="evaluate.unmeasured", severity="warning", what=what, fix="add 0 to them")
    if not config.evaluate_dino:
        what = "likeness, copying and variety are not measured: evaluate_dino names no model"
        fix = f"name {EXAMPLES[ModelPurpose.DINO]}, for instance: {_WHERE}"
        yield Finding(code="evaluate.unmeasured", severity="info", what=what, fix=fix)
    if not config.evaluate_clip:
        what = "how prompts are followed is not measured: evaluate_clip names no model"
        fix = f"name {EXAMPLES[ModelPurpose.CLIP]}, for instance: {_WHERE}"
        yield Finding(code="evaluate.unmeasured", severity="info", what=what, fix=fix)
    if unasked := without_trigger(config):
        what = f"{len(unasked)} of the evaluate_prompts have no trigger, and show only what bleeds: {unasked[0]!r}"
        fix = f"write {MARK} where {config.trigger_word!r} is to stand"
        yield Finding(code="evaluate.unmeasured", severity="warning", what=what, fix=fix)
    if config.evaluate_loras and not (config.train_data_dir or config.datasets):
        what = "likeness and copying are not measured: there are no training pictures to compare with"
        yield Finding(code="evaluate.unmeasured", severity="info", what=what, fix="name their folder as train_data_dir")


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


def _feature_findings(purpose: ModelPurpose, name: str, folder: Path) -> Iterator[Finding]:
    key = KEYS[purpose]
    if hub_source(name, "", purpose) is not None:
        if why := taken_for_hub_id(name, folder):
            what = f"{key} names {name}, which is taken for a model of the hub: {why}"
            yield Finding(code="evaluate.missing", severity="warning", what=what, fix="correct the path")
            return
        what = f"{key} names {name}, which is not on this machine: the one that trains downloads it"
        fix = "nothing is to be done for a rented machine or a host; to judge here, download it and name its folder"
        yield Finding(code="evaluate.downloaded", severity="info", what=what, fix=fix)
        return
    try:
        check_feature_folder(Path(name), purpose)
    except ModelError as error:
        what = f"{key} names {name}, and nothing can be measured with that: {error.what}"
        yield Finding(code="evaluate.missing", severity="error", what=what, fix=error.fix)
