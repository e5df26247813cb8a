"""Try the finished file: a contact sheet of weights and seeds, and, for the built-in concepts, exact scores.

The file is loaded into a fresh pipeline through diffusers' public loader, as a user would: what is judged is the file,
not the model that was trained.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image

from loratui_agent.demo import scenes, score
from loratui_agent.demo.concept import Concept
from loratui_agent.train.contact_sheet import contact_sheet
from loratui_agent.train.kinds import Pipeline, kind_of_pipeline
from loratui_agent.train.sampling import generate, load_pipeline

WEIGHTS = (0.0, 0.5, 0.7, 0.8, 1.0)
SEEDS = (101, 102, 103, 104, 105)
NUM_BASE_PROMPTS = 32

MIN_SHARE_LEARNED = 0.7
MAX_STRAY_PICTURES = 1
MIN_SKILLS_KEPT = 0.8

_ADAPTER = "lora"


@dataclass(frozen=True, slots=True)
class ConceptScores:
    """Shares of pictures, 0 to 1; ``skills_*`` is the share that shows shape, colour and ground as asked."""

    concept_at_1: float
    concept_at_0: float
    concept_without_trigger: float
    skills_at_0: float
    skills_at_1: float
    num_pictures: int

    @property
    def skills_kept(self) -> float:
        """Return how much of the base model's skill is left at weight 1."""
        return self.skills_at_1 / self.skills_at_0 if self.skills_at_0 else 0.0

    @property
    def learned(self) -> bool:
        """Return whether the LoRA did what it is for, and nothing else."""
        stray = MAX_STRAY_PICTURES / self.num_pictures
        return (
            self.concept_at_1 >= MIN_SHARE_LEARNED
            and self.concept_at_0 <= stray
            and self.concept_without_trigger <= stray
            and self.skills_kept >= MIN_SKILLS_KEPT
        )

    def sentence(self, trigger: str) -> str:
        """Return the verdict for a person."""
        number = self.num_pictures

        def of(share: float) -> str:
            return f"{round(share * number)} of {number}"

        verdict = "The LoRA learned its concept" if self.learned else "The LoRA did not fully learn its concept"
        return (
            f'{verdict}: "{trigger}" shows in {of(self.concept_at_1)} new pictures at weight 1, '
            f"in {of(self.concept_at_0)} at weight 0, in {of(self.concept_without_trigger)} without the trigger word; "
            f"the base model keeps {self.skills_kept:.0%} of its skills."
        )


class Tryout:
    """A fresh pipeline with the finished file in it, whose weight can be set."""

    def __init__(
        self,
        base: Path,
        configs: Path,
        lora: Path,
        device: torch.device,
        size_px: tuple[int, int],
        clip_skip: int | None = None,
        max_token_length: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """``configs`` belongs to a ``base`` that is a single file."""
        self._pipeline: Pipeline = load_pipeline(base, dtype, configs=configs).to(device)
        if kind_of_pipeline(self._pipeline).is_large:
            self._pipeline.vae.enable_slicing()
        self._pipeline.load_lora_weights(lora, adapter_name=_ADAPTER)
        self._size_px = size_px
        self._clip_skip = clip_skip
        self._max_token_length = max_token_length

    def pictures(
        self, prompts: Sequence[str], seeds: Sequence[int], weight: float, on_picture: Callable[[int], None]
    ) -> list[Image.Image]:
        """Return a picture for each (prompt, seed) pair with the LoRA at ``weight``."""
        self._pipeline.set_adapters(_ADAPTER, adapter_weights=weight)
        return generate(
            self._pipeline,
            prompts,
            seeds,
            size_px=self._size_px,
            num_inference_steps=20,
            clip_skip=self._clip_skip,
            max_token_length=self._max_token_length,
            on_picture=on_picture,
        )


def draw_contact_sheet(tryout: Tryout, prompt: str, on_picture: Callable[[int], None]) -> Image.Image:
    """Return the grid of weights by seeds for one prompt."""
    rows: list[list[Image.Image]] = []
    for weight in WEIGHTS:
        rows.append(
            tryout.pictures([prompt] * len(SEEDS), SEEDS, weight, lambda n: on_picture(len(rows) * len(SEEDS) + n))
        )
    return contact_sheet(rows, [f"weight {w:g}" for w in WEIGHTS], [f"seed {s}" for s in SEEDS], prompt)


def num_concept_pictures() -> int:
    """Return how many pictures ``score_concept`` makes."""
    return 3 * 25 + 2 * NUM_BASE_PROMPTS


def score_concept(tryout: Tryout, concept: Concept, on_picture: Callable[[int], None]) -> ConceptScores:
    """Return exact scores on prompts and seeds that training never saw."""
    done = 0

    def make(prompts: Sequence[str], seeds: Sequence[int], weight: float) -> list[Image.Image]:
        nonlocal done
        pictures = tryout.pictures(prompts, seeds, weight, lambda n: on_picture(done + n))
        done += len(pictures)
        return pictures

    def share(prompts: Sequence[str], weight: float) -> float:
        pairs = [(prompt, seed) for prompt in prompts for seed in SEEDS]
        pictures = make([p for p, _ in pairs], [s for _, s in pairs], weight)
        return sum(score.shows_concept(picture, concept) for picture in pictures) / len(pictures)

    combinations = scenes.HELD_OUT_COMBINATIONS[:NUM_BASE_PROMPTS]
    base_prompts = [scenes.plain_caption(combination) for combination in combinations]

    def skills(weight: float) -> float:
        pictures = make(base_prompts, range(1000, 1000 + NUM_BASE_PROMPTS), weight)
        return score.base_skills(pictures, combinations).all_three

    return ConceptScores(
        concept_at_1=share(concept.test_prompts, 1.0),
        concept_at_0=share(concept.test_prompts, 0.0),
        concept_without_trigger=share(concept.prompts_without_trigger, 1.0),
        skills_at_0=skills(0.0),
        skills_at_1=skills(1.0),
        num_pictures=len(concept.test_prompts) * len(SEEDS),
    )


def scores_as_dict(scores: ConceptScores) -> dict[str, float]:
    """Return the scores by name, as the ``Evaluation`` event carries them."""
    return {**{k: float(v) for k, v in asdict(scores).items()}, "skills_kept": scores.skills_kept}
