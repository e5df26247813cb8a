"""What a grid of test pictures takes, from what was measured or else from what is said not to be."""

import pytest

from loratui.domain.base_kinds import SD1, SDXL, TINY
from loratui.domain.estimate_speeds import MeasuredSpeed, speed_of
from loratui.domain.grid_cost import Grid, MeasuredPicture, PictureTime, grid_cost, picture_time

XL_PX = 1024 * 1024


def test_every_combination_is_drawn_once() -> None:
    assert Grid(num_checkpoints=6, num_weights=1, num_seeds=4, num_prompts=4).num_pictures == 96
    assert Grid(num_prompts=3).num_pictures == 60


def test_time_and_cost_are_those_of_the_pictures_at_the_price_of_the_gpu() -> None:
    each = PictureTime(likely_s=4.0, slow_s=6.0, source="x")
    cost = grid_cost(Grid(num_checkpoints=6, num_weights=1, num_seeds=4, num_prompts=4), each, 360_000)
    assert (cost.likely_s, cost.slow_s) == (20 + 96 * 4, 60 + 96 * 6)
    assert (cost.likely_microusd, cost.slow_microusd) == (100 * cost.likely_s, 100 * cost.slow_s)
    assert grid_cost(Grid(num_prompts=1), each).slow_microusd == 0


def test_a_figure_that_nobody_has_confirmed_says_so_and_goes_with_the_speed_of_the_gpu() -> None:
    here, slower = picture_time("RTX 4090", SDXL, XL_PX), picture_time("RTX 3090", SDXL, XL_PX)
    assert (here.likely_s, here.slow_s, here.is_measured) == (4.0, 6.0, False)
    assert here.source.startswith("unconfirmed: ")
    ratio = speed_of("RTX 4090", SDXL, 1.0).likely / speed_of("RTX 3090", SDXL, 1.0).likely
    assert slower.likely_s == pytest.approx(4.0 * ratio)
    assert "scaled to RTX 3090" in slower.source


def test_a_gpu_whose_speed_is_a_guess_may_turn_out_much_slower_and_a_measured_one_hardly() -> None:
    guess, table = (picture_time(gpu, SDXL, XL_PX) for gpu in ("Mystery 9000", "RTX 3090"))
    assert guess.slow_s / guess.likely_s > table.slow_s / table.likely_s
    speed = MeasuredSpeed(gpu="RTX 3090", kind=SDXL, units_per_s=0.8, units_per_step=1.0, run="cat")
    measured = picture_time("RTX 3090", SDXL, XL_PX, speeds=[speed])
    assert measured.slow_s / measured.likely_s == pytest.approx(table.slow_s / table.likely_s)


def test_of_a_model_without_a_figure_a_picture_takes_as_many_pictures_of_training_as_it_has_steps() -> None:
    each, speed = picture_time("RTX 4090", TINY, TINY.unit_px), speed_of("RTX 4090", TINY, 1.0)
    assert (each.likely_s, each.slow_s) == (25 / speed.likely, 25 / speed.slow)
    assert each.source.startswith("reckoned from the training")


def test_what_was_measured_on_that_gpu_takes_its_place_and_every_run_narrows_it() -> None:
    seen = [MeasuredPicture(gpu="NVIDIA GeForce RTX 4090", kind=SDXL, seconds=7.0, run=f"cat-{n}") for n in range(4)]
    ranges = []
    for num in (1, 4):
        each = picture_time("RTX 4090", SDXL, XL_PX, seen[:num])
        assert (each.likely_s, each.is_measured) == (7.0, True)
        ranges.append(each.slow_s - each.likely_s)
    assert 0 < ranges[1] < ranges[0]
    for gpu, kind in (("RTX 3090", SDXL), ("RTX 4090", SD1)):
        other = picture_time(gpu, kind, XL_PX, seen)
        assert not other.is_measured


def test_a_picture_of_other_pixels_takes_as_much_longer() -> None:
    small, large = (picture_time("RTX 4090", SD1, pixels) for pixels in (512 * 512, 512 * 1024))
    assert large.likely_s == pytest.approx(2 * small.likely_s)
