"""The config screen: a form with its plan, with errors, and what differs."""

from functools import partial

from support.ui_effects.config import OWN, on_changed, on_config, without_config
from support.ui_states.state import LARGE, SMALL, USUAL, state

WRONG = OWN.replace("= 8", "= 0")
MISSPELT = OWN.replace("max_train_epochs", "max_train_epoch")

CONFIG = {
    "config-nothing": state(without_config, "No config is open", sizes=(USUAL,)),
    "config-form": state(on_config, "12 in 3 epochs", sizes=(SMALL, USUAL, LARGE)),
    "config-invalid": state(partial(on_config, text=WRONG), "1 error", keys=("/", *"error")),
    "config-misspelt": state(partial(on_config, text=MISSPELT), "─ findings", keys=("f",)),
    "config-findings": state(on_config, "─ findings", keys=("f",)),
    "config-changed": state(on_changed, "*network_dim"),
    "config-write": state(on_changed, "WRITE my.toml", keys=("w",)),
    "config-compare": state(on_config, "against preset", keys=("D", "enter")),
    "config-train": state(on_config, "TRAIN cat", keys=("t",)),
}
