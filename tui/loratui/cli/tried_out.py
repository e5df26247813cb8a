"""What is drawn to judge LoRA files by, in one sentence, before it is drawn: it is in every price."""

from collections.abc import Iterable

from loratui.cli.following import say
from loratui.sessions.checking import Checked
from loratui_protocol.findings import plural


def tried_sentence(checked: Checked) -> str:
    """Return it, empty where nothing is."""
    number, config = checked.plan.num_judged_pictures, checked.config
    if not number:
        return ""
    alone = len(config.evaluate_loras)
    files = plural(alone, "file") if alone else f"at most {plural(config.evaluate_checkpoints, 'file')}, in the end"
    weights = ", ".join(f"{weight:g}" for weight in config.evaluate_weights)
    return f"{number} pictures of {files}: weights {weights}; {config.evaluate_seeds} seeds a prompt"


def tell_tried(runs: Iterable[Checked]) -> None:
    """Say it of each run that draws any."""
    for checked in runs:
        if sentence := tried_sentence(checked):
            say(f"tried out for {checked.config.output_name}: {sentence}")
