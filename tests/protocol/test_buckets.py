import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from loratui_protocol.buckets import Bucket, choose, cover, ladder, own_bucket, place
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import ConfigError
from support.protocol_strategies import plain_config, sizes

resolutions = st.tuples(st.integers(64, 1536), st.integers(64, 1536))
steps = st.sampled_from([8, 16, 32, 64])
bucket_configs = st.builds(
    lambda resolution, step, shortest, longest, no_upscale: plain_config(
        resolution=resolution,
        bucket_reso_steps=step,
        min_bucket_reso=shortest,
        max_bucket_reso=longest,
        bucket_no_upscale=no_upscale,
    ),
    resolutions,
    steps,
    st.integers(8, 512),
    st.integers(64, 2048),
    st.booleans(),
)


@given(sizes, bucket_configs)
def test_every_picture_lands_in_a_legal_bucket_that_it_covers(size: tuple[int, int], config: TrainingConfig) -> None:
    (placement,) = place([size], config)
    bucket, resized, crop = placement.bucket, placement.resized, placement.crop
    step = config.bucket_reso_steps
    assert bucket.width % step == bucket.height % step == 0
    assert step <= min(bucket)
    assert bucket.width * bucket.height <= config.resolution[0] * config.resolution[1]
    assert resized[0] >= bucket.width
    assert resized[1] >= bucket.height
    # It is no larger than it must be, and the crop lies inside, in the centre.
    assert resized[0] == bucket.width or resized[1] == bucket.height
    assert (crop[2] - crop[0], crop[3] - crop[1]) == bucket
    assert 0 <= crop[0] <= crop[2] <= resized[0]
    assert 0 <= crop[1] <= crop[3] <= resized[1]
    assert abs(crop[0] + crop[2] - resized[0]) <= 1
    assert abs(crop[1] + crop[3] - resized[1]) <= 1
    # One scale for both sides: nothing is stretched beyond the rounding to whole pixels.
    for side, side_resized in zip(size, resized, strict=True):
        assert abs(side_resized - side * placement.scale) <= 0.5 + 1e-6
    assert -1e-9 <= placement.cropped_share < 1


@given(sizes, resolutions, steps)
def test_a_picture_that_must_not_grow_does_not(size: tuple[int, int], resolution: tuple[int, int], step: int) -> None:
    assume(min(size) >= step)
    config = plain_config(resolution=resolution, bucket_reso_steps=step, bucket_no_upscale=True)
    (placement,) = place([size], config)
    area = resolution[0] * resolution[1]
    # Rounding up happens only where shrinking to the area leaves a side under one step.
    if min(size) * min(1.0, math.sqrt(area / (size[0] * size[1]))) >= step:
        assert placement.scale <= 1 + 1e-9


