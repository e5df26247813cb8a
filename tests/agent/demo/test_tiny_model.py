"""The embedded base model is small, loads offline, and gives what prompts ask for that it was never trained on."""

import os
import subprocess
import sys

import pytest

from loratui_agent.demo import scenes, score
from loratui_agent.model_path import resolve_model
from loratui_agent.train.sampling import generate, load_pipeline

pytestmark = pytest.mark.torch


def test_it_is_under_12_mb_and_says_how_it_was_made():
    folder = resolve_model("builtin:tiny")
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 12_000_000
    assert "make_tiny_model.py" in (folder / "README.md").read_text("utf-8")


def test_it_loads_with_diffusers_alone_and_without_a_network():
    code = (
        "from diffusers import StableDiffusionPipeline as P; import sys;"
        "p = P.from_pretrained(sys.argv[1]).scheduler.config; print(p.prediction_type, p.beta_schedule)"
    )
    folder = str(resolve_model("builtin:tiny"))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    assert result.stdout.split() == ["epsilon", "scaled_linear"]


@pytest.mark.timeout(240)
@pytest.mark.long
def test_held_out_prompts_give_shape_colour_and_ground_as_asked():
    prompts = [scenes.plain_caption(combination) for combination in scenes.HELD_OUT_COMBINATIONS]
    side = (scenes.SIDE_PX, scenes.SIDE_PX)
    pictures = generate(load_pipeline(resolve_model("builtin:tiny")), prompts, range(1000, 1064), size_px=side)
    skills = score.base_skills(pictures, scenes.HELD_OUT_COMBINATIONS)
    assert skills.num_pictures == 64
    assert skills.all_three >= 0.85, skills
