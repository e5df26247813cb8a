"""How a run goes on, and at what price: by where it was, what is left of it there and here, and what was paid."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loratui import settings
from loratui.domain.estimate import BOOT, SAMPLES, TRAINING, UPLOAD
from loratui.domain.next_cost import Place
from loratui.domain.rental import RentalState
from loratui.sessions.next_steps import Change, next_steps
from loratui.sessions.recalled import recalled
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.config_file import to_toml
from loratui_protocol.judging.advice import advise, pairs_of
from loratui_protocol.lora_size import TINY_NETWORK
from loratui_protocol.messages import (
    Artifact,
    ArtifactKind,
    Checkpoint,
    Event,
    JobState,
    Record,
    Scores,
    State,
    Step,
    Validation,
)
from loratui_protocol.state_files import MANIFEST, state_folder
from support.estimates import an_offer
from support.lora_start import write_start
from support.small_dataset import small_config, write_small_dataset

RUN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
RENTED = "vast:loratui-x"


@pytest.fixture
def preferences(tmp_path: Path) -> Settings:
    return settings.load({"state_dir": str(tmp_path / "state")}, {"LORATUI_CONFIG_DIR": str(tmp_path / "config")})


def row(step: int, likeness: float) -> Scores:
    return Scores(
        artifact_id=f"lora-{step}" if step else "", name=f"cat-{step}" if step else "", step=step,
        weight=float(step > 0), means={"likeness": likeness}, errors={"likeness": 0.02}, counts={"likeness": 40},
    )  # fmt: skip


def steps_after(
    preferences: Settings,
    target: str = "local",
    *,
    state: JobState = JobState.DONE,
    last: int = 12,
    scores: tuple[Scores, ...] = (),
    looks: tuple[Validation, ...] = (),
    price: int = 0,
    has_state: bool = True,
    is_over: bool = False,
    **changes: Any,
) -> list[Change]:
    """Return what may come after a run of 12 steps, two an epoch, that was heard of until ``last``.

    ``has_state``: it is where the run was, and where its rental ``is_over``, here. Its LoRA is here.
    """
    folder = preferences.state_dir.parent
    here = write_start(folder / "cat.safetensors", TINY_NETWORK, 16)
    config = small_config(write_small_dataset(folder / "pictures"), **changes)
    run = StoredRun(
        id=RUN, name="cat", target=target, created_ts=1.0, config_toml=to_toml(config), home=folder / "home",
        price_microusd_per_h=price,
    )  # fmt: skip
    if has_state and (target == "local" or is_over):
        states = preferences.run_folder(RUN) / "states" if is_over else run.home / "jobs" / RUN / "ckpt"
        kept = states / state_folder(last)
        kept.mkdir(parents=True)
        (kept / MANIFEST).write_text("{}")
        (kept / "optimizer.safetensors").write_bytes(b"0" * 10_000_000)
    events: list[Event] = [
        State(state=JobState.RUNNING),
        *(Step(step=n, total=12, epoch=1 + n // 2, loss=0.1, lr=1e-4, it_s=2.0, eta_s=0.0) for n in range(1, last + 1)),
        *([Checkpoint(step=last, size=4, seconds=0.1)] if has_state else []),
        Artifact(id="lora-12", kind=ArtifactKind.LORA, name="cat.safetensors", size=4, sha256="a" * 64, step=12),
        *looks,
        *scores,
        State(state=state),
    ]
    if target == RENTED:
        with Rentals(preferences.database) as ledger:
            ledger.intend(
                StoredRental(
                    label="loratui-x", provider="vast", account_id="1", instance_id="7", offer=an_offer(),
                    public_key="", price_microusd_per_h=400_000, created_ts=1.0,
                )
            )  # fmt: skip
            if is_over:
                ledger.note_end("loratui-x", RentalState.LOST, 2.0, "its host is off")
    with Store(preferences.database) as store:
        store.add_run(run)
        store.begin_history(RUN, "e", reset=False)
        store.append(RUN, "e", [Record(seq=n, ts=float(n), event=each) for n, each in enumerate(events, 1)])
        store.add_download(RUN, "lora-12", here, "a" * 64)
        run, downloads = store.run(RUN), store.downloads(RUN)
    view = recalled(preferences, run)
    return next_steps(preferences, run, view, advise(pairs_of(view.scores)), downloads)


def test_on_its_machine_that_is_still_rented_it_goes_on_without_a_set_up(preferences: Settings) -> None:
    [further] = steps_after(preferences, RENTED)
    assert further.command == "loratui resume cat --epochs 9"
    assert further.cost is not None
    assert (further.cost.steps, further.cost.machine.place) == (6, Place.KEPT)
    assert further.cost.machine.offer.price_microusd_per_h == 400_000
    assert BOOT not in {part.name for part in further.cost.estimate.parts}
    assert "no set-up" in further.price[0]


def test_once_that_is_over_a_machine_is_rented_anew_and_the_state_travels_there(preferences: Settings) -> None:
    [further] = steps_after(preferences, RENTED, is_over=True)
    assert further.command == "loratui resume cat --epochs 9 --on TARGET"
    assert further.cost is not None
    assert further.cost.machine.place is Place.ANEW
    parts = {part.name: part for part in further.cost.estimate.parts}
    assert parts[BOOT].p50.seconds > 0
    # 10 MB, at 10 Mbit/s.
    assert parts[UPLOAD].p50.seconds >= 8
    assert "rented anew (RTX 4090, $0.40/h as this run paid), set-up and download included" in further.price[0]


def test_without_a_state_a_new_run_starts_from_the_file(preferences: Settings) -> None:
    [further] = steps_after(preferences, RENTED, is_over=True, has_state=False)
    assert not further.command
    assert further.remedy.what == "cat.safetensors can be trained further from step 12 on, in a new run"
    assert '+network_weights = "' in further.diff
    assert further.cost is not None
    assert (further.cost.steps, further.cost.machine.place) == (6, Place.ANEW)


@pytest.mark.parametrize(
    ("target", "price", "place", "said"),
    [
        ("local", 0, Place.HERE, "which costs nothing: no price is set for it"),
        ("local", 360_000, Place.HERE, "on this machine, at the $0.36/h that are set for it"),
        ("ssh://ann@box:22", 0, Place.HOST, "on ssh://ann@box:22; what an hour of it costs is not known here"),
        ("ssh://ann@box:22", 720_000, Place.HOST, "on ssh://ann@box:22, at the $0.72/h that are set for it"),
    ],
)
def test_what_is_not_rented_costs_what_was_set_for_it_and_else_nothing_is_made_up(
    preferences: Settings, target: str, price: int, place: Place, said: str
) -> None:
    [further] = steps_after(preferences, target, price=price)
    assert further.command == "loratui resume cat --epochs 9"
    assert further.cost is not None
    assert further.cost.machine.place is place
    assert (further.cost.microusd is None) is (price == 0)
    assert further.price[0].endswith(said)
    names = [part.name for part in further.cost.estimate.parts]
    assert names[:2] == [TRAINING, SAMPLES]


def test_a_run_that_was_stopped_goes_on_to_the_end_of_its_plan(preferences: Settings) -> None:
    [further] = steps_after(preferences, state=JobState.STOPPED, last=8)
    assert further.command == "loratui resume cat --epochs 6"
    assert further.cost is not None
    assert further.cost.steps == 4
    assert further.remedy.fix == "weights and optimizer go on as they are, to step 12, epoch 6"


def test_what_a_new_end_does_to_the_schedule_is_said(preferences: Settings) -> None:
    [further] = steps_after(preferences, lr_scheduler="cosine")
    assert "the cosine schedule was planned for 12 steps and is planned anew for 18" in further.remedy.fix
    assert "+max_train_epochs = 9" in further.diff


def test_what_was_still_getting_better_goes_on_itself(preferences: Settings) -> None:
    rising = (row(0, 0.3), row(6, 0.4), row(12, 0.6))
    longer, further = steps_after(preferences, scores=rising)
    assert (longer.remedy.code, longer.command) == ("undertrained", "")
    assert further.command == "loratui resume cat --epochs 9"
    assert longer.cost is not None
    assert further.cost is not None
    assert longer.cost.estimate.p50_s > further.cost.estimate.p50_s


def test_where_an_earlier_file_is_advised_its_state_is_not_what_is_gone_on_from(preferences: Settings) -> None:
    level = (row(0, 0.3), row(6, 0.6), replace(row(12, 0.6), artifact_id="other"))
    [further] = steps_after(preferences, scores=level)
    assert not further.command


def test_of_a_run_that_was_trained_for_too_long_no_more_is_offered(preferences: Settings) -> None:
    past = (row(0, 0.3), row(6, 0.6), row(12, 0.4))
    assert [each.remedy.code for each in steps_after(preferences, scores=past)] == ["overtrained"]


def test_a_run_that_still_trains_is_not_told_to_go_on(preferences: Settings) -> None:
    assert steps_after(preferences, state=JobState.RUNNING) == []


def test_without_its_pictures_nothing_is_reckoned(preferences: Settings) -> None:
    steps_after(preferences)
    for path in preferences.state_dir.parent.glob("pictures/*/*"):
        path.unlink()
    with Store(preferences.database) as store:
        run, downloads = store.run(RUN), store.downloads(RUN)
    view = recalled(preferences, run)
    [further] = next_steps(preferences, run, view, advise([]), downloads)
    assert further.cost is None
    assert further.price[0].startswith("what it takes and costs is not known: ")
