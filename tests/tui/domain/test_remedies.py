"""What to try next rests on what was measured: each finding can be told from its neighbours, and has its change."""

import math
import random
from dataclasses import replace
from typing import Any

import pytest

from loratui.domain.remedies import Evidence, continuing, may_continue, remedies
from loratui_protocol.config import TrainingConfig
from loratui_protocol.messages import Scores, Validation
from support.protocol_strategies import plain_config


def row(step: int, weight: float = 1.0, *, error: float = 0.02, **means: float) -> Scores:
    return Scores(
        artifact_id=f"lora-{step}" if weight else "",
        name=f"z-{step}" if weight else "",
        step=step,
        weight=weight,
        means=means,
        errors=dict.fromkeys(means, error),
        counts=dict.fromkeys(means, 40),
    )


MEASURED = ("likeness", "prompt", "copying", "diversity", "bleed", "artefacts")
BASE = row(0, 0.0, likeness=0.30, prompt=0.30, copying=0.0)
GOOD = [row(100, likeness=0.5, prompt=0.3, copying=0.0), row(200, likeness=0.51, prompt=0.3, copying=0.0)]


def config(**changes: Any) -> TrainingConfig:
    return plain_config(**{"trigger_word": "zorbix", "max_train_steps": 200, "network_dim": 8, **changes})


def codes(*rows: Scores, of: TrainingConfig | None = None, **known: Any) -> dict[str, dict[str, str]]:
    found = remedies(Evidence(config=of or config(), scores=[BASE, *rows], total=200, **known))
    return {each.code: dict(each.changes) for each in found}


def test_of_a_good_training_nothing_is_found():
    assert codes(*GOOD, size=0.05, captions=["a zorbix"]) == {}


def test_nothing_measured_leads_to_no_finding():
    assert remedies(Evidence(config=config())) == []
    assert codes() == {}


def test_what_shows_no_more_than_without_the_lora_was_trained_for_too_short():
    assert codes(row(100, likeness=0.31), row(200, likeness=0.32), size=0.05) == {
        "undertrained": {"max_train_steps": "300"}
    }


def test_what_was_still_rising_was_trained_for_too_short():
    assert codes(row(100, likeness=0.4), row(200, likeness=0.55)) == {"undertrained": {"max_train_steps": "300"}}


def test_of_files_of_which_nobody_knows_which_is_earlier_none_is_called_past_its_best_or_still_rising():
    worse = replace(BASE, means={**BASE.means, "artefacts": 0.0})
    rising = [row(100, likeness=0.4, artefacts=0.0), row(200, likeness=0.55, artefacts=0.0)]
    falling = [*reversed(rising)]
    broken = [row(100, likeness=0.4, artefacts=0.9), row(200, likeness=0.55, artefacts=0.0)]
    for files in (rising, falling, broken, broken[::-1]):
        elsewhere = [replace(each, step=0) for each in files]
        assert remedies(Evidence(config=config(), scores=[worse, *elsewhere])) == []
    all_broken = [replace(row(100 * n, likeness=0.4, artefacts=0.9), step=0) for n in (1, 2)]
    (found,) = remedies(Evidence(config=config(), scores=[worse, *all_broken]))
    assert found.code == "rate.high"


def test_a_difference_of_which_no_error_is_known_leads_to_no_finding():
    varied = [
        replace(each, means={**each.means, "diversity": value}, errors={**each.errors, "diversity": error})
        for each, value, error in zip(GOOD, (0.6, 0.2), (math.inf, math.inf), strict=True)
    ]
    assert codes(*varied) == {}
    sure = [replace(each, errors={**each.errors, "diversity": 0.02}) for each in varied]
    assert "overtrained" in codes(*sure)


def test_a_lora_that_is_as_good_as_nothing_has_too_low_a_rate():
    found = codes(row(200, likeness=0.31), size=0.0002, of=config(learning_rate=1e-5, unet_lr=2e-5))
    assert found == {"no_effect": {"learning_rate": "3e-05", "unet_lr": "6e-05"}}


