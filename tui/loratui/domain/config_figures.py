"""Figures of a config that no training survives, or that nobody trains with: each against what it may be. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from loratui.domain.base_kinds import SD1, SDXL
from loratui_protocol.config import TrainingConfig
from loratui_protocol.effective_lr import PLUS, planned_rates
from loratui_protocol.findings import Finding, Severity
from loratui_protocol.lora_size import all_layers
from loratui_protocol.optimizers import sets_own_rate
from loratui_protocol.plan import Plan
from loratui_protocol.subsets import subsets_of

TOO_FAST = 0.1
"""A learning rate at which a LoRA is noise after some steps: Adam and Lion move each weight by about so much in one."""
WIDEST = max(min(each.taken, each.given) for kind in (SD1, SDXL) for each in all_layers(kind.network))
"""The highest rank that a layer's own matrix can have, 1280: of a higher one the rest can't add anything."""
HIGHEST_SCALE, LOWEST_SCALE = 10, 1e-4
"""Alpha / rank beyond which no learning rate that is any good goes with it."""
_HIGHEST_SNR = (1 - 0.00085) / 0.00085
"""Of the first timestep of Stable Diffusion's noise schedule."""
_MUCH = 0.5
_TIMES = 5
"""As often as that something that happens on the way is worth it."""


@dataclass(frozen=True, slots=True)
class _Span:
    """What a figure may be."""

    key: str
    usual: tuple[float, float]
    possible: tuple[float, float]
    """Beyond it nothing comes of a training."""
    right: str
    """What to write."""
    why: str
    counts: Callable[[TrainingConfig], bool] = lambda _: True
    """Whether it has an effect."""


_SPANS = (
    _Span("noise_offset", (0, 0.2), (0, 1), "noise_offset = 0.05", "noise itself has a strength of 1"),
    _Span(
        "ip_noise_gamma", (0, 0.3), (0, 1), "ip_noise_gamma = 0.1", "noise that is not to be found hides the picture"
    ),
    _Span(
        "min_snr_gamma",
        (1, 20),
        (0.1, _HIGHEST_SNR),
        "min_snr_gamma = 5",
        f"timesteps with a higher ratio of signal to noise count less, and the highest has {_HIGHEST_SNR:.0f}",
    ),
    _Span("network_dropout", (0, _MUCH), (0, 1), "network_dropout = 0.1", "so much of the LoRA is left out each step"),
    _Span("rank_dropout", (0, _MUCH), (0, 1), '"rank_dropout=0.1" in network_args', "so many ranks are left out"),
    _Span("module_dropout", (0, _MUCH), (0, 1), '"module_dropout=0.1" in network_args', "so many modules are left out"),
    _Span(
        "multires_noise_iterations",
        (1, 10),
        (1, float("inf")),
        "multires_noise_iterations = 6",
        "each layer is coarser, and soon a single pixel",
    ),
    _Span("v_pred_like_loss", (0, 1), (0, 100), "v_pred_like_loss = 0.5", "it is added to the loss"),
    _Span(
        "prior_loss_weight",
        (0, 2),
        (0, 100),
        "prior_loss_weight = 1",
        "regularisation pictures count so many times as much as yours",
        lambda config: any(subset.is_reg for subset in subsets_of(config)),
    ),
)


def figures(config: TrainingConfig) -> list[Finding]:
    """Return what is out of all proportion, whatever base model and dataset it is."""
    return [*too_fast(config).values(), *_ranks(config), *_out_of_span(config), *_dropped_captions(config)]


def against_plan(config: TrainingConfig, planned: Plan) -> list[Finding]:
    """Return what doesn't fit into the run."""
    return [*_warmup(config, planned), *_intervals(config, planned)]


def too_fast(config: TrainingConfig) -> dict[str, Finding]:
    """Return an error for each key by which something learns so fast that nothing is left of it."""
    # SGD moves weights by their gradients, which are small; the others find, or scale, a rate of their own.
    if config.optimizer_type in ("Prodigy", "SGDNesterov") or sets_own_rate(
        config.optimizer_type, config.optimizer_args
    ):
        return {}
    found: dict[str, Finding] = {}
    for name, rate in planned_rates(config).items():
        key, right = _key_of(config, name)
        if rate < TOO_FAST or (name.endswith(PLUS) and rate_key(config, name) in found):
            continue
        what = (
            f"{key} makes the learning rate {rate:g}: {config.optimizer_type} moves each weight by about that much in "
            "a step, and those of a LoRA are smaller, so it is noise after a few"
        )
        found.setdefault(key, _found("config.learning_rate", "error", what, f"write {right}"))
    return found


