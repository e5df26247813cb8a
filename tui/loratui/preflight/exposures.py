"""How often a run shows a picture: far more or fewer looks than any published figure are money for a poor LoRA."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from loratui_protocol.config import TrainingConfig
from loratui_protocol.findings import Finding
from loratui_protocol.harmless import clean
from loratui_protocol.plan import Plan

_USUAL = 100
"""What guides and users train a person or a character with: 10 repeats in 10 epochs."""
_LEAST_USUAL = 30
"""The lower end for styles, whose pictures are many."""
_FAR_MORE, _FAR_FEWER = 3, 0.5
"""Times the usual ones: figures differ by two among themselves, and rates make up for some."""
_LEAST_STEPS = 500
"""The lower end for characters: in so many steps a large set is learned, however seldom each picture is shown."""
_SOURCES = (
    f"published figures are {_LEAST_USUAL} to 60 for a style (SeaArt, presets of users) and 50 to {_USUAL} for a "
    "character or a person (Civitai, article 9148; 10 repeats in 10 epochs elsewhere)"
)


def exposure_findings(looks: Mapping[Path, float], config: TrainingConfig, plan: Plan) -> Iterator[Finding]:
    """Yield what is far too often or too seldom; ``looks`` is how often the run shows a picture of each folder."""
    often = max(looks, key=looks.__getitem__)
    if looks[often] > _FAR_MORE * _USUAL:
        name = clean(often.name)
        is_of_all = plan.exposures_per_picture > _FAR_MORE * _USUAL
        times = looks[often] / _USUAL
        yield Finding(
            code="plan.many_exposures",
            severity="warning",
            what=f"the run shows each picture of {name} {looks[often]:,.0f} times; {_SOURCES}. What is shown so often "
            "is learned by heart, and most of the time is paid for nothing",
            path=str(often),
            fix=f"write {_length(config, plan, 1 / times)}, for about {_USUAL}"
            if is_of_all
            else f"divide the repeats of {name} by {times:.0f}, for about {_USUAL}",
        )
    elif plan.exposures_per_picture < _FAR_FEWER * _LEAST_USUAL and plan.steps < _LEAST_STEPS:
        yield Finding(
            code="plan.few_exposures",
            severity="warning",
            what=f"the run shows each picture {plan.exposures_per_picture:.3g} times, in {plan.steps} steps; "
            f"{_SOURCES}, in {_LEAST_STEPS} steps and more. It will hardly have learned anything",
            fix=f"write {_length(config, plan, _USUAL / plan.exposures_per_picture)}, for about {_USUAL}",
        )


def _length(config: TrainingConfig, plan: Plan, factor: float) -> str:
    """Return what makes the run so many times as long."""
    if config.max_train_epochs is None:
        return f"max_train_steps = {max(1, round(plan.steps * factor))}"
    epochs = plan.epochs * factor
    if epochs >= 1:
        return f"max_train_epochs = {round(epochs)}"
    # Not even one epoch is as short.
    repeats = "the repeats (num_repeats, or the number that the folder's name begins with)"
    return f"max_train_epochs = 1, and divide {repeats} by {1 / epochs:.0f}"
