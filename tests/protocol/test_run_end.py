"""To which end a run goes on, and what its schedule makes of that."""

from pathlib import Path
from typing import Any

import pytest

from loratui_protocol.config_file import parse_config
from loratui_protocol.errors import UsageError
from loratui_protocol.messages import RunEnd
from loratui_protocol.plan import plan
from loratui_protocol.run_end import end_after, replanned, toml_with_end, with_end
from support.protocol_strategies import picture, plain_config

PICTURES = [picture(index) for index in range(5)]


@pytest.mark.parametrize(
    ("epochs", "step", "end"),
    [
        (3, 10, RunEnd(stop_at_epoch=3)),
        (4, 10, RunEnd()),
        (4, 20, None),
        (2, 10, None),
        (1, 10, None),
        (5, 10, RunEnd(max_train_epochs=5)),
        (5, 20, RunEnd(max_train_epochs=5)),
        (3, 11, RunEnd(stop_at_epoch=3)),
    ],
)
def test_within_its_plan_a_run_stops_and_beyond_it_is_planned_anew(epochs: int, step: int, end: RunEnd | None) -> None:
    planned = plan(plain_config(max_train_epochs=4, stop_at_epoch=2), PICTURES)
    assert (planned.steps_per_epoch, planned.steps, planned.stop_step) == (5, 20, 10)
    if end is None:
        with pytest.raises(UsageError, match=rf"resume\.epochs.*it is at step {step}.*end with step {5 * epochs}"):
            end_after(epochs, planned, step)
    else:
        assert end_after(epochs, planned, step) == end


@pytest.mark.parametrize(("step", "end"), [(10, RunEnd()), (18, RunEnd(max_train_epochs=4))])
def test_the_last_epoch_of_a_plan_in_steps_may_be_short(step: int, end: RunEnd) -> None:
    planned = plan(plain_config(max_train_steps=18), PICTURES)
    assert planned.epochs == 4
    assert end_after(4, planned, step) == end


def test_a_new_end_changes_nothing_else() -> None:
    config = plain_config(max_train_epochs=4, stop_at_epoch=2, learning_rate=0.5)
    assert with_end(config, RunEnd()) == plain_config(max_train_epochs=4, learning_rate=0.5)
    text = toml_with_end('train_data_dir = "p"\npretrained_model_name_or_path = "builtin:tiny"\n', Path("/"), RunEnd())
    assert parse_config(text, Path("/")).config.train_data_dir == "/p"
    assert with_end(config, RunEnd(max_train_epochs=9)).max_train_epochs == 9


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"lr_scheduler": "constant_with_warmup", "lr_warmup_steps": 2}, []),
        ({"optimizer_type": "Prodigy", "learning_rate": 1.0}, []),
        ({"optimizer_type": "AdaFactor", "lr_scheduler": "cosine"}, []),
        ({"lr_scheduler": "inverse_sqrt"}, []),
        (
            {"lr_scheduler": "linear", "learning_rate": 0.1},
            ["after step 10 the learning rate was 0 and goes on at 0.05"],
        ),
        (
            {"lr_scheduler": "cosine", "optimizer_type": "Prodigy", "learning_rate": 1.0},
            ["after step 10 the learning rate was 0 and goes on at 0.5"],
        ),
        (
            {"lr_scheduler": "constant_with_warmup", "lr_warmup_steps": 0.6, "learning_rate": 0.1},
            ["after step 10 the learning rate was 0.1 and goes on at 0.0833"],
        ),
        (
            {"lr_scheduler": "linear", "unet_lr": 0.0, "text_encoder_lr": (0.2, 0.1)},
            ["after step 10 the learning rate was 0 and goes on at 0.1"],
        ),
        ({"token_warmup_step": 0.75}, ["all tags are shown from step 16 on"]),
        ({"token_warmup_step": 0.5}, []),
        ({"token_warmup_step": 15}, []),
    ],
)
def test_what_becomes_of_the_schedule_is_said_where_something_does(changes: dict[str, Any], said: list[str]) -> None:
    told = replanned(plain_config(**changes), 10, 10, 20)
    assert [sentence.rpartition(": ")[2] for sentence in told] == said
