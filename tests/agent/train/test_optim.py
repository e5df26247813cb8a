"""Every optimizer and schedule that can be named trains, goes on where it was, and does what sd-scripts' does."""

import builtins
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import optimization as diffusers
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import optimization as transformers

from loratui_agent.train.checkpoint import flatten_optimizer, restore_optimizer
from loratui_agent.train.optim import Part, new_lr_scheduler, new_optimizer
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import ConfigError
from loratui_protocol.lr_schedule import lr_factor
from loratui_protocol.optimizers import FROM_BITSANDBYTES, LR_SCHEDULERS, OPTIMIZERS

# On a CPU the paged optimizers say that they are as the others.
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:Paged optimizers are not supported on CPU")]
NUM_STEPS = 12


def config(**changes: Any) -> TrainingConfig:
    settings = {"pretrained_model_name_or_path": "x", "train_data_dir": "y", "learning_rate": 0.1, **changes}
    return TrainingConfig(**settings)


class Training:
    """Two parts that learn to be zero; large enough for states of 8 bits."""

    def __init__(self, wanted: TrainingConfig) -> None:
        generator = torch.Generator().manual_seed(1)
        self.parts = [nn.Parameter(torch.randn(96, 64, generator=generator)) for _ in range(2)]
        self.told: list[str] = []
        parts = [
            Part("unet", self.parts[:1], wanted.effective_unet_lr),
            Part("text_encoder", self.parts[1:], wanted.effective_text_encoder_lrs[0]),
        ]
        self.optimizer = new_optimizer(wanted, parts, self.told.append)
        self.schedule = new_lr_scheduler(wanted, self.optimizer, NUM_STEPS)
        self.num_steps = 0

    def step(self) -> None:
        self.num_steps += 1
        torch.manual_seed(self.num_steps)
        loss = torch.stack([(part * torch.rand_like(part)).square().mean() for part in self.parts]).sum()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()

    def go_on_from(self, other: "Training") -> None:
        """Take what a checkpoint of the other holds."""
        with torch.no_grad():
            for mine, theirs in zip(self.parts, other.parts, strict=True):
                mine.copy_(theirs)
        saved = {key: value.clone() for key, value in flatten_optimizer(other.optimizer).items()}
        restore_optimizer(self.optimizer, saved)
        self.schedule.load_state_dict(other.schedule.state_dict())
        for group, lr in zip(self.optimizer.param_groups, self.schedule.get_last_lr(), strict=True):
            group["lr"] = lr
        self.num_steps = other.num_steps

    def size(self) -> float:
        return float(sum(part.detach().square().sum() for part in self.parts))


def rates(**changes: Any) -> list[float]:
    training, seen = Training(config(**changes)), []
    for _ in range(NUM_STEPS):
        seen.append(float(training.schedule.get_last_lr()[0]))
        training.step()
    return seen


def settings_of(name: str) -> dict[str, Any]:
    return {"optimizer_type": name, "learning_rate": {"Prodigy": 1.0, "AdaFactor": 0.05}.get(name, 0.01)}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_learns(name: str):
    training = Training(config(**settings_of(name)))
    before = training.size()
    for _ in range(NUM_STEPS):
        training.step()
    assert training.told == []
    assert training.size() < before
    if name in FROM_BITSANDBYTES and name.endswith("8bit"):
        assert {state["state1"].dtype for state in training.optimizer.state.values()} == {torch.uint8}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("lr_scheduler", ["constant", "cosine"])
def test_interrupted_it_ends_as_if_it_had_not_been_bit_for_bit(name: str, lr_scheduler: str):
    wanted = config(**settings_of(name), lr_scheduler=lr_scheduler)
    whole, first, second = (Training(wanted) for _ in range(3))
    for training, num_steps in ((whole, NUM_STEPS), (first, 5)):
        for _ in range(num_steps):
            training.step()
    second.go_on_from(first)
    while second.num_steps < NUM_STEPS:
        second.step()
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(second.parts, whole.parts, strict=True))


