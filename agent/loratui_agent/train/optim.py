"""Optimizers and learning-rate schedules, by sd-scripts' names and with its meanings."""

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from loratui_agent.train.lora import lora_modules, trainable_parameters
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import ConfigError
from loratui_protocol.lr_schedule import lr_factor
from loratui_protocol.optimizers import FROM_BITSANDBYTES, sets_own_rate

_ELSEWHERE = {
    "Lion": ("lion_pytorch", "Lion"),
    "Prodigy": ("prodigyopt", "Prodigy"),
    "AdaFactor": ("transformers.optimization", "Adafactor"),
}
_PROBE_SIDE = 128
"""Large enough for states of 8 bits: smaller tensors keep those of 32."""


@dataclass(frozen=True, slots=True)
class Part:
    """Parameters that share a learning rate."""

    name: str
    parameters: list[nn.Parameter]
    lr: float


def parts_of(rates: Mapping[str, float], model: nn.Module) -> list[Part]:
    """Return a model's LoRA as one part, or where it has two rates (LoRA+) its downs and its ups, in a fixed order."""
    if len(rates) == 1:
        [(name, rate)] = rates.items()
        return [Part(name, trainable_parameters(model), rate)]
    modules = list(lora_modules(model))
    sides = ([module.down for module in modules], [module.up for module in modules])
    return [Part(name, side, rate) for (name, rate), side in zip(rates.items(), sides, strict=True)]


def new_optimizer(config: TrainingConfig, parts: list[Part], tell: Callable[[str], None]) -> Optimizer:
    """Return the optimizer over the parts; ``tell`` is given a sentence when it is not the one that was asked for.

    Raises:
        ConfigError: a value in ``optimizer_args`` is none that the optimizer takes.
    """
    groups: list[dict[str, Any]] = [{"params": part.parameters, "lr": part.lr, "name": part.name} for part in parts]
    if sets_own_rate(config.optimizer_type, config.optimizer_args):
        groups = [{**group, "lr": None} for group in groups]
    name, arguments = config.optimizer_type, dict(config.optimizer_args)
    if name in FROM_BITSANDBYTES:
        why = _why_not_bitsandbytes(name, parts[0].parameters[0].device)
        if why:
            tell(f"{name} can't be used here ({why}): training goes on with AdamW, which takes more memory")
            name = "AdamW"
    try:
        return _class_of(name)(groups, **arguments)
    except (TypeError, ValueError, AssertionError) as error:
        raise ConfigError(
            f"optimizer_args does not fit {name}: {error}",
            fix='give values as its own documents do, as ["weight_decay=0.01"]',
            code="config.value",
        ) from error


def new_lr_scheduler(config: TrainingConfig, optimizer: Optimizer, num_steps: int) -> LambdaLR:
    """Return the schedule over optimizer steps, of which so many are planned."""
    if sets_own_rate(config.optimizer_type, config.optimizer_args):
        return _AdafactorsOwn(optimizer, lambda _: 1.0)
    return LambdaLR(optimizer, lambda num_done: lr_factor(config, num_done, num_steps))


def plan_anew(scheduler: LambdaLR) -> None:
    """Have the rates be those of its own plan after it was given the state of another one."""
    if not isinstance(scheduler, _AdafactorsOwn):
        factors = [factor(scheduler.last_epoch) for factor in scheduler.lr_lambdas]
        scheduler._last_lr = [rate * factor for rate, factor in zip(scheduler.base_lrs, factors, strict=True)]


class _AdafactorsOwn(LambdaLR):
    """Shows the rate that Adafactor takes by itself; transformers' own class does so only while there are gradients."""

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of the last step of each group's first parameter; 0 before there was one."""
        optimizer: Any = self.optimizer
        states = [(group, optimizer.state[group["params"][0]]) for group in optimizer.param_groups]
        return [float(optimizer._get_lr(group, state)) if state else 0.0 for group, state in states]


def _class_of(name: str) -> Callable[..., Optimizer]:
    if name == "AdamW":
        # Fused: one launch on a GPU; on a CPU a third of the loop's time, 3 % of a step of the tiny model.
        return lambda groups, **arguments: torch.optim.AdamW(groups, fused=True, **arguments)
    if name == "SGDNesterov":
        return lambda groups, momentum=0.9, **arguments: torch.optim.SGD(
            groups, momentum=momentum, nesterov=True, **arguments
        )
    # Imported only when chosen: these take their time, and not every machine has them all.
    module, found = _ELSEWHERE.get(name, ("bitsandbytes.optim", name))
    if name in FROM_BITSANDBYTES and sys.modules.get("bitsandbytes", ...) is None:
        del sys.modules["bitsandbytes"]
    chosen: Callable[..., Optimizer] = getattr(importlib.import_module(module), found)
    return chosen


def _why_not_bitsandbytes(name: str, device: torch.device) -> str:
    """Return why a real step of it does not work on the device; empty: it does."""
    weights = nn.Parameter(torch.ones(_PROBE_SIDE, _PROBE_SIDE, device=device))
    try:
        optimizer = _class_of(name)([weights], lr=0.1)
        weights.square().sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        state = optimizer.state[weights]["state1"]
    except Exception as error:  # noqa: BLE001  a wrong CUDA library shows itself in many ways
        return f"{type(error).__name__}: {str(error)[:200]}"
    if name.endswith("8bit") and state.dtype != torch.uint8:
        return f"its states are {state.dtype}"
    return "" if bool((weights < 1).all()) else "a step of it changes no weight"
