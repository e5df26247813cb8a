import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.base_kinds import SD1, SDXL, TINY, BaseKind
from loratui.domain.estimate import (
    BASE_MODEL,
    BOOT,
    ENVIRONMENT,
    FEATURES,
    FLOOR,
    RESULTS,
    SAMPLES,
    STATES,
    TRAINING,
    UPLOAD,
    Estimate,
    EstimatePart,
    Known,
    MeasuredModel,
    MeasuredPhase,
    estimate,
)
from loratui.domain.estimate_speeds import FIGURES, MeasuredSpeed
from loratui.domain.estimate_work import Work, joined
from loratui.domain.grid_cost import LOAD_S, SLOW_LOAD_S, Grid, grid_cost, picture_time
from loratui.domain.offers import Offer
from loratui_protocol.inputs import EnvironmentKind
from support.estimates import A_WORK, a_feature_model, a_work, an_offer

PHASES = [BOOT, ENVIRONMENT, BASE_MODEL, UPLOAD, TRAINING, SAMPLES, RESULTS]

works = st.builds(
    a_work,
    kind=st.sampled_from([SD1, SDXL, TINY]),
    steps=st.integers(1, 50_000),
    units_per_step=st.floats(0.01, 200),
    num_pictures=st.integers(1, 5000),
    pixels=st.integers(32 * 32, 2048 * 2048),
    num_sample_pictures=st.integers(0, 500),
    num_files=st.integers(1, 100),
    file_bytes=st.integers(0, 10**9),
    state_bytes=st.integers(0, 10**10),
    num_states=st.none() | st.integers(0, 1000),
    upload_bytes=st.integers(0, 10**11),
    base_model_bytes=st.none() | st.integers(0, 10**10),
    environment=st.sampled_from(EnvironmentKind),
)
prices = st.integers(0, 20_000_000)
lines = st.none() | st.floats(0, 100_000)
offers = st.builds(
    an_offer,
    gpu_name=st.sampled_from([*(figure.gpu for figure in FIGURES), "Mystery 9000"]),
    price_microusd_per_h=prices,
    sent_microusd_per_gb=st.integers(0, 100_000),
    received_microusd_per_gb=st.integers(0, 100_000),
    download_mbit_s=lines,
    upload_mbit_s=lines,
    billing_floor_s=st.sampled_from([0.0, 60.0, 3600.0, 86_400.0]),
)
knowns = st.builds(
    Known,
    speeds=st.lists(
        st.builds(
            MeasuredSpeed,
            gpu=st.just("RTX 4090"),
            kind=st.sampled_from([SD1, SDXL]),
            units_per_s=st.floats(0.01, 500),
            units_per_step=st.floats(0.01, 200),
            run=st.just("earlier"),
        ),
        max_size=2,
    ),
    phases=st.lists(
        st.builds(
            MeasuredPhase,
            phase=st.sampled_from([BOOT, ENVIRONMENT]),
            provider=st.just("vast"),
            seconds=st.floats(0, 1e4),
            run=st.just("earlier"),
        ),
        max_size=2,
    ),
    models=st.lists(
        st.builds(MeasuredModel, provider=st.just("vast"), bytes_per_s=st.floats(1, 1e9), run=st.just("earlier")),
        max_size=2,
    ),
    uplink_bytes_per_s=st.none() | st.floats(1e3, 1e9),
    downlink_bytes_per_s=st.none() | st.floats(1e3, 1e9),
)


def part(estimated: Estimate, name: str) -> EstimatePart:
    [found] = [each for each in estimated.parts if each.name == name]
    return found


@given(works, offers, knowns)
def test_the_totals_are_the_sums_of_the_parts_in_whole_numbers(work: Work, offer: Offer, known: Known):
    estimated = estimate(work, offer, known)
    takes = [take for each in estimated.parts for take in (each.p50, each.p90)]
    for number in (number for take in takes for number in (take.seconds, take.time_microusd, take.traffic_microusd)):
        assert type(number) is int
        assert number >= 0
    assert estimated.p50_s == sum(each.p50.seconds for each in estimated.parts)
    assert estimated.p90_microusd == sum(each.p90.time_microusd + each.p90.traffic_microusd for each in estimated.parts)
    assert [each.name for each in estimated.parts if each.name not in (STATES, FLOOR)] == PHASES
    assert all(each.source for each in estimated.parts)


@given(works, offers, knowns)
def test_what_goes_badly_is_never_less_than_what_is_likely(work: Work, offer: Offer, known: Known):
    estimated = estimate(work, offer, known)
    assert estimated.p90_s >= estimated.p50_s
    assert estimated.p90_microusd >= estimated.p50_microusd
    for each in estimated.parts:
        assert each.p90.seconds >= each.p50.seconds
        # What is left of the floor shrinks as the run grows.
        assert each.name == FLOOR or each.p90.microusd >= each.p50.microusd


