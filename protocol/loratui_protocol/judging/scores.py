"""What is measured of the pictures: each score apart, with what it says, which way is better, and where it ends.

The names are stable: they are in journals, reports and ``--json``. ``docs/judging.md`` explains them at length.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A kind of score."""

    name: str
    title: str
    better: int
    """1: higher is better; -1: lower is."""
    says: str
    limit: str
    """What it does not say."""
    is_of_prompt: bool = False
    """Pictures of a prompt are compared with each other: they have one value together, and none alone."""


SCORES: dict[str, Score] = {
    each.name: each
    for each in (
        Score(
            name="likeness",
            title="likeness",
            better=1,
            says="cosine of DINO features with the training pictures, the mean of the nearest three",
            limit="knows objects better than faces, and rises with copying, too",
        ),
        Score(
            name="prompt",
            title="follows prompts",
            better=1,
            says="cosine of CLIP's features of the picture and of the prompt in ordinary words",
            limit="to be compared within one grid: what it amounts to depends on the words",
        ),
        Score(
            name="copying",
            title="copying",
            better=-1,
            says="share of pictures nearer to one training picture than training pictures are to each other",
            limit="a set of look-alike pictures hides it, and a concept with one look is near to all of them",
        ),
        Score(
            name="diversity",
            title="variety",
            better=1,
            says="1 - mean cosine of DINO features between the seeds of one prompt",
            limit="noise is varied, too: look at it beside likeness",
            is_of_prompt=True,
        ),
        Score(
            name="bleed",
            title="bleeds",
            better=-1,
            says="how much nearer to the training pictures those without the trigger come than the base model's own",
            limit="what the class word means to the base model may be near them already",
        ),
        Score(
            name="resisted",
            title="not to be kept away",
            better=-1,
            says="the same with the trigger in the negative prompt",
            limit="a negative prompt is weak in every model",
        ),
        Score(
            name="artefacts",
            title="artefacts",
            better=-1,
            says="share of pictures with burnt-out, flat or noisy areas beyond what the base model draws",
            limit="sees broken pictures, not a sixth finger",
        ),
        Score(
            name="concept",
            title="shows the concept",
            better=1,
            says="share of pictures that show the built-in concept, judged exactly",
            limit="of the demo's concepts only",
        ),
    )
}


def scores_told(means: Mapping[str, float]) -> str:
    """Return "likeness 0.71, copying 0.02", those that are known; "not measured" without any."""
    said = [f"{SCORES[name].title} {value:.2f}" for name, value in means.items() if name in SCORES]
    return ", ".join(said) or "not measured"
