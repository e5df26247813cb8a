"""What earlier rentals have shown, from a real ledger and real histories."""

from pathlib import Path
from typing import Any

import pytest

from loratui import settings
from loratui.domain.estimate import BOOT, ENVIRONMENT
from loratui.domain.ledger import Phase
from loratui.domain.rental import RentalState
from loratui.sessions.estimating import bad_hosts, known_facts, work_for
from loratui.sessions.supply import plan_supply, supply_size
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.config_file import to_toml
from loratui_protocol.dataset import scan_config
from loratui_protocol.inputs import EnvironmentKind, EnvironmentSpec
from loratui_protocol.messages import Event, Record, Setup, Step
from loratui_protocol.plan import plan
from support.estimates import an_offer
from support.small_dataset import small_config, write_small_dataset

SD1 = "stable-diffusion-v1-5/stable-diffusion-v1-5"


@pytest.fixture
def preferences(tmp_path: Path) -> Settings:
    return settings.load(environ={"LORATUI_STATE_DIR": str(tmp_path / "state"), "HOME": str(tmp_path)})


def events(it_s: float) -> list[tuple[float, Event]]:
    steps = [Step(step=n, total=9, epoch=1, loss=0.1, lr=1e-4, it_s=it_s, eta_s=1.0) for n in range(1, 10)]
    setup = [(200.0, Setup(phase="environment", total=3)), (214.0, Setup(phase="environment", done=3, total=3))]
    return [*setup, *((300.0 + step.step, step) for step in steps)]


def store_rental(preferences: Settings, label: str, created_ts: float, it_s: float, **changes: Any) -> None:
    """Remember a rental that booted in 60 s and was ready after 75, and the run on it."""
    config = small_config(
        Path("/gone"),
        **{"pretrained_model_name_or_path": SD1, "resolution": (512, 512), "train_batch_size": 4, **changes},
    )
    with Store(preferences.database) as store, Rentals(preferences.database) as ledger:
        ledger.intend(
            StoredRental(
                label=label,
                provider="vast",
                account_id="1",
                offer=an_offer(),
                public_key="",
                price_microusd_per_h=350_000,
                created_ts=created_ts,
            )
        )
        for phase, ts in ((Phase.BOOTING, 0.0), (Phase.CONNECTING, 60.0), (Phase.SETTING_UP, 75.0)):
            ledger.enter(label, phase, ts, 350_000)
        ledger.note(label, state=RentalState.READY, ready_ts=75.0)
        run_id = f"run-{label}"
        ledger.note_run(label, run_id)
        store.add_run(
            StoredRun(
                id=run_id,
                name=f"cat-{label}",
                target="vast",
                created_ts=created_ts,
                config_toml=to_toml(config),
                home=Path("/root"),
            )
        )
        store.begin_history(run_id, "epoch", reset=True)
        records = [Record(seq=seq, ts=ts, event=event) for seq, (ts, event) in enumerate(events(it_s), 1)]
        store.append(run_id, "epoch", records)


def test_where_nothing_was_rented_nothing_is_known_and_no_database_is_made(preferences: Settings) -> None:
    config = small_config(Path("/x"))
    assert known_facts(preferences, config).speeds == ()
    assert bad_hosts(preferences) == frozenset()
    assert not preferences.database.exists()


def test_speed_boot_and_environment_come_from_what_was_seen_newest_first(preferences: Settings) -> None:
    store_rental(preferences, "old", 1.0, 2.0)
    store_rental(preferences, "new", 2.0, 3.0)
    known = known_facts(preferences, small_config(Path("/x"), pretrained_model_name_or_path=SD1))
    assert [(each.gpu, each.units_per_s, each.run) for each in known.speeds] == [
        ("RTX 4090", 12.0, "cat-new"),
        ("RTX 4090", 8.0, "cat-old"),
    ]
    assert [(each.phase, each.seconds) for each in known.phases][:2] == [(BOOT, 75.0), (ENVIRONMENT, 14.0)]


def test_the_tiny_model_says_nothing_of_a_real_one(preferences: Settings) -> None:
    store_rental(preferences, "tiny", 1.0, 50.0, pretrained_model_name_or_path="builtin:tiny")
    assert known_facts(preferences, small_config(Path("/x"), pretrained_model_name_or_path=SD1)).speeds == []
    assert known_facts(preferences, small_config(Path("/x"))).speeds != []


def test_a_run_that_was_forgotten_does_no_harm(preferences: Settings) -> None:
    store_rental(preferences, "gone", 1.0, 2.0)
    with Store(preferences.database) as store:
        store.forget_run("run-gone")
    known = known_facts(preferences, small_config(Path("/x"), pretrained_model_name_or_path=SD1))
    assert known.speeds == []
    assert [each.phase for each in known.phases] == [BOOT]


def test_bad_hosts_are_those_of_every_provider(preferences: Settings) -> None:
    with Rentals(preferences.database) as ledger:
        ledger.note_bad_host("vast", "7", "no SSH", 1.0)
        ledger.note_bad_host("runpod", "x", "no SSH", 1.0)
        ledger.note_bad_host("vast", "8", "no SSH", 100.0)
    assert bad_hosts(preferences) == {("vast", "7"), ("runpod", "x"), ("vast", "8")}
    assert bad_hosts(preferences, since_ts=2.0) == {("vast", "8")}


def test_work_counts_what_would_really_be_sent(tmp_path: Path, preferences: Settings) -> None:
    config = small_config(write_small_dataset(tmp_path / "pictures"))
    planned = plan(config, scan_config(config).pictures)
    supply = plan_supply(config, environment=EnvironmentSpec(kind=EnvironmentKind.AGENT))
    manifest_bytes = supply.blobs[supply.inputs.manifest_sha256].size
    files = supply.size - manifest_bytes
    work = work_for(config, planned, preferences)
    assert supply_size(config, None) == work.upload_bytes
    # Equal files travel once, and are counted once each.
    assert files <= work.upload_bytes <= files + 4 * 100
    assert work.base_model_bytes == 0
