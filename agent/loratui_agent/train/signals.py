"""What a training says of itself beside its steps: pace, exposures, effective learning rates, strength of the LoRA."""

import time

from loratui_agent.train.run import Run
from loratui_protocol import messages
from loratui_protocol.effective_lr import effective_lrs

_METRICS_EVERY_S = 5.0
_NORMS_SHARE = 10
"""Norms are measured after each tenth of the run, and with every validation and file."""
NO_EFFECT = 1e-4
"""Of the weights' norm: a LoRA that is smaller changes no picture that anyone could tell."""


def learning_rates(run: Run) -> dict[str, float]:
    """Return the rate that each model learns with at the next step."""
    groups = zip(run.optimizer.param_groups, run.lr_scheduler.get_last_lr(), strict=True)
    # Prodigy multiplies it by the distance that it estimates.
    return {group["name"]: float(lr) * float(group.get("d", 1.0)) for group, lr in groups}


def tell_metrics(run: Run, rates: dict[str, float]) -> None:
    """Say how the last steps went, every few seconds and after the last; ``rates`` are those of the step taken."""
    now_s = time.monotonic()
    if now_s - run.metrics_at_s < _METRICS_EVERY_S and run.step < run.plan.stop_step:
        return
    run.metrics_at_s = now_s
    run.reporter.emit(
        messages.Metrics(
            step=run.step,
            img_s=run.pace.img_s,
            tflop_s=run.pace.tflop_s,
            data_wait=run.pace.data_wait,
            exposures_per_picture=run.schedule.num_shown(run.step) / run.plan.num_pictures,
            effective_lr=effective_lrs(run.config, rates),
        )
    )


def tell_norms_if_due(run: Run) -> None:
    """Say how large the LoRA is, where the plan looks at what was learned and a few times besides."""
    if run.step in run.plan.validation_steps or run.step % max(1, run.plan.steps // _NORMS_SHARE) == 0:
        tell_norms(run)


def tell_norms(run: Run) -> None:
    """Say how large the LoRA is, once for each step."""
    if run.delta_norms.step == run.step:
        return
    run.delta_norms.measure(run.trained, run.step)
    run.reporter.emit(messages.DeltaNorms(step=run.step, relative=run.delta_norms.relative))


def warn_of_no_effect(run: Run) -> None:
    """Say of each model that learned next to nothing in the whole run."""
    for name, rate in effective_lrs(run.config, run.learning_rates).items():
        relative = run.delta_norms.relative.get(name)
        if relative is not None and relative < NO_EFFECT:
            learner = name.replace("_", " ")
            what = (
                f"the LoRA has no effect on the {learner}: after {run.step} steps its delta is {100 * relative:.1g} % "
                f"of the weights it changes, less than {100 * NO_EFFECT:g} %; learning rate x alpha / rank was "
                f"{rate:.1g} at most: raise the learning rate or network_alpha, or train for longer"
            )
            run.reporter.emit(messages.Warn(code="lora.no_effect", message=what))
