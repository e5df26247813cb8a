"""``resume --on``: what keeps a run from going on elsewhere is said before anything is started or rented."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui.domain.offers import Offer
from loratui.domain.rental import RentalState
from loratui.settings import load
from loratui.store import Store, StoredRun
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.messages import JobState, Record, State
from support.local_cli import LocalCli, local_cli

RUN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[LocalCli]:
    with local_cli(tmp_path) as cli:
        yield cli


def remember(cli: LocalCli, state: JobState, *, is_ours: bool = True) -> None:
    """Have a run on a rental that is over in the store, as it was last heard of."""
    database = load(environ=cli.environment).database
    offer = Offer(
        provider="vast", id="1", gpu_name="RTX 4090", vram_mib=24_000, price_microusd_per_h=400_000, disk_gb=40
    )
    with Rentals(database) as ledger, Store(database) as store:
        ledger.intend(
            StoredRental(
                label="loratui-x",
                provider="vast",
                account_id="1",
                instance_id="7",
                offer=offer,
                public_key="ssh-ed25519 x",
                price_microusd_per_h=400_000,
                created_ts=time.time(),
            )
        )
        ledger.note_end("loratui-x", RentalState.LOST, time.time(), "its host is off")
        run = StoredRun(
            id=RUN,
            name="cat",
            target="vast:loratui-x",
            created_ts=time.time(),
            config_toml="",
            home=Path("/root/.loratui"),
            is_ours=is_ours,
        )
        store.add_run(run)
        store.begin_history(RUN, "epoch", reset=False)
        store.append(RUN, "epoch", [Record(seq=1, ts=time.time(), event=State(state=state))])


@pytest.mark.parametrize(
    ("state", "is_ours", "code", "words"),
    [
        (JobState.RUNNING, True, "resume.no_state", "no saved state of cat is on this machine"),
        (JobState.DONE, True, "resume.done", "cat is done"),
        (JobState.RUNNING, False, "resume.not_ours", "was started from another machine"),
    ],
)
def test_what_keeps_a_run_from_going_on_is_said_and_nothing_is_started(
    cli: LocalCli, state: JobState, code: str, words: str, *, is_ours: bool
) -> None:
    remember(cli, state, is_ours=is_ours)
    resume = cli.run("resume", "cat", "--on", "local", "--yes", "--plain")
    said = "\n".join(resume.errors)
    assert resume.finish() != 0
    assert f"[{code}]" in said
    assert words in said
    assert not cli.home.jobs.exists() or not list(cli.home.jobs.iterdir())


def test_files_that_are_tried_out_go_on_where_they_are_drawn_alone(cli: LocalCli) -> None:
    remember(cli, JobState.RUNNING)
    with Store(load(environ=cli.environment).database) as store:
        store.set_config(RUN, 'pretrained_model_name_or_path = "builtin:tiny"\nevaluate_loras = ["/a.safetensors"]\n')
    resume = cli.run("resume", "cat", "--on", "local", "--yes", "--plain")
    said = "\n".join(resume.errors)
    assert resume.finish() != 0
    assert "[resume.no_state]" in said
    assert "what it drew stays on its machine" in said
    assert "begun to train" not in said


def test_a_run_on_a_machine_that_is_gone_is_said_to_go_on_elsewhere(cli: LocalCli) -> None:
    remember(cli, JobState.RUNNING)
    resume = cli.run("resume", "cat")
    said = "\n".join(resume.errors)
    assert resume.finish() == 4
    assert "[rental.over]" in said
    assert "loratui resume cat --on TARGET" in said


def test_which_run_goes_on_from_which_is_shown_at_both(cli: LocalCli) -> None:
    remember(cli, JobState.RUNNING)
    later = StoredRun(
        id="01BX5ZZKBKACTAV9WEVGEMMVS0",
        name="cat",
        target="ssh://root@203.0.113.9",
        created_ts=time.time() + 1,
        config_toml="",
        home=Path("/root/.loratui"),
        resumed_from=RUN,
        state_dir="inputs/state/step-00000040",
        state=JobState.DONE,
    )
    with Store(load(environ=cli.environment).database) as store:
        store.add_run(later)
        store.begin_history(later.id, "epoch", reset=False)
        store.append(later.id, "epoch", [Record(seq=1, ts=time.time(), event=State(state=JobState.DONE))])
    assert f"goes on from {RUN} at step 40, on vast:loratui-x" in cli.run("status", later.id).lines
    assert f"{later.id} goes on from it at step 40, on ssh://root@203.0.113.9" in cli.run("status", RUN).lines
    newest, oldest = cli.run("ls").lines
    assert newest.endswith(f"ssh://root@203.0.113.9, goes on from {RUN} at step 40")
    assert oldest.endswith("vast:loratui-x")
    assert [run["resumed_from"] for run in json.loads(cli.run("ls", "--json").lines[0])] == [RUN, None]
    before, after = (json.loads(cli.run("status", run, "--json").lines[0]) for run in (RUN, later.id))
    assert (before["resumed_from"], before["resumed_as"]) == (None, [later.id])
    assert (after["resumed_from"], after["resumed_as"]) == (RUN, [])
