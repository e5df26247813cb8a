"""Where a run ends, and what it means that one goes on to another end than the one it was planned for."""

from dataclasses import replace
from pathlib import Path

from loratui_protocol.commands import RunEnd
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import parse_config
from loratui_protocol.config_write import to_toml
from loratui_protocol.errors import UsageError
from loratui_protocol.lr_schedule import lr_factor
from loratui_protocol.optimizers import sets_own_rate
from loratui_protocol.plan import Plan

ENDS = ("max_train_steps", "max_train_epochs", "stop_at_epoch")
"""The settings that say where a run ends."""
STOP_AT_EPOCH = "stop_at_epoch"
"""Why a run has stopped whose config wanted that."""


def end_after(epochs: int, planned: Plan, step: int) -> RunEnd:
    """Return the end of a run that is at ``step`` and is to have so many epochs in all.

    Within the plan the schedule stays as it is, and a later end is a new plan. The last epoch of a plan may be short.

    Raises:
        UsageError: it is there already, or nothing is trained.
    """
    if not planned.steps:
        raise UsageError(
            "it trains nothing, and has no epochs: files are tried out", fix="leave out --epochs", code="resume.epochs"
        )
    if epochs == planned.epochs and step < planned.steps:
        return RunEnd()
    last = epochs * planned.steps_per_epoch
    if last <= step:
        raise UsageError(
            f"it is at step {step}, in epoch {planned.epoch_of(step)}; {epochs} epochs end with step {last}",
            fix=f"--epochs counts them from the beginning: give {step // planned.steps_per_epoch + 1} or more",
            code="resume.epochs",
        )
    return RunEnd(stop_at_epoch=epochs) if last < planned.steps else RunEnd(max_train_epochs=epochs)


def with_end(config: TrainingConfig, end: RunEnd) -> TrainingConfig:
    """Return the config of a run that is to end there."""
    return replace(
        config,
        max_train_epochs=end.max_train_epochs or config.max_train_epochs,
        stop_at_epoch=end.stop_at_epoch,
    )


def toml_with_end(text: str, base: Path, end: RunEnd) -> str:
    """Return the config in ``text``, of a run that is to end there; errors and ``base`` as in ``parse_config``."""
    return to_toml(with_end(parse_config(text, base).config, end))


def replanned(config: TrainingConfig, step: int, before: int, now: int) -> list[str]:
    """Return in sentences what is otherwise for a run of ``now`` steps that was at ``step`` of ``before`` planned ones.

    Nothing where the steps to come are those of a run that was planned so from the beginning.
    """
    told = []
    is_own = sets_own_rate(config.optimizer_type, config.optimizer_args)
    steps = range(now)
    if not is_own and any(lr_factor(config, each, before) != lr_factor(config, each, now) for each in steps):
        rate = config.effective_unet_lr or max(config.effective_text_encoder_lrs)
        old, new = (rate * lr_factor(config, step, planned) for planned in (before, now))
        told.append(
            f"the {config.lr_scheduler} schedule was planned for {before} steps and is planned anew for {now}: after "
            f"step {step} the learning rate was {old:.3g} and goes on at {new:.3g}"
        )
    if 0 < config.token_warmup_step < 1 and max(before, now) * config.token_warmup_step > step:
        told.append(f"all tags are shown from step {int(config.token_warmup_step * now) + 1} on")
    return told
