"""What is worth knowing of a config before it costs money: what it leaves to chance, and what spoils a LoRA. Pure."""

import re
from collections.abc import Iterator, Sequence

from loratui.domain.config_figures import HIGHEST_SCALE, LOWEST_SCALE, WIDEST, figures, rate_key, too_fast
from loratui_protocol.buckets import Bucket, choose, ladder
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import Picture
from loratui_protocol.effective_lr import PLUS, effective_lrs, planned_rates
from loratui_protocol.errors import ConfigError
from loratui_protocol.findings import Finding, Severity, plural, with_paths
from loratui_protocol.known_models import LARGE_GB, SMALL_GB, smaller_instead
from loratui_protocol.optimizers import sets_own_rate
from loratui_protocol.subsets import datasets_of, subsets_of

LOWEST_RATE, HIGHEST_RATE = 7e-6, 1e-3
"""Learning rate x alpha / rank of the UNet: what presets span, from 9e-4 x 1 / 128 on (docs/decisions.md)."""
_USUAL_RATE = 1e-4
_TALL = (2, 3)
"""The proportions of most photographs that stand."""
_MUCH_OF_THE_PIXELS = 0.9
_SIDES = re.compile(r"\b(left|right)\b", re.IGNORECASE)
_SHOWN = 3
_SMALL_LINE_BYTES_PER_S = 50e6 / 8


def hints(config: TrainingConfig) -> list[Finding]:
    """Return what is worth knowing, whatever base model it is."""
    return [*_left_to_chance(config), *figures(config), *_rates(config), *_buckets(config), *_large_file(config)]


def mirrored(config: TrainingConfig, pictures: Sequence[Picture]) -> list[Finding]:
    """Return a finding if pictures are shown mirrored whose captions say where left and right are."""
    flipped = {number for number, subset in enumerate(subsets_of(config)) if subset.config.flip_aug}
    sided = [each.name for each in pictures if each.subset in flipped and _SIDES.search(each.caption)]
    if not sided:
        return []
    what = f"flip_aug shows pictures mirrored, and {plural(len(sided), 'caption', 'says', 'say')} left or right"
    first = ", ".join(sided[:_SHOWN])
    found = _found("caption.mirrored", "warning", f"{what} (first: {first})", "write flip_aug = false")
    return [with_paths(found, sided)]


def _found(code: str, severity: Severity, what: str, fix: str) -> Finding:
    return Finding(code=code, severity=severity, what=what, fix=fix)


def _left_to_chance(config: TrainingConfig) -> Iterator[Finding]:
    if config.seed is None:
        what = "seed is not set: one is drawn, and written into the resolved config"
        yield _found("config.no_seed", "info", what, "write seed = 42: then the same config gives the same LoRA")
    is_asked = config.sample_every_n_steps or config.sample_every_n_epochs or config.sample_at_first
    if not config.sample_prompts and not is_asked:
        what = "no sample pictures are made on the way: nobody sees which of the files is the best, or that one is none"
        fix = 'write sample_every_n_epochs = 1, and sample_prompts = ["a prompt with your trigger word --d 1"]'
        yield _found("config.no_samples", "info", what, fix)


