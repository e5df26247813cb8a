"""What is still to be done of a plan: that is what is priced, announced and waited for."""

from dataclasses import replace
from pathlib import Path

import pytest

from loratui.sessions.checking import check_config
from loratui.sessions.resumed import Resumed
from loratui_protocol.config_file import to_toml
from loratui_protocol.state_files import SavedState
from support.small_dataset import small_config, write_small_dataset


@pytest.mark.parametrize(
    ("stop_at_epoch", "from_step", "steps", "samples", "states"),
    [
        (None, None, 12, [0, 4, 8, 12], [6, 12]),
        (2, None, 6, [0, 4, 6], [6]),
        (None, 6, 6, [8, 12], [12]),
        (3, 6, 3, [8, 9], []),
        (2, 6, 0, [], []),
    ],
)
def test_it_is_what_comes_after_the_state_and_before_the_stop(
    tmp_path: Path, stop_at_epoch: int | None, from_step: int | None, steps: int, samples: list[int], states: list[int]
) -> None:
    pictures = write_small_dataset(tmp_path / "pictures", 6)
    config = small_config(
        pictures, max_train_epochs=4, sample_prompts=("a",), sample_every_n_steps=4, sample_at_first=True
    )
    path = tmp_path / "job.toml"
    path.write_text(to_toml(replace(config, checkpoint_every_n_steps=6, save_every_n_steps=6)), "utf-8")
    checked = check_config(path, stop_at_epoch=stop_at_epoch)
    assert checked.plan.steps_per_epoch == 3
    if from_step is not None:
        state = SavedState(folder=tmp_path, step=from_step, saved_ts=0.0, seed=7)
        checked = replace(checked, resumed=Resumed(run_id="r", state=state))
    left = checked.plan_left
    assert (left.steps, list(left.sample_steps), list(left.checkpoint_steps or ())) == (steps, samples, states)
    assert [point.step for point in left.save_points] == states
