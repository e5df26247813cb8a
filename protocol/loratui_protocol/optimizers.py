"""Which optimizers and schedules can be named, in sd-scripts' words, and what each takes as an argument."""

import math
import re
from collections.abc import Iterable, Mapping

Argument = float | bool | tuple[float, ...]
_ADAM: Mapping[str, tuple[type, ...]] = {"weight_decay": (float,), "eps": (float,), "betas": (tuple,)}
_LION: Mapping[str, tuple[type, ...]] = {"weight_decay": (float,), "betas": (tuple,)}
_PRODIGY: Mapping[str, tuple[type, ...]] = {
    **_ADAM,
    "beta3": (float,),
    "decouple": (bool,),
    "use_bias_correction": (bool,),
    "safeguard_warmup": (bool,),
    "d0": (float,),
    "d_coef": (float,),
    "growth_rate": (float,),
}
_ADAFACTOR: Mapping[str, tuple[type, ...]] = {
    "eps": (tuple,),
    "clip_threshold": (float,),
    "decay_rate": (float,),
    "beta1": (float,),
    "weight_decay": (float,),
    "scale_parameter": (bool,),
    "relative_step": (bool,),
    "warmup_init": (bool,),
}
OPTIMIZERS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "AdamW": {**_ADAM, "amsgrad": (bool,)},
    "AdamW8bit": _ADAM,
    "PagedAdamW": _ADAM,
    "PagedAdamW8bit": _ADAM,
    "PagedAdamW32bit": _ADAM,
    "Lion": _LION,
    "Lion8bit": _LION,
    "PagedLion8bit": _LION,
    "AdaFactor": _ADAFACTOR,
    "Prodigy": _PRODIGY,
    "SGDNesterov": {"momentum": (float,), "weight_decay": (float,)},
}
"""Name, and the types of each argument: a number, a flag, or a pair of numbers."""
IN_8BIT = {"AdamW": "AdamW8bit", "PagedAdamW": "PagedAdamW8bit", "Lion": "Lion8bit"}
"""The optimizer that does the same with averages of 8 bits."""
STATE_BYTES: Mapping[str, float] = {
    "AdamW": 8,
    "AdamW8bit": 2,
    # Paged ones lie in the host's memory when there is none elsewhere.
    "PagedAdamW": 0,
    "PagedAdamW8bit": 0,
    "PagedAdamW32bit": 0,
    "Lion": 4,
    "Lion8bit": 1,
    "PagedLion8bit": 0,
    # A row and a column of each matrix.
    "AdaFactor": 0.1,
    "Prodigy": 16,
    "SGDNesterov": 4,
}
"""What an optimizer keeps of each weight that learns, in bytes."""
FROM_BITSANDBYTES = frozenset(name for name in OPTIMIZERS if name.startswith("Paged") or name.endswith("8bit"))
ARGUMENTS: Mapping[str, frozenset[type]] = {
    name: frozenset(kind for taken in OPTIMIZERS.values() for kind in taken.get(name, ()))
    for name in sorted({name for taken in OPTIMIZERS.values() for name in taken})
}
"""Of any optimizer."""
_FROM_0 = frozenset({"weight_decay", "eps", "d0", "d_coef"})
_SHARES = frozenset({"betas", "beta1", "beta3", "momentum"})
"""Of a running average, how much of it stays."""
_NUMBER = r"\d+(?:\.\d+)?(?:e-?\d+)?"
_STEP_RULES = re.compile(rf"step_rules=((?:{_NUMBER}:\d+,)*{_NUMBER})")
LR_SCHEDULERS = (
    "constant",
    "constant_with_warmup",
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "inverse_sqrt",
    "cosine_with_min_lr",
    "warmup_stable_decay",
    "piecewise_constant",
    "adafactor",
)


def misfits(optimizer_type: str, arguments: Mapping[str, Argument]) -> list[str]:
    """Return the names among ``arguments`` that the optimizer does not take, or not as such a value."""
    taken = OPTIMIZERS[optimizer_type]
    return [name for name, value in arguments.items() if type(value) not in taken.get(name, ())]


def are_possible(arguments: Mapping[str, Argument]) -> bool:
    """Return whether an optimizer would start with these values, as far as they are numbers."""
    for name, value in arguments.items():
        numbers = value if isinstance(value, tuple) else (float(value),)
        if not all(math.isfinite(each) for each in numbers):
            return False
        if name in _FROM_0 | _SHARES and min(numbers) < 0:
            return False
        if name in _SHARES and max(numbers) >= 1:
            return False
    return True


def step_rules(arguments: Iterable[str]) -> str:
    """Return the rules of ``piecewise_constant`` among the arguments of a schedule; empty: they are none."""
    return next((found[1] for each in arguments if (found := _STEP_RULES.fullmatch(each.replace(" ", "")))), "")


def sets_own_rate(optimizer_type: str, arguments: Mapping[str, Argument]) -> bool:
    """Return whether the learning rate is the optimizer's own business: Adafactor's, unless it is told not to."""
    return optimizer_type == "AdaFactor" and bool(arguments.get("relative_step", True))
