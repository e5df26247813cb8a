"""What is saved by a queue, added by a picture, and done without the user."""

from dataclasses import replace
from pathlib import Path

import pytest

from loratui.domain.estimate import (
    BASE_MODEL,
    BOOT,
    ENVIRONMENT,
    NOTHING_KNOWN,
    RESULTS,
    Known,
    MeasuredPhase,
    estimate,
)
from loratui.domain.estimate_ranking import Quote
from loratui.domain.plan_money import own_time, picture_more, queue_saving, steps_a_picture
from loratui_protocol.dataset import scan_config
from loratui_protocol.plan import plan
from support.estimates import A_WORK, a_work, an_offer
from support.small_dataset import small_config, write_small_dataset


def quote(known: Known = NOTHING_KNOWN, **changes: object) -> Quote:
    offer = an_offer(**changes)
    return Quote(offer=offer, estimate=estimate(A_WORK, offer, known))


def test_a_queue_saves_the_set_up_of_all_runs_but_one_and_nothing_else() -> None:
    quoted = quote()
    saving = queue_saving(A_WORK, quoted, num_runs=3)
    parts = {part.name: part.p50 for part in quoted.estimate.parts}
    # What comes home of one run does so while the next one trains; of the last one it is waited for.
    once = [parts[name].seconds for name in (BOOT, ENVIRONMENT, BASE_MODEL, RESULTS)]
    assert saving.apart_s - saving.together_s == pytest.approx(2 * sum(once), abs=5)
    assert saving.apart_microusd == 3 * quoted.estimate.p50_microusd
    assert 0 < saving.share < 0.5
    assert queue_saving(A_WORK, quoted, num_runs=1).share == 0


def test_three_long_runs_with_a_short_set_up_save_what_they_really_do() -> None:
    # 20 minutes of set-up and 90 of work, three times: 290 minutes instead of 330, an eighth and not a half.
    known = Known(
        phases=[
            MeasuredPhase(phase=BOOT, provider="vast", seconds=600, run="a"),
            MeasuredPhase(phase=ENVIRONMENT, provider="vast", seconds=600, run="a"),
        ]
    )
    offer = an_offer(sent_microusd_per_gb=0, received_microusd_per_gb=0)
    work = a_work(base_model_bytes=0, upload_bytes=0, steps=11_800, num_sample_pictures=0)
    alone = Quote(offer=offer, estimate=estimate(work, offer, known))
    assert alone.estimate.p50_s == pytest.approx(110 * 60, rel=0.02)
    saving = queue_saving(work, alone, known, num_runs=3)
    assert saving.is_measured
    assert saving.share == pytest.approx(40 / 330, abs=0.01)


def test_what_was_not_measured_is_not_said_to_be() -> None:
    assert not queue_saving(A_WORK, quote()).is_measured


def test_a_provider_that_bills_an_hour_at_least_is_worth_a_queue() -> None:
    short = queue_saving(A_WORK, quote(billing_floor_s=4 * 3600.0))
    assert short.share > queue_saving(A_WORK, quote()).share


def test_a_picture_more_adds_its_share_of_the_steps_where_epochs_are_counted(tmp_path: Path) -> None:
    fixed = small_config(write_small_dataset(tmp_path / "pictures"))
    counted = replace(fixed, max_train_epochs=30)
    pictures = scan_config(counted).pictures
    planned = plan(counted, pictures)
    assert steps_a_picture(counted, planned) == planned.steps / 4 == 15
    assert steps_a_picture(fixed, plan(fixed, pictures)) == 0
    cheap, dear = (
        picture_more(counted, planned, A_WORK, quote(price_microusd_per_h=price)) for price in (350_000, 700_000)
    )
    assert cheap.seconds == dear.seconds > 0
    assert dear.microusd == pytest.approx(2 * cheap.microusd, abs=1)


def test_set_up_runs_without_the_user_and_is_a_part_of_all_the_time() -> None:
    own = own_time(quote().estimate)
    assert 0 < own.set_up_s[0] < own.wall_s[0]
    assert own.set_up_s[0] <= own.set_up_s[1] < own.wall_s[1]
    assert len(own.sources) == 4