def _rates(config: TrainingConfig) -> Iterator[Finding]:
    if config.network_dim > WIDEST:
        # Said already, and all of the following is reckoned with it.
        return
    scale = config.alpha / config.network_dim
    if config.network_weights is None and not LOWEST_SCALE <= scale <= HIGHEST_SCALE:
        what = f"network_alpha {config.alpha:g} at rank {config.network_dim} scales all that is learned by {scale:.2g}"
        fix = f"write network_alpha = {config.network_dim}, or half of it"
        yield _found("config.network_alpha", "error", what, fix)
        return
    if scale > 1 and config.network_weights is None:
        what = f"network_alpha {config.alpha:g} is above the rank {config.network_dim}: all is scaled by {scale:g}"
        fix = f"write network_alpha = {config.network_dim} at most, and raise the learning rate instead"
        yield _found("config.alpha_above_rank", "warning", what, fix)
    if not ("Adam" in config.optimizer_type or config.optimizer_type == "AdaFactor") or sets_own_rate(
        config.optimizer_type, config.optimizer_args
    ):
        return
    hopeless = too_fast(config)
    for name, rate in effective_lrs(config, planned_rates(config)).items():
        is_unet = name == "unet"
        # Of convolutions, and of what LoRA+ lets learn faster, there are no figures. Text encoders may learn slowly.
        if name.endswith(PLUS) or not (is_unet or name.startswith("text_encoder")):
            continue
        if rate_key(config, name) in hopeless:
            continue
        if rate > HIGHEST_RATE * 1.001 or (is_unet and rate < LOWEST_RATE * 0.999):
            yield _out_of_range(config, "unet_lr" if is_unet else "text_encoder_lr", rate)
    slowest = min(config.effective_text_encoder_lrs)
    if 0 < config.effective_unet_lr <= slowest and not hopeless:
        what = f"the text encoder learns at {slowest:g}, as fast as the UNet ({config.effective_unet_lr:g}) or faster"
        fix = f"write text_encoder_lr = {config.effective_unet_lr / 10:g}, or network_train_unet_only = true"
        yield _found("config.text_encoder_lr", "info", f"{what}: it overfits first, and no loss shows it", fix)


def _out_of_range(config: TrainingConfig, key: str, rate: float) -> Finding:
    scale = config.alpha / config.network_dim
    given = rate / scale
    what = (
        f"{key} {given:g} x alpha / rank ({config.alpha:g} / {config.network_dim}) is {rate:.2g}; presets span "
        f"{LOWEST_RATE:g} to {HIGHEST_RATE:g}"
    )
    if rate < LOWEST_RATE <= given <= HIGHEST_RATE:
        fix = f"write network_alpha = {config.network_dim}, which makes it {given:g}"
    else:
        fix = f"write {key} = {_USUAL_RATE / scale:.3g}, which makes it {_USUAL_RATE:g}"
    return _found("config.effective_lr", "warning", what, fix)


def _buckets(config: TrainingConfig) -> Iterator[Finding]:
    for dataset in datasets_of(config):
        if not dataset.enable_bucket or dataset.bucket_no_upscale:
            continue
        wide = 2 * max(dataset.resolution)
        try:
            kept, whole = (_bucket(dataset, longest) for longest in (dataset.max_bucket_reso, wide))
        except ConfigError:
            continue
        share = kept.width * kept.height / (whole.width * whole.height)
        if share < _MUCH_OF_THE_PIXELS:
            what = (
                f"max_bucket_reso = {dataset.max_bucket_reso} trains a picture of 2:3 at {kept.width}x{kept.height}, "
                f"{share:.0%} of the pixels of {whole.width}x{whole.height}"
            )
            yield _found("config.max_bucket_reso", "warning", what, f"write max_bucket_reso = {wide}")


def _bucket(config: TrainingConfig, longest: int) -> Bucket:
    choices = ladder(config.resolution, shortest=config.min_bucket_reso, longest=longest, step=config.bucket_reso_steps)
    return choose(*_TALL, choices)


def _large_file(config: TrainingConfig) -> Iterator[Finding]:
    name = config.pretrained_model_name_or_path
    if smaller := smaller_instead(name):
        minutes = (LARGE_GB - SMALL_GB) * 1e9 / _SMALL_LINE_BYTES_PER_S / 60
        what = (
            f"v1-5-pruned has {LARGE_GB:g} GB, with every weight of the UNet twice; v1-5-pruned-emaonly has "
            f"{SMALL_GB:g} GB and trains the same: {minutes:.0f} minutes less at 50 Mbit/s"
        )
        yield _found("model.large_file", "warning", what, f'write pretrained_model_name_or_path = "{smaller}"')
