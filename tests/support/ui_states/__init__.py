"""The states that screens are in, for pictures of them: a module for each screen or a few, and all of them together."""

from dataclasses import dataclass

from support.ui_states.config import CONFIG
from support.ui_states.data import DATA
from support.ui_states.home import HOME
from support.ui_states.library import FILES, LOG, QUEUE, SAMPLES
from support.ui_states.offers import OFFERS
from support.ui_states.run import RUN
from support.ui_states.state import LARGE, USUAL, Size

STATES = {**HOME, **DATA, **CONFIG, **OFFERS, **RUN, **QUEUE, **FILES, **SAMPLES, **LOG}


@dataclass(frozen=True)
class Hero:
    """A state whose looks are compared, too."""

    state: str
    size: Size = USUAL
    theme: str = "dark"

    @property
    def file(self) -> str:
        return f"{self.state}-{self.size[0]}x{self.size[1]}-{self.theme}.svg"


HEROES = (
    Hero("home-first-start"),
    Hero("home-billing"),
    Hero("data-clean"),
    Hero("data-findings", theme="light"),
    Hero("config-changed"),
    Hero("offers-market"),
    Hero("offers-rent", theme="contrast"),
    Hero("run-training", LARGE),
    Hero("run-link-down"),
    Hero("run-terminate-losing", theme="ansi-dark"),
    Hero("queue-full"),
    Hero("samples-grid"),
)
