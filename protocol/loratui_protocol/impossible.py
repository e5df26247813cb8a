"""The refusal of values that no training can have, one by one."""

from collections.abc import Sequence
from dataclasses import dataclass

from loratui_protocol.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the value of a key."""

    key: str
    what: str
    fix: str
    place: str = ""
    """The dataset or subset that sets it; empty: the config itself."""


class ImpossibleError(ConfigError):
    """Values of a config, alone or together, can't be trained with; ``faults`` says it of each."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(
            "; ".join(fault.what for fault in faults), fix="; ".join(fault.fix for fault in faults), code="config.value"
        )
        self.faults = tuple(faults)
