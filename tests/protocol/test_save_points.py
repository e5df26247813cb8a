from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from loratui_protocol.save_points import SavePoint, most_at_once, save_points, superseded
from support.protocol_strategies import plain_config


def points_of(epochs: int, **changes: Any) -> tuple[SavePoint, ...]:
    return save_points(plain_config(**changes), epochs * 10, 10, epochs)


def left(epochs: int, **changes: Any) -> list[str]:
    """Return what of the files of a run is there in the end."""
    points = points_of(epochs, **changes)
    gone = superseded(plain_config(**changes), points)
    return [point.name.removeprefix("last-") for point in points if point not in gone]


def test_the_newest_files_by_epoch_stay_and_those_by_step_of_the_last_steps() -> None:
    assert left(6, save_every_n_epochs=1, save_last_n_epochs=2) == ["000004", "000005"]
    # In sd-scripts' own example 30 steps are left at step 50, and the file of step 10 goes.
    by_step = {"save_every_n_steps": 10, "save_last_n_steps": 30}
    assert left(5, **by_step) == ["step00000020", "step00000030", "step00000040", "step00000050"]
    assert left(3, **by_step, save_every_n_epochs=1) == [
        "000001",
        "step00000010",
        "000002",
        "step00000020",
        "step00000030",
    ]


def test_every_so_many_stay_for_good() -> None:
    kept = {"save_last_n_epochs": 1, "keep_every_n_epochs": 4}
    assert left(12, save_every_n_epochs=2, **kept) == ["000004", "000008", "000010"]
    kept = {"save_last_n_steps": 10, "keep_every_n_steps": 30}
    assert left(5, save_every_n_steps=10, **kept) == ["step00000030", "step00000040", "step00000050"]


@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 4),
    st.none() | st.integers(1, 3),
    st.none() | st.integers(1, 70),
    st.none() | st.integers(1, 3),
)
def test_files_only_ever_go_the_newest_of_each_kind_never(
    epochs: int, steps: int, every: int, last: int | None, last_steps: int | None, keep: int | None
) -> None:
    config = plain_config(
        save_every_n_epochs=epochs,
        save_every_n_steps=every * 10,
        save_last_n_epochs=last,
        save_last_n_steps=last_steps,
        keep_every_n_epochs=keep and keep * epochs,
    )
    points = save_points(config, steps * 50, 10, steps * 5)
    gone = [superseded(config, points[:count]) for count in range(1, len(points) + 1)]
    for earlier, later in pairwise(gone):
        assert set(earlier) <= set(later)
    for count, each in enumerate(gone, 1):
        written = points[:count]
        for kind in (True, False):
            newest = [point for point in written if bool(point.epoch) is kind][-1:]
            assert not set(newest) & set(each)
        before = gone[count - 2] if count > 1 else []
        assert count - len(before) <= most_at_once(config, points)