@given(works, offers, knowns, st.integers(1, 10_000), st.integers(0, 50), st.integers(0, 10**9))
def test_more_to_do_is_never_cheaper(work: Work, offer: Offer, known: Known, steps: int, samples: int, num_bytes: int):
    [load] = work.loads
    more = a_work(
        work,
        steps=load.steps + steps,
        num_sample_pictures=load.num_sample_pictures + samples,
        upload_bytes=work.upload_bytes + num_bytes,
    )
    less, most = estimate(work, offer, known), estimate(more, offer, known)
    assert most.p50_microusd >= less.p50_microusd
    assert most.p90_microusd >= less.p90_microusd
    assert most.p50_s >= less.p50_s


@given(works, offers, knowns, prices)
def test_a_higher_price_is_never_cheaper_and_takes_no_less_time(work: Work, offer: Offer, known: Known, more: int):
    dearer = replace(offer, price_microusd_per_h=offer.price_microusd_per_h + more)
    low, high = estimate(work, offer, known), estimate(work, dearer, known)
    assert high.p50_microusd >= low.p50_microusd
    assert high.p90_microusd >= low.p90_microusd
    assert (high.p50_s, high.p90_s) == (low.p50_s, low.p90_s)


@given(works, offers, st.floats(0.001, 1e5))
def test_a_faster_host_never_takes_longer(work: Work, offer: Offer, mbit_s: float):
    slow, fast = (
        estimate(work, replace(offer, download_mbit_s=rate, upload_mbit_s=rate)) for rate in (mbit_s, 2 * mbit_s)
    )
    assert fast.p90_s <= slow.p90_s


@given(works, offers)
def test_time_costs_what_the_price_says_to_the_last_micro_dollar_a_phase(work: Work, offer: Offer):
    offer = replace(offer, billing_floor_s=0.0)
    estimated = estimate(work, offer)
    exact = Fraction(offer.price_microusd_per_h * estimated.p90_s, 3600)
    assert exact <= sum(each.p90.time_microusd for each in estimated.parts) < exact + len(PHASES)


def test_an_hour_costs_what_an_hour_costs():
    work = a_work(num_sample_pictures=0, upload_bytes=10 * 125_000 * 3600)
    upload = part(estimate(work, an_offer(received_microusd_per_gb=0)), UPLOAD)
    assert (upload.p50.seconds, upload.p50.microusd) == (3600, 352_800)