def rate_key(config: TrainingConfig, name: str) -> str:
    """Return the key that the learning rate of a model, as ``planned_rates`` calls it, comes from."""
    own = "unet_lr" if name.startswith("unet") else "text_encoder_lr"
    return "learning_rate" if getattr(config, own) is None else own


def _key_of(config: TrainingConfig, name: str) -> tuple[str, str]:
    """Return the key that makes a rate what it is, and what to write instead."""
    if name.endswith(PLUS):
        return "LoRA+ in network_args", '"loraplus_lr_ratio=16" there'
    key = rate_key(config, name)
    return key, f"{key} = {'1e-5' if key == 'text_encoder_lr' else '1e-4'}"


def _ranks(config: TrainingConfig) -> Iterator[Finding]:
    ranks = {
        "network_dim": config.network_dim,
        "conv_dim": config.conv_dim or 0,
        "block_dims": max(config.block_dims, default=0),
        "conv_block_dims": max(config.conv_block_dims, default=0),
    }
    for key, rank in ranks.items():
        if rank > WIDEST:
            what = (
                f"{key} is {rank}, and no layer of SD 1.x or SDXL has a matrix of a rank above {WIDEST}: what is more "
                "learns nothing, and takes memory and space"
            )
            fix = "write network_dim = 32" if key == "network_dim" else f"write {key} of 32 or less in network_args"
            yield _found("config.rank", "error", what, fix)


def _out_of_span(config: TrainingConfig) -> Iterator[Finding]:
    for span in _SPANS:
        value = getattr(config, span.key)
        if value is None or not span.counts(config):
            continue
        low, high = span.usual
        if low <= value <= high or value == 0:
            continue
        is_possible = span.possible[0] <= value <= span.possible[1]
        what = f"{span.key} is {value:g}, usual is {low:g} to {high:g}: {span.why}"
        yield _found("config.figure", "warning" if is_possible else "error", what, f"write {span.right}")


def _dropped_captions(config: TrainingConfig) -> Iterator[Finding]:
    """Yield a finding for what leaves out captions, or tags, more often than not."""
    folders = [subset.config for subset in subsets_of(config)]
    for key in ("caption_dropout_rate", "caption_tag_dropout_rate"):
        most = max((getattr(folder, key) for folder in folders), default=0)
        if most > _MUCH:
            left_out = "captions are" if key == "caption_dropout_rate" else "of their tags is"
            what = f"{key} is {most:g}: {most:.0%} of the {left_out} left out, and the trigger with them"
            yield _found("config.caption_dropout", "warning", what, f"write {key} = 0.1")
    if any(folder.caption_dropout_every_n_epochs == 1 for folder in folders):
        what = "caption_dropout_every_n_epochs is 1: every epoch's captions are empty, and no trigger is learned"
        yield _found("config.caption_dropout", "warning", what, "write caption_dropout_every_n_epochs = 10, or 0")


def _warmup(config: TrainingConfig, planned: Plan) -> Iterator[Finding]:
    given = config.lr_warmup_steps
    steps = int(given * planned.steps) if isinstance(given, float) and given < 1 else int(given)
    if steps <= _MUCH * planned.steps:
        return
    right = f"write lr_warmup_steps = {planned.steps // 20}"
    if steps >= planned.steps:
        what = f"lr_warmup_steps is {steps}, and the run has {planned.steps} steps: its learning rate is never reached"
        yield _found("plan.warmup", "error", what, right)
    else:
        what = f"lr_warmup_steps is {steps}, more than half of the {planned.steps} steps that the run has"
        yield _found("plan.warmup", "warning", what, right)


def _intervals(config: TrainingConfig, planned: Plan) -> Iterator[Finding]:
    """Yield a finding for whatever was to happen on the way, and comes after the end."""
    lengths = {"epochs": planned.epochs, "steps": planned.steps}
    for verb, misses in (
        ("save", "no file is written before the last"),
        ("sample", "no samples are made on the way"),
        ("checkpoint", "no state is saved on the way, and a run that breaks off begins anew"),
        ("validate", "the pictures that are held out are not looked at on the way"),
    ):
        for unit, length in lengths.items():
            key = f"{verb}_every_n_{unit}"
            every = getattr(config, key, None)
            if every is not None and every > length:
                what = f"{key} is {every}, and the run has {length} {unit}: {misses}"
                fix = f"write {key} = {max(1, length // _TIMES)}"
                yield _found("plan.interval", "warning", what, fix)


def _found(code: str, severity: Severity, what: str, fix: str) -> Finding:
    return Finding(code=code, severity=severity, what=what, fix=fix)
