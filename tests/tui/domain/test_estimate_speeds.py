import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.base_kinds import SD1, SDXL, TINY
from loratui.domain.estimate_speeds import (
    COMPARED_WITH,
    FIGURES,
    MeasuredSpeed,
    gpu_key,
    lacks_comparison,
    measured_speed,
    speed_of,
)

A_STEP = 1.0
FAST_RUN = MeasuredSpeed(gpu="NVIDIA GeForce RTX 4090", kind=SD1, units_per_s=12.0, units_per_step=4.0, run="my-cat")


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.gpu)
@pytest.mark.parametrize("kind", [SD1, SDXL], ids=lambda kind: kind.name)
def test_every_figure_says_where_it_is_from_and_may_be_too_fast(figure, kind):
    assert any(char.isdigit() for char in figure.source), "a thread, or numbers that can be looked up"
    assert 0 < figure.slow(kind) < figure.likely(kind)
    said = speed_of(figure.gpu, kind, A_STEP).source
    assert said.startswith(f"table: {figure.source}")
    assert ("brought to SD" in said) == (figure.is_sd1 == (kind is SDXL))


def test_a_picture_of_sdxl_takes_several_of_sd1_on_every_gpu_that_there_is_a_figure_for():
    for figure in FIGURES:
        small, large = speed_of(figure.gpu, SD1, A_STEP), speed_of(figure.gpu, SDXL, A_STEP)
        assert 4 < small.likely / large.likely < 8.4
        assert small.slow > 4 * large.slow
    assert speed_of("RTX 4090", SDXL, A_STEP).likely == 1.2


def test_a_run_with_another_kind_of_model_says_nothing():
    assert speed_of("RTX 4090", SDXL, 4.0, [FAST_RUN]) == speed_of("RTX 4090", SDXL, 4.0)
    assert speed_of("RTX 4090", TINY, 4.0, [FAST_RUN]) == speed_of("RTX 4090", TINY, 4.0)


def test_no_gpu_has_two_figures():
    assert len({gpu_key(figure.gpu) for figure in FIGURES}) == len(FIGURES)


@pytest.mark.parametrize("name", ["RTX 4090", "NVIDIA GeForce RTX 4090", "rtx_4090", "GeForce RTX4090"])
def test_a_gpu_is_known_however_it_is_written(name):
    assert speed_of(name, SD1, A_STEP) == speed_of("RTX 4090", SD1, A_STEP)


@pytest.mark.parametrize("name", ["RTX 4090 Laptop GPU", "RTX 4090D", "RTX 3090 Super"])
def test_a_gpu_that_is_called_nearly_alike_is_another(name):
    assert not speed_of(name, SD1, A_STEP).is_known


def test_what_a_run_of_ours_measured_comes_before_every_table():
    speed = speed_of("RTX 4090", SD1, 4.0, [FAST_RUN])
    assert (speed.likely, speed.is_measured) == (12.0, True)
    assert speed.source == "measured in run my-cat"
    assert speed_of("RTX 3090", SD1, 4.0, [FAST_RUN]).source.startswith("table: ")


def test_of_several_runs_the_one_with_steps_most_like_these_counts_and_an_unlike_one_says_less():
    small = MeasuredSpeed(gpu="RTX 4090", kind=SD1, units_per_s=3.0, units_per_step=0.25, run="small")
    assert speed_of("RTX 4090", SD1, 3.0, [small, FAST_RUN]).likely == 12.0
    alike, unlike = speed_of("RTX 4090", SD1, 4.0, [FAST_RUN]), speed_of("RTX 4090", SD1, 32.0, [FAST_RUN])
    assert unlike.slow < alike.slow
    assert "steps of another size" in unlike.source


def test_without_a_figure_a_gpu_is_as_much_faster_as_its_memory_is():
    memory = {gpu_key(COMPARED_WITH): 900.0, gpu_key("RTX A6000"): 450.0}
    known, scaled = speed_of(COMPARED_WITH, SD1, A_STEP), speed_of("RTX A6000", SD1, A_STEP, (), memory)
    assert scaled.likely == pytest.approx(known.likely / 2)
    assert scaled.slow < known.slow / 2
    assert scaled.source.startswith(f"scaled by the speed of its memory (450 GB/s) from {COMPARED_WITH}")
    absurd = speed_of("RTX A6000", SD1, A_STEP, (), {**memory, gpu_key("RTX A6000"): 1e9})
    assert absurd.likely <= 3 * known.likely


def test_what_nothing_is_known_of_says_so_and_is_thought_slow():
    unknown = speed_of("Mystery 9000", SD1, A_STEP)
    assert not unknown.is_known
    assert unknown.source.startswith("assumed: there is no figure for Mystery 9000")
    assert all(unknown.likely <= each.likely(SD1) and unknown.slow < each.slow(SD1) for each in FIGURES)


def test_something_to_compare_with_is_missing_only_where_it_would_serve():
    assert not lacks_comparison({})
    assert not lacks_comparison({gpu_key("RTX 4090"): 870.0})
    assert lacks_comparison({gpu_key("RTX A6000"): 650.0})
    assert not lacks_comparison({gpu_key("RTX A6000"): 650.0, gpu_key(COMPARED_WITH): 870.0})


def test_a_run_is_measured_by_its_median_step_and_not_by_a_few():
    measured = measured_speed(
        gpu="RTX 4090", kind=SD1, run="cat", it_s=[0.1, 2.0, 2.0, 2.0, float("inf"), 50.0], units_per_step=4.0
    )
    assert measured is not None
    assert measured.units_per_s == 8.0
    assert measured_speed(gpu="RTX 4090", kind=SD1, run="cat", it_s=[2.0] * 4, units_per_step=4.0) is None
    assert measured_speed(gpu="", kind=SD1, run="cat", it_s=[2.0] * 9, units_per_step=4.0) is None


@given(
    st.sampled_from([*(figure.gpu for figure in FIGURES), "RTX A6000", "?"]),
    st.sampled_from([SD1, SDXL, TINY]),
    st.floats(1e-3, 1e3),
    st.floats(0, 1e12),
    st.floats(0, 1e12),
)
def test_no_speed_is_zero_or_slower_when_it_goes_well(gpu, kind, units_per_step, ours, theirs):
    memory = {gpu_key("RTX A6000"): ours, gpu_key(COMPARED_WITH): theirs}
    speed = speed_of(gpu, kind, units_per_step, [FAST_RUN], memory)
    assert 0 < speed.slow <= speed.likely
    assert speed.source
