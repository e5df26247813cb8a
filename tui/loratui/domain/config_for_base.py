"""Whether a config goes with its base model, as far as the model's kind and its files are known here. Pure."""

import math
from collections.abc import Iterator

from loratui.domain.base_kinds import SD1, SDXL, BaseKind
from loratui_protocol.config import TrainingConfig
from loratui_protocol.findings import Finding, Severity
from loratui_protocol.single_file import Prediction
from loratui_protocol.subsets import datasets_of

_TOO_SMALL, _TOO_LARGE = 0.5, 3.0
"""Shares of the pixels that a kind is made for, below and above which its pictures fall apart."""


def for_base(
    config: TrainingConfig,
    kind: BaseKind | None,
    *,
    prediction: Prediction | None = None,
    claims_sdxl: bool | None = None,
) -> list[Finding]:
    """Return what doesn't go together.

    ``kind`` None: nobody knows here. ``prediction``: what the model predicts; None: nobody knows.
    ``claims_sdxl``: what the config's own file says of it.
    """
    return [*for_prediction(config, prediction), *_of_kind(config, kind, claims_sdxl)]


def for_prediction(config: TrainingConfig, prediction: Prediction | None) -> Iterator[Finding]:
    """Yield what of a config is against what its base model predicts."""
    if prediction is None:
        return
    name, said = config.pretrained_model_name_or_path, config.v_parameterization
    if said not in (None, prediction.is_v):
        what = (
            f"v_parameterization is {str(said).lower()}, but {name} predicts {'v' if prediction.is_v else 'epsilon'}: "
            "trained so, the LoRA would be noise"
        )
        yield _found("model.prediction", "error", what, "leave v_parameterization out: what the model says is heeded")
    if config.zero_terminal_snr is False and prediction.is_zero_snr:
        what = f"zero_terminal_snr is false, but the last timestep of {name} is all noise"
        yield _found("model.prediction", "error", what, "leave zero_terminal_snr out: what the model says is heeded")
    if config.zero_terminal_snr and not prediction.is_v:
        # All noise, and the noise to be found: there is nothing to learn from (arXiv 2305.08891, section 3.2).
        what = f"zero_terminal_snr is true, but {name} predicts epsilon, which has no meaning where all is noise"
        yield _found("model.prediction", "error", what, "leave zero_terminal_snr out: it is for models that predict v")


def _of_kind(config: TrainingConfig, kind: BaseKind | None, claims_sdxl: bool | None) -> Iterator[Finding]:
    if kind not in (SD1, SDXL):
        return
    if claims_sdxl is not None and claims_sdxl != (kind is SDXL):
        what = f"sdxl = {str(claims_sdxl).lower()}, but the base model is {kind.name}, and is trained as that"
        yield _found("config.base_kind", "warning", what, "name the base model that is meant")
    yield from _resolution(config, kind)
    if kind is SD1:
        [(_, num_layers)] = kind.network.text_encoders
        if (config.clip_skip or 1) > num_layers:
            what = f"clip_skip = {config.clip_skip}, and the text encoder of {kind.name} has {num_layers} layers"
            yield _found("config.clip_skip", "error", what, "write clip_skip = 2, or remove it")
        return
    if config.clip_skip is not None and config.clip_skip != 2:
        what = f"clip_skip = {config.clip_skip} has no effect: SDXL is made for the last layer but one of its encoders"
        yield _found("config.clip_skip", "warning", what, "remove clip_skip")
    if config.mixed_precision == "fp16":
        what = (
            "mixed_precision is fp16: SDXL's VAE gives NaN in it (sd-scripts needs no_half_vae; here it never runs in "
            "fp16), and its gradients overflow sooner than in bf16"
        )
        fix = "remove mixed_precision: then it is bf16 where the GPU has it (RTX 30 and newer), else fp16"
        yield _found("config.fp16", "warning", what, fix)


def _resolution(config: TrainingConfig, kind: BaseKind) -> Iterator[Finding]:
    side = math.isqrt(kind.unit_px)
    for width, height in dict.fromkeys(dataset.resolution for dataset in datasets_of(config)):
        share = width * height / kind.unit_px
        if _TOO_SMALL <= share <= _TOO_LARGE:
            continue
        spoils = "its LoRA learns what is blurred" if share < 1 else "it shows things twice, and a step costs as much"
        what = f"{kind.name} is made for {side}x{side}; {width}x{height} is {share:.2g} times as many pixels: {spoils}"
        yield _found("config.resolution", "warning", what, f'write resolution = "{side},{side}"')


def _found(code: str, severity: Severity, what: str, fix: str) -> Finding:
    return Finding(code=code, severity=severity, what=what, fix=fix)
