"""What a config comes to while it is being changed: steps, memory, time and findings, without asking anyone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from loratui.domain.base_kinds import LARGEST
from loratui.domain.card_fit import CardFit, cards
from loratui.domain.estimate_speeds import gpu_key
from loratui.domain.ledger import microseconds, time_microusd
from loratui.domain.memory_need import min_vram_mib
from loratui.sessions.base_kind import kind_told_here
from loratui.settings import Settings
from loratui_protocol.config_file import Loaded
from loratui_protocol.errors import LoratuiError
from loratui_protocol.findings import Finding
from loratui_protocol.lora_size import lora_size
from loratui_protocol.plan import Plan

if TYPE_CHECKING:
    from loratui.domain.estimate import Known
    from loratui.sessions.checking import Checked


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuTime:
    """How long a GPU takes, likely and slow, and what that costs at the price last paid for it here."""

    gpu: str
    seconds: tuple[float, float]
    microusd: tuple[int, int] | None
    """None: none was rented from here yet."""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigPlan:
    """What a config comes to. ``plan`` None: it can't be trained, and the findings say why."""

    plan: Plan | None = None
    name: str = ""
    """Of the LoRA."""
    base_name: str = ""
    """Of the kind of the base model; empty: nobody knows it here, and sizes are those of the largest."""
    lora_bytes: int = 0
    min_vram_mib: int = 0
    cards: tuple[CardFit, ...] = ()
    times: tuple[GpuTime, ...] = ()
    findings: tuple[Finding, ...] = field(default=())

    @property
    def tries_out(self) -> bool:
        """Return whether files are tried out, and nothing is trained."""
        return self.plan is not None and not self.plan.steps

    @property
    def errors(self) -> list[Finding]:
        """Return what keeps it from being trained."""
        return [each for each in self.findings if each.severity == "error"]

    @property
    def num_warnings(self) -> int:
        """Return the number of warnings."""
        return sum(each.severity == "warning" for each in self.findings)


class ConfigPlanner:
    """Plans one config after the other; what earlier runs have shown is read once for each base model."""

    def __init__(self, preferences: Settings) -> None:
        self._preferences = preferences
        self._known: dict[str, Known] = {}
        self._prices: Mapping[str, int] | None = None

    def plan(self, loaded: Loaded, path: Path) -> ConfigPlan:
        """Return what it comes to; ``path`` is its file. Pictures are not decoded."""
        # Here, in a thread: with the screen that shows it, all that plans would be waited for.
        from loratui.sessions.checking import DatasetRefusedError, check_loaded

        try:
            checked = check_loaded(loaded, path, is_quick=True)
        except DatasetRefusedError as error:
            return ConfigPlan(findings=error.findings)
        except LoratuiError as error:
            refused = Finding(code=error.code, severity="error", what=error.what, fix=error.fix)
            return ConfigPlan(findings=(*loaded.findings, refused))
        config = checked.config
        known_kind = kind_told_here(config.pretrained_model_name_or_path)
        kind = known_kind or LARGEST
        return ConfigPlan(
            plan=checked.plan,
            name=config.output_name,
            base_name=known_kind.name if known_kind else "",
            lora_bytes=lora_size(kind.network, config).file_bytes(config.save_precision),
            min_vram_mib=min_vram_mib(config, kind),
            cards=tuple(cards(config, kind)),
            times=tuple(self._times(checked)),
            findings=checked.findings,
        )

    def _times(self, checked: "Checked") -> list[GpuTime]:
        from loratui.sessions.plan_here import known_for, times_told, work_told_here

        work = work_told_here(checked, self._preferences)
        if work is None:
            return []
        name = checked.config.pretrained_model_name_or_path
        if name not in self._known:
            self._known[name] = known_for(checked, self._preferences)
        if self._prices is None:
            self._prices = _prices_paid(self._preferences)
        times = []
        for told in times_told(work, self._known[name]):
            price, (likely_s, slow_s) = self._prices.get(gpu_key(told.gpu)), told.seconds
            cost = None
            if price is not None:
                cost = time_microusd(price, microseconds(likely_s)), time_microusd(price, microseconds(slow_s))
            times.append(GpuTime(gpu=told.gpu, seconds=told.seconds, microusd=cost, source=told.source))
        return times


def _prices_paid(preferences: Settings) -> dict[str, int]:
    """Return what each GPU that was rented from here cost the last time, in micro-dollars an hour."""
    from loratui.store.rentals import Rentals

    if not preferences.database.exists():
        return {}
    with Rentals(preferences.database) as ledger:
        return {gpu_key(each.offer.gpu_name): each.price_microusd_per_h for each in reversed(ledger.rentals())}
