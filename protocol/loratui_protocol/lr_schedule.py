"""The learning rate at each step, by sd-scripts' names: laptop and trainer reckon the same, so a plan can show it."""

import math

from loratui_protocol.config import TrainingConfig
from loratui_protocol.optimizers import step_rules

_POLYNOMIAL_END = 1e-7
"""Learning rate that ``polynomial`` ends at, as in sd-scripts."""
_TIMESCALE = 10_000


def lr_factor(config: TrainingConfig, num_done: int, num_steps: int) -> float:
    """Return what the learning rates are multiplied by in the step after ``num_done``, of ``num_steps`` planned.

    Numbers of steps that the config gives as floats are shares of those. What an optimizer makes of it is its own
    business: Prodigy finds a rate of its own, and AdaFactor with ``relative_step`` heeds none.
    """
    num_warmup, num_decay = (_steps(each, num_steps) for each in (config.lr_warmup_steps, config.lr_decay_steps))
    name, least = config.lr_scheduler, config.lr_scheduler_min_lr_ratio or 0.0
    if name == "piecewise_constant":
        return _piecewise(step_rules(config.lr_scheduler_args), num_done)
    if num_done < num_warmup and name not in ("constant", "adafactor"):
        warmth = num_done / num_warmup
        return warmth * (1.0 - least) + least if name == "warmup_stable_decay" else warmth
    # Beyond the end nothing is trained, but a schedule is asked once more after the last step.
    done, left = num_done - num_warmup, max(1, num_steps - num_warmup)
    match name:
        case "linear":
            return max(0.0, (num_steps - num_done) / left)
        case "cosine":
            return max(0.0, _wave(done / left))
        case "cosine_with_restarts":
            return 0.0 if done >= left else max(0.0, _wave((config.lr_scheduler_num_cycles * (done / left)) % 1.0))
        case "cosine_with_min_lr":
            return max(0.0, _wave(config.lr_scheduler_num_cycles * (done / left)) * (1.0 - least) + least)
        case "polynomial":
            end = _POLYNOMIAL_END / max(config.learning_rate, _POLYNOMIAL_END)
            return (1.0 - end) * math.pow(max(0.0, 1.0 - done / left), config.lr_scheduler_power) + end
        case "inverse_sqrt":
            timescale = config.lr_scheduler_timescale or num_warmup or _TIMESCALE
            return 1.0 / math.sqrt((done + timescale) / timescale)
        case "warmup_stable_decay":
            decayed = done - max(0, num_steps - num_warmup - num_decay)
            if decayed < 0:
                return 1.0
            if decayed >= num_decay:
                return least
            return max(0.0, _wave(config.lr_scheduler_num_cycles * (decayed / num_decay)) * (1.0 - least) + least)
        case _:
            return 1.0


def _wave(progress: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def _piecewise(rules: str, num_done: int) -> float:
    *bounded, last = rules.split(",")
    ends = sorted((int(end), float(factor)) for factor, _, end in (rule.partition(":") for rule in bounded))
    return next((factor for end, factor in ends if num_done < end), float(last))


def _steps(given: float, num_steps: int) -> int:
    return int(given * num_steps) if isinstance(given, float) and given < 1 else int(given)