def test_without_a_learning_rate_nothing_is_learned():
    assert codes(row(200, likeness=0.3), size=0.0) == {"rate.zero": {"learning_rate": "0.0001"}}
    of_text = config(learning_rate=1e-3, unet_lr=0.0)
    assert codes(row(200, likeness=0.3), size=0.05, of=of_text) == {"rate.zero": {"unet_lr": "0.0001"}}
    of_neither = config(learning_rate=1e-4, text_encoder_lr=0.0)
    assert codes(row(200, likeness=0.3), size=0.0, of=of_neither) == {"rate.zero": {"learning_rate": "0.0001"}}, (
        "a text encoder that was left alone stays so"
    )
    assert "rate.zero" not in codes(*GOOD, size=0.05, of=of_text)


def test_a_trigger_that_no_caption_has_is_the_cause_and_not_what_follows_from_it():
    found = codes(row(200, likeness=0.31), captions=["a toy on a table", "a toy"])
    assert found == {"trigger.unheard": {"caption_prefix": '"zorbix, "'}}
    assert "trigger.unheard" not in codes(*GOOD, captions=["a toy", "A Zorbix"])
    assert "trigger.unheard" in codes(*GOOD, of=config(trigger_word="sks"), captions=["two desks"])


def test_what_loses_prompts_late_was_trained_for_too_long():
    found = codes(*GOOD, row(300, likeness=0.52, prompt=0.1, copying=0.0))
    assert found == {"overtrained": {"max_train_steps": "100"}}


def test_what_shows_less_at_the_end_than_before_was_trained_for_too_long():
    assert codes(*GOOD, row(300, likeness=0.4, prompt=0.3)) == {"overtrained": {"max_train_steps": "100"}}


def test_of_files_that_are_equal_few_are_called_overtrained():
    drawn, wrong = random.Random(7), 0
    for _ in range(400):
        means = [{name: drawn.gauss(0.5, 0.02) for name in MEASURED} for _ in range(6)]
        rows = [row(100 * number, **each) for number, each in enumerate(means, 1)]
        base = row(0, 0.0, likeness=0.1, prompt=0.5, copying=0.5, diversity=0.5, bleed=0.5, artefacts=0.5)
        found = remedies(Evidence(config=config(), scores=[base, *rows], total=600))
        wrong += any(each.code == "overtrained" for each in found)
    assert wrong <= 0.05 * 400


def test_a_base_model_that_was_not_measured_leads_to_no_finding():
    assert remedies(Evidence(config=config(), scores=[row(0, 0.0), *GOOD], total=200)) == []


def test_what_never_followed_prompts_has_captions_that_say_something_else():
    found = codes(row(100, likeness=0.5, prompt=0.1), row(200, likeness=0.51, prompt=0.1))
    assert found == {"captions": {}}


def test_what_copies_has_more_room_than_it_needs():
    found = codes(row(200, likeness=0.6, prompt=0.3, copying=0.5))
    assert found == {"copying": {"network_dim": "4", "network_alpha": "4.0"}}
    assert codes(row(200, likeness=0.6, prompt=0.3, copying=0.15)) == {}


def test_pictures_that_are_broken_from_the_first_file_on_come_of_too_high_a_rate():
    found = codes(row(100, likeness=0.1, artefacts=0.9), of=config(learning_rate=3e-3))
    assert found == {"rate.high": {"learning_rate": "0.001"}}


def test_errors_that_are_no_number_come_of_too_high_a_rate():
    look = Validation(step=100, loss=math.nan, train_loss=math.nan, num_pictures=3)
    assert codes(looks=[look]).keys() == {"rate.high"}


def test_a_held_out_error_that_turns_says_where_to_stop():
    held, trained = [0.10, 0.09, 0.092, 0.094, 0.096], [0.10, 0.08, 0.07, 0.06, 0.05]
    looks = [
        Validation(step=50 * n, loss=h, train_loss=t, num_pictures=3)
        for n, (h, t) in enumerate(zip(held, trained, strict=True))
    ]
    assert codes(*GOOD, looks=looks) == {"overtrained": {"max_train_steps": "50"}}