def learned(**changes: Any) -> Tensor:
    training = Training(config(**changes))
    for _ in range(NUM_STEPS):
        training.step()
    return training.parts[0].detach()


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        (name, argument)
        for name, arguments in OPTIMIZERS.items()
        for argument in arguments
        if name in ("AdamW", "Lion", "AdaFactor", "Prodigy", "SGDNesterov", "AdamW8bit")
    ],
)
def test_each_argument_changes_what_is_learned(name: str, argument: str):
    values: dict[str, Any] = {
        "betas": (0.5, 0.6),
        "amsgrad": True,
        "eps": (1e-3, 0.5) if name == "AdaFactor" else 0.5,
        "decouple": False,
        "use_bias_correction": True,
        "safeguard_warmup": True,
        "scale_parameter": False,
        "relative_step": False,
        "warmup_init": True,
        "decay_rate": -0.1,
        "clip_threshold": 0.01,
        "growth_rate": 1.01,
        "d0": 1e-3,
        "d_coef": 3.0,
    }
    # Some only show together with others.
    beside: dict[str, Any] = {"weight_decay": 0.1} if argument == "decouple" else {}
    settings = settings_of(name)
    if argument == "safeguard_warmup":
        settings |= {"lr_scheduler": "constant_with_warmup", "lr_warmup_steps": 4}
    if argument == "amsgrad":
        beside["betas"] = (0.0, 0.1)
    plain = learned(**settings, optimizer_args=beside)
    assert not torch.equal(plain, learned(**settings, optimizer_args={**beside, argument: values.get(argument, 0.3)}))


def test_what_bitsandbytes_can_not_do_here_is_said_and_done_by_adamw(monkeypatch: pytest.MonkeyPatch):
    importing: Callable[..., Any] = builtins.__import__
    monkeypatch.setattr("importlib.import_module", lambda name: importing("no_such_" + name))
    training = Training(config(optimizer_type="AdamW8bit"))
    assert isinstance(training.optimizer, torch.optim.AdamW)
    [told] = training.told
    assert told.startswith("AdamW8bit can't be used here (ModuleNotFoundError: ")
    training.step()


def test_a_value_that_the_optimizer_refuses_is_an_error_of_the_config():
    with pytest.raises(ConfigError, match="does not fit SGDNesterov"):
        Training(config(optimizer_type="SGDNesterov", optimizer_args={"momentum": 0.0}))


def test_the_schedules_fall_as_their_names_say():
    cosine = rates(lr_scheduler="cosine")
    assert cosine[6] == pytest.approx(0.05)
    least = rates(lr_scheduler="cosine_with_min_lr", lr_scheduler_min_lr_ratio=0.2)
    assert least[6] == pytest.approx(0.1 * (0.5 * 0.8 + 0.2))
    assert min(least) > 0.02
    root = rates(lr_scheduler="inverse_sqrt", lr_warmup_steps=3)
    assert root[3] == pytest.approx(0.1)
    assert root[11] == pytest.approx(0.1 * math.sqrt(3 / 11), rel=0.01)
    slow = rates(lr_scheduler="inverse_sqrt", lr_warmup_steps=3, lr_scheduler_timescale=1000)
    assert slow[11] > 0.099
    stable = rates(lr_scheduler="warmup_stable_decay", lr_warmup_steps=2, lr_decay_steps=0.25)
    assert stable[0] == 0
    assert stable[2:9] == pytest.approx([0.1] * 7)
    assert stable[9] > stable[10] > stable[11] > 0
    pieces = rates(lr_scheduler="piecewise_constant", lr_scheduler_args=("step_rules=1:4,0.5:8,0.1",))
    assert pieces == pytest.approx([0.1] * 4 + [0.05] * 4 + [0.01] * 4)
    restarts = rates(lr_scheduler="cosine_with_restarts", lr_scheduler_num_cycles=2)
    assert restarts[5] < 0.02
    assert restarts[6] == pytest.approx(0.1)