def test_traffic_is_paid_by_the_gigabyte_in_both_directions():
    estimated = estimate(A_WORK, an_offer(price_microusd_per_h=0))
    assert part(estimated, BOOT).p50.microusd == 4 * 1954
    assert part(estimated, RESULTS).p50.microusd == -(-A_WORK.result_bytes * 3907 // 10**9)
    assert estimated.p90_traffic_microusd == estimated.p90_microusd


def test_a_short_run_pays_for_all_that_is_billed_at_least():
    short = a_work(steps=1, num_sample_pictures=0)
    estimated = estimate(short, an_offer(billing_floor_s=7200, received_microusd_per_gb=0, sent_microusd_per_gb=0))
    assert estimated.p50_microusd == estimated.p90_microusd == 2 * 352_800
    assert part(estimated, FLOOR).source == "vast: 7200 s are billed at least"
    assert FLOOR not in [each.name for each in estimate(short, an_offer()).parts]


def test_what_earlier_runs_measured_takes_the_place_of_tables():
    known = Known(
        speeds=[MeasuredSpeed(gpu="RTX 4090", kind=SD1, units_per_s=20.0, units_per_step=4.0, run="my-cat")],
        phases=[
            MeasuredPhase(phase=BOOT, provider="vast", seconds=80, run="loratui-1"),
            MeasuredPhase(phase=ENVIRONMENT, provider="runpod", seconds=1, run="elsewhere"),
        ],
        uplink_bytes_per_s=3_000_000,
    )
    estimated = estimate(A_WORK, an_offer(), known)
    assert part(estimated, BOOT).p50.seconds == 80
    assert part(estimated, BOOT).source == "measured in run loratui-1, on another machine perhaps"
    assert part(estimated, TRAINING).source == "measured in run my-cat"
    assert 300 <= part(estimated, TRAINING).p50.seconds < 330
    assert (part(estimated, UPLOAD).p50.seconds, part(estimated, UPLOAD).source) == (10, "measured: this line's uplink")
    assert part(estimated, ENVIRONMENT).source.startswith("table: ")


def test_files_come_home_as_fast_as_they_were_seen_to_and_no_faster_than_the_host_sends():
    assumed = part(estimate(A_WORK, an_offer()), RESULTS)
    assert assumed.source == "assumed: a downlink of 20 Mbit/s"
    measured = part(estimate(A_WORK, an_offer(), Known(downlink_bytes_per_s=40_000_000)), RESULTS)
    assert measured.source == "measured: this line's downlink"
    assert measured.p50.seconds < assumed.p50.seconds
    held_up = part(estimate(A_WORK, an_offer(upload_mbit_s=8.0), Known(downlink_bytes_per_s=40_000_000)), RESULTS)
    assert held_up.p50.seconds > assumed.p50.seconds


def test_a_base_model_comes_no_faster_than_its_hub_was_seen_to_give_it():
    known = Known(
        models=[
            MeasuredModel(provider="runpod", bytes_per_s=1e6, run="elsewhere"),
            MeasuredModel(provider="vast", bytes_per_s=20e6, run="my-cat"),
            MeasuredModel(provider="vast", bytes_per_s=1e6, run="older"),
        ]
    )
    found = part(estimate(A_WORK, an_offer(), known), BASE_MODEL)
    assert (found.p50.seconds, found.p90.seconds) == (214, 427)
    assert found.source == "its size; measured in run my-cat, on another machine perhaps"
    slow = part(estimate(A_WORK, an_offer(download_mbit_s=80.0), known), BASE_MODEL)
    assert (slow.p50.seconds, slow.source) == (427, "its size; vast's figure for the host's line")


def test_a_slow_host_is_no_faster_for_a_fast_uplink():
    known = Known(uplink_bytes_per_s=1e9)
    upload = part(estimate(A_WORK, an_offer(download_mbit_s=8.0), known), UPLOAD)
    assert upload.p50.seconds == 30


@pytest.mark.parametrize("name", [BOOT, BASE_MODEL])
def test_a_size_that_nobody_knows_is_a_range_and_said_to_be_assumed(name):
    found = part(estimate(replace(A_WORK, base_model_bytes=None), an_offer()), name)
    assert "assumed: " in found.source
    assert found.p90.traffic_microusd > found.p50.traffic_microusd


def test_a_base_model_that_is_sent_is_not_downloaded():
    found = part(estimate(replace(A_WORK, base_model_bytes=0), an_offer()), BASE_MODEL)
    assert (found.p90.seconds, found.p90.microusd, found.source) == (0, 0, "it is not downloaded")


def test_models_to_judge_with_come_over_the_same_line_as_the_base_model():
    size = A_WORK.base_model_bytes // 10
    judged = estimate(replace(A_WORK, features=(a_feature_model("org/dino", size),)), an_offer())
    found, base = part(judged, FEATURES), part(judged, BASE_MODEL)
    assert (found.source, found.p50.seconds) == (base.source, -(-base.p50.seconds // 10))
    assert FEATURES not in [each.name for each in estimate(A_WORK, an_offer()).parts]


def test_models_to_judge_with_that_nobody_could_weigh_are_a_range_and_said_to_be_assumed():
    features = (a_feature_model("org/dino", None), a_feature_model("org/clip", 100_000_000))
    found = part(estimate(replace(A_WORK, features=features), an_offer()), FEATURES)
    assert found.source.startswith("assumed: 700 MB to 1.8 GB, as such models have")
    assert found.p90.traffic_microusd > found.p50.traffic_microusd


def test_runs_of_two_kinds_on_one_machine_take_each_what_its_kind_takes():
    small = a_work(num_sample_pictures=0)
    large = a_work(kind=SDXL, pixels=1024 * 1024, num_sample_pictures=0)
    both, *alone = (part(estimate(work, an_offer()), TRAINING) for work in (joined([small, large]), small, large))
    for took in (lambda each: each.p50.seconds, lambda each: each.p90.seconds):
        assert took(alone[1]) > 3 * took(alone[0])
        # Each loads its own model; what is rounded up is so once.
        assert sum(map(took, alone)) - 2 < took(both) <= sum(map(took, alone))
    assert both.source == f"{alone[0].source}; then {alone[1].source}"
    measured = Known(
        speeds=[MeasuredSpeed(gpu="RTX 4090", kind=SDXL, units_per_s=9.0, units_per_step=4.0, run="my-xl")]
    )
    assert part(estimate(small, an_offer(), measured), TRAINING) == alone[0]
    assert "measured in run my-xl" in part(estimate(joined([small, large]), an_offer(), measured), TRAINING).source


@pytest.mark.parametrize(("kind", "said"), [(SD1, "4.3 GB to 7.7 GB"), (SDXL, "6.9 GB to 14 GB")])
def test_a_base_model_that_nobody_could_weigh_is_as_large_as_those_of_its_kind(kind: BaseKind, said: str):
    found = part(estimate(a_work(kind=kind, base_model_bytes=None), an_offer()), BASE_MODEL)
    assert said in found.source
    assert found.p90.seconds > 2 * found.p50.seconds


def test_a_gpu_that_nobody_has_measured_is_known_to_be_unknown():
    estimated = estimate(A_WORK, an_offer(gpu_name="Mystery 9000"))
    assert not estimated.is_speed_known
    assert "no figure for Mystery 9000" in part(estimated, TRAINING).source
    assert estimated.p90_s > 2 * estimated.p50_s


def test_saved_states_are_in_the_cost_and_in_what_is_kept_back_for_traffic():
    """At rank 128 a state has 920 MB: at $0.02 a gigabyte one costs what a twentieth of 63 minutes at $0.35 does."""
    offer = an_offer(price_microusd_per_h=350_000, sent_microusd_per_gb=20_000, received_microusd_per_gb=0)
    work = a_work(steps=40_000, state_bytes=921_600_000)
    without, estimated = estimate(replace(work, state_bytes=0), offer), estimate(work, offer)
    states = part(estimated, STATES)
    for take, whole_s, ahead_h in ((states.p50, without.p50_s, 2), (states.p90, without.p90_s, 4)):
        assert (take.seconds, take.time_microusd) == (0, 0)
        number = (whole_s + ahead_h * 3600) * 350_000 * 10**9 // (3600 * 20 * 20_000 * 921_600_000)
        assert take.traffic_microusd == number * 921_600_000 * 20_000 // 10**9
        assert number > 2
    assert estimated.p90_microusd == without.p90_microusd + states.p90.microusd
    assert estimated.p90_traffic_microusd == without.p90_traffic_microusd + states.p90.microusd
    few = part(estimate(replace(work, num_states=1), offer), STATES)
    assert (few.p50.microusd, few.p90.microusd) == (18_432, 2 * 18_432)
    assert STATES not in [each.name for each in estimate(work, replace(offer, sent_microusd_per_gb=0)).parts]


def test_a_training_reckons_its_sample_pictures_as_the_preview_of_a_test_does():
    for gpu, kind in (("RTX 4090", SDXL), ("RTX 3090", SDXL), ("RTX 5090", SD1), ("RTX 3060", TINY)):
        work = a_work(kind=kind, num_sample_pictures=40)
        samples = part(estimate(work, an_offer(gpu_name=gpu)), SAMPLES)
        grid = grid_cost(Grid(num_prompts=2), picture_time(gpu, kind, work.loads[0].pixels))
        assert grid.num_pictures == 40
        assert samples.p50.seconds == pytest.approx(grid.likely_s - LOAD_S, abs=1)
        assert samples.p90.seconds == pytest.approx(grid.slow_s - SLOW_LOAD_S, abs=1)
        assert samples.source == grid.source


def test_results_come_no_faster_than_the_user_lets_them_and_a_limit_above_the_line_changes_nothing():
    work, offer = a_work(num_files=10), an_offer(upload_mbit_s=None)
    line = 50 * 125_000
    free = part(estimate(work, offer, Known(downlink_bytes_per_s=line)), RESULTS)
    same = part(estimate(work, offer, Known(downlink_bytes_per_s=line, max_download_bytes_per_s=2 * line)), RESULTS)
    assert same == free
    mbit = part(estimate(work, offer, Known(downlink_bytes_per_s=line, max_download_bytes_per_s=125_000)), RESULTS)
    assert mbit.p50.seconds == math.ceil(10 + work.last_bytes / 125_000)
    assert mbit.p90.seconds == math.ceil(60 + work.result_bytes / 125_000)
    assert mbit.p50.time_microusd > free.p50.time_microusd
    assert mbit.source == "your setting downloads.max_mbit_s = 1"
    little = part(estimate(work, offer, Known(downlink_bytes_per_s=line, max_download_bytes_per_s=0.9 * line)), RESULTS)
    assert little.p90 == free.p90, "if it goes badly the line is slower than the limit"


def test_pictures_that_files_are_judged_by_are_drawn_and_fetched_at_the_price_that_is_told() -> None:
    offer = an_offer()
    without, judged = (estimate(a_work(num_judged_pictures=number), offer) for number in (0, 1800))
    each = picture_time(offer.gpu_name, SD1, 512 * 512)
    drawn_s = part(judged, SAMPLES).p50.seconds - part(without, SAMPLES).p50.seconds
    assert drawn_s == pytest.approx(1800 * each.likely_s, abs=2)
    assert part(judged, RESULTS).p50.seconds > part(without, RESULTS).p50.seconds
    assert judged.p50_microusd - without.p50_microusd >= offer.price_microusd_per_h * drawn_s / 3600