def test_a_length_in_epochs_stays_one():
    found = codes(row(200, likeness=0.31), of=config(max_train_epochs=10))
    assert found == {"undertrained": {"max_train_epochs": "15"}}
    worse = codes(*GOOD, row(300, likeness=0.4, prompt=0.3), of=config(max_train_epochs=1))
    assert worse == {"overtrained": {}}, "a part of one epoch can't be said in epochs"


def test_a_file_is_trained_further_from_its_own_weights():
    more = continuing(Evidence(config=config(), total=200), "/loras/z.safetensors", 100)
    assert more.changes == {
        "network_weights": '"/loras/z.safetensors"',
        "dim_from_weights": "true",
        "max_train_steps": "100",
    }


def looks_of(held: list[float], trained: list[float]) -> list[Validation]:
    pairs = enumerate(zip(held, trained, strict=True))
    return [Validation(step=50 * n, loss=h, train_loss=t, num_pictures=3) for n, (h, t) in pairs]


FALLING = looks_of([0.10, 0.08, 0.06, 0.05, 0.04], [0.10, 0.08, 0.06, 0.05, 0.04])
TURNED = looks_of([0.10, 0.09, 0.092, 0.094, 0.096], [0.10, 0.08, 0.07, 0.06, 0.05])
EXPLODED = looks_of([0.10, 0.12, 0.14, 0.16, 0.18], [0.10, 0.12, 0.14, 0.16, 0.18])
SHOWN = {
    "nothing tried out": [],
    "good": GOOD,
    "nothing shown": [row(100, likeness=0.31), row(200, likeness=0.32)],
    "still rising": [row(100, likeness=0.4), row(200, likeness=0.55)],
    "rising, and copies": [row(100, likeness=0.4, copying=0.1), row(200, likeness=0.55, copying=0.6)],
    "past its best": [*GOOD, row(300, likeness=0.4, prompt=0.3)],
    "never followed": [row(100, likeness=0.5, prompt=0.1), row(200, likeness=0.51, prompt=0.1)],
    "broken": [row(100, likeness=0.1, artefacts=0.9)],
}
OPPOSITES = [
    {"undertrained", "overtrained"},
    {"undertrained", "copying"},
    {"undertrained", "rate.high"},
    {"no_effect", "rate.high"},
    {"no_effect", "overtrained"},
    {"rate.zero", "rate.high"},
    {"rate.zero", "overtrained"},
]


@pytest.mark.parametrize("looks", [[], FALLING, TURNED, EXPLODED], ids=["no looks", "falling", "turned", "exploded"])
@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN)
@pytest.mark.parametrize("size", [None, 0.0, 0.0002, 0.05])
def test_no_two_findings_ask_for_opposite_things(
    shown: list[Scores], looks: list[Validation], size: float | None
) -> None:
    found = codes(*shown, looks=looks, size=size).keys()
    assert not [pair for pair in OPPOSITES if pair <= found]


def test_pictures_that_still_get_better_count_for_more_than_a_held_out_error_which_is_named_all_the_same():
    rising = SHOWN["still rising"]
    [found] = remedies(Evidence(config=config(), scores=[BASE, *rising], looks=TURNED, total=200))
    assert found.code == "undertrained"
    assert "it was still rising; the held-out error says otherwise (held-out error down 4.0 %" in found.what
    assert found.what.endswith("), but pictures count for more")


def test_more_of_the_same_is_offered_only_where_nothing_else_is_lacking():
    def offered(*rows: Scores) -> bool:
        return may_continue(remedies(Evidence(config=config(), scores=[BASE, *rows], total=200)))

    assert [name for name, rows in SHOWN.items() if offered(*rows)] == [
        "nothing tried out", "good", "nothing shown", "still rising",
    ]  # fmt: skip