def test_adafactor_sets_its_own_rate_unless_it_is_told_not_to():
    own = rates(optimizer_type="AdaFactor", lr_scheduler="cosine", optimizer_args={"scale_parameter": False})
    assert own[1:] == pytest.approx([0.01] * (NUM_STEPS - 1))
    told = rates(optimizer_type="AdaFactor", lr_scheduler="cosine", optimizer_args={"relative_step": False})
    assert told == rates(lr_scheduler="cosine")


def reference(wanted: TrainingConfig, num_steps: int) -> LambdaLR:
    """The schedule of the libraries that sd-scripts takes its own from, over an optimizer of the same rate."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=wanted.learning_rate)
    name, cycles, least = wanted.lr_scheduler, wanted.lr_scheduler_num_cycles, wanted.lr_scheduler_min_lr_ratio
    num_warmup = int(wanted.lr_warmup_steps)
    match name:
        case "inverse_sqrt":
            timescale = wanted.lr_scheduler_timescale
            return transformers.get_inverse_sqrt_schedule(optimizer, num_warmup, timescale=timescale)
        case "cosine_with_min_lr":
            return transformers.get_cosine_with_min_lr_schedule_with_warmup(
                optimizer, num_warmup, num_steps, num_cycles=cycles / 2, min_lr_rate=least
            )
        case "warmup_stable_decay":
            return transformers.get_wsd_schedule(
                optimizer, num_warmup, 5, num_steps, min_lr_ratio=least or 0.0, num_cycles=cycles / 2
            )
        case "piecewise_constant":
            rules = wanted.lr_scheduler_args[0].removeprefix("step_rules=")
            return diffusers.get_piecewise_constant_schedule(optimizer, rules)
        case _:
            return diffusers.get_scheduler(
                name,
                optimizer,
                num_warmup_steps=num_warmup,
                num_training_steps=num_steps,
                num_cycles=cycles,
                power=wanted.lr_scheduler_power,
            )


@pytest.mark.parametrize("num_warmup", [0, 4])
@pytest.mark.parametrize("lr_scheduler", sorted(set(LR_SCHEDULERS) - {"adafactor"}))
def test_every_schedule_is_that_of_the_libraries(lr_scheduler: str, num_warmup: int):
    own: dict[str, dict[str, Any]] = {
        "cosine_with_restarts": {"lr_scheduler_num_cycles": 3},
        "polynomial": {"lr_scheduler_power": 2.5},
        "inverse_sqrt": {"lr_scheduler_timescale": 7},
        "cosine_with_min_lr": {"lr_scheduler_min_lr_ratio": 0.2, "lr_scheduler_num_cycles": 3},
        "warmup_stable_decay": {"lr_scheduler_min_lr_ratio": 0.2, "lr_decay_steps": 5},
        "piecewise_constant": {"lr_scheduler_args": ("step_rules=1:4,0.5:8,0.1",)},
    }
    if lr_scheduler in ("constant", "piecewise_constant"):
        num_warmup = 0
    wanted = config(lr_scheduler=lr_scheduler, lr_warmup_steps=num_warmup, **own.get(lr_scheduler, {}))
    theirs = reference(wanted, 20).lr_lambdas[0]
    assert [lr_factor(wanted, each, 20) for each in range(21)] == pytest.approx([theirs(each) for each in range(21)])


def test_numbers_of_steps_that_are_shares_are_of_all_steps():
    wanted = config(lr_scheduler="warmup_stable_decay", lr_warmup_steps=0.1, lr_decay_steps=0.2)
    rising = [lr_factor(wanted, each, 40) for each in range(41)]
    assert rising.index(1.0) == 4
    assert [rising[32], rising[40]] == [1.0, 0.0]
    assert rising[33] < 1.0