@given(resolutions, steps, st.integers(8, 512), st.integers(64, 2048))
def test_the_ladder_holds_the_tallest_bucket_of_each_width_within_the_area(
    resolution: tuple[int, int], step: int, shortest: int, longest: int
) -> None:
    area = resolution[0] * resolution[1]
    buckets = ladder(resolution, shortest=shortest, longest=longest, step=step)
    assert set(buckets) == {Bucket(height, width) for width, height in buckets}
    for bucket in buckets:
        assert bucket.width * bucket.height <= area
        assert max(bucket) <= max(longest, step)
        tallest = [longest // step * step, area // bucket.width // step * step, area // bucket.height // step * step]
        assert (
            bucket.height == min(tallest[:2])
            or bucket.width == min(tallest[0], tallest[2])
            or bucket.width == bucket.height
        )


def test_the_ladder_of_stable_diffusion_1_is_kohyas() -> None:
    buckets = ladder((512, 512), shortest=256, longest=1024, step=64)
    assert len(buckets) == 17
    assert {(512, 512), (448, 576), (384, 640), (320, 768), (256, 1024)} <= set(buckets)


def sd_scripts_buckets(
    resolution: tuple[int, int], shortest: int, longest: int, step: int
) -> list[tuple[tuple[int, int], float]]:
    """Return sd-scripts' buckets with their proportions, in the order in which it looks for one."""
    area = resolution[0] * resolution[1]
    square = int(math.sqrt(area) // step) * step
    sizes = {(square, square)}
    for width in range(shortest, longest + 1, step):
        height = min(longest, int((area // width) // step) * step)
        if height >= shortest:
            sizes |= {(width, height), (height, width)}
    return [(size, size[0] / size[1]) for size in sorted(sizes)]


@pytest.mark.parametrize(
    ("side", "shortest", "longest", "step"),
    [
        (512, 256, 1024, 64),  # its defaults
        (768, 256, 1024, 64),
        (1024, 256, 2048, 64),  # and for SDXL with a longest side that does not cripple it
        (1024, 512, 2048, 32),
        (1536, 256, 2048, 64),
    ],
)
def test_the_buckets_of_a_config_are_sd_scripts(side: int, shortest: int, longest: int, step: int) -> None:
    expected = sd_scripts_buckets((side, side), shortest, longest, step)
    assert ladder((side, side), shortest=shortest, longest=longest, step=step) == tuple(size for size, _ in expected)
    config = plain_config(
        resolution=(side, side), min_bucket_reso=shortest, max_bucket_reso=longest, bucket_reso_steps=step
    )
    for bucket, _ in expected:
        assert place([bucket], config)[0].bucket == bucket


@given(resolutions, steps, st.integers(1, 8), st.integers(8, 32))
def test_the_ladder_is_sd_scripts_wherever_its_limits_leave_the_square_room(
    resolution: tuple[int, int], step: int, shortest: int, longest: int
) -> None:
    square = math.isqrt(resolution[0] * resolution[1]) // step * step
    assume(shortest * step <= square <= longest * step)
    expected = sd_scripts_buckets(resolution, shortest * step, longest * step, step)
    assert ladder(resolution, shortest=shortest * step, longest=longest * step, step=step) == tuple(
        size for size, _ in expected
    )


@given(sizes)
def test_a_picture_gets_sd_scripts_bucket_or_one_that_crops_it_less(size: tuple[int, int]) -> None:
    width, height = size
    buckets = sd_scripts_buckets((512, 512), 256, 1024, 64)
    theirs = min(buckets, key=lambda one: abs(one[1] - width / height))[0]
    ours = choose(width, height, tuple(Bucket(*size) for size, _ in buckets))
    if ours != theirs:
        assert ours.width / ours.height != theirs[0] / theirs[1]
        # Where the two differ theirs is the nearest by difference, which says little of tall pictures.
        assert abs(math.log(ours.width / ours.height * height / width)) <= abs(
            math.log(theirs[0] / theirs[1] * height / width)
        )


def test_sdxl_reaches_its_tall_buckets_because_the_longest_side_is_2048() -> None:
    buckets = ladder((1024, 1024), shortest=256, longest=2048, step=64)
    assert {(832, 1216), (1216, 832), (640, 1600)} <= set(buckets)


@pytest.mark.parametrize("step", [8, 16, 32, 64])
def test_a_64_pixel_training_works_with_any_step(step: int) -> None:
    config = plain_config(resolution=(64, 64), min_bucket_reso=256, bucket_reso_steps=step)
    assert [placement.bucket for placement in place([(64, 64), (640, 480)], config)] == [(64, 64), (64, 64)]


def test_a_picture_of_a_buckets_proportions_gets_that_bucket() -> None:
    buckets = ladder((512, 512), shortest=256, longest=1024, step=64)
    for bucket in buckets:
        chosen = choose(bucket.width * 3, bucket.height * 3, buckets)
        assert chosen.width / chosen.height == bucket.width / bucket.height


def test_of_buckets_with_equal_proportions_the_larger_is_chosen() -> None:
    assert choose(100, 100, (Bucket(256, 256), Bucket(512, 512), Bucket(320, 320))) == (512, 512)


def test_a_shortest_side_above_the_resolution_is_lowered_to_it() -> None:
    assert ladder((64, 72), shortest=256, longest=1024, step=8) == ((64, 64), (64, 72), (72, 64))


@given(sizes)
def test_wide_and_tall_pictures_are_treated_alike(size: tuple[int, int]) -> None:
    buckets = ladder((512, 512), shortest=256, longest=1024, step=64)
    width, height = size
    wide, tall = choose(width, height, buckets), choose(height, width, buckets)
    off = [abs(math.log(b.width / b.height * h / w)) for b, w, h in ((wide, width, height), (tall, height, width))]
    assert off[0] == pytest.approx(off[1], abs=1e-6)


def test_a_picture_is_scaled_until_it_covers_and_then_cropped() -> None:
    placement = cover(1000, 500, Bucket(512, 512))
    assert placement.resized == (1024, 512)
    assert placement.crop == (256, 0, 768, 512)
    assert placement.cropped_share == 0.5


def test_a_large_picture_without_upscaling_is_shrunk_to_the_area() -> None:
    assert own_bucket(2000, 2000, resolution=(512, 512), step=64) == (512, 512)
    assert own_bucket(300, 200, resolution=(512, 512), step=64) == (256, 192)
    assert own_bucket(561, 561, resolution=(512, 512), step=64) == (512, 512)  # 561 * (512 / 561) < 512
    assert own_bucket(10, 3000, resolution=(512, 512), step=64) == (64, 2944)


def test_without_buckets_every_picture_has_the_resolution() -> None:
    config = plain_config(resolution=(96, 64), enable_bucket=False)
    assert {placement.bucket for placement in place([(10, 50), (500, 300)], config)} == {(96, 64)}


@pytest.mark.parametrize(
    "changes",
    [
        {"resolution": (48, 48), "bucket_reso_steps": 64},
        {"resolution": (48, 48), "bucket_reso_steps": 64, "bucket_no_upscale": True},
        {"max_bucket_reso": 32, "bucket_reso_steps": 64},
        {"bucket_reso_steps": 12},
        {"resolution": (100, 100), "enable_bucket": False},
    ],
    ids=str,
)
def test_sizes_that_can_not_be_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ConfigError) as caught:
        place([(500, 500)], plain_config(**changes))
    assert caught.value.code == "config.value"
    assert caught.value.fix
