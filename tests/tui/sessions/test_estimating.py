"""What earlier rentals have shown, from a real ledger and real histories."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loratui import settings
from loratui.domain.base_kinds import SD1, SDXL, TINY, BaseKind, KnownBase
from loratui.domain.estimate import BOOT, ENVIRONMENT, TRAINING, estimate
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
from loratui_protocol.messages import Event, Record, Sample, Setup, Step
from loratui_protocol.plan import plan
from support.estimates import A_WORK, a_work, an_offer
from support.small_dataset import small_config, write_small_dataset

SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
XL = "stabilityai/stable-diffusion-xl-base-1.0"


@pytest.fixture
def preferences(tmp_path: Path) -> Settings:
    return settings.load(environ={"LORATUI_STATE_DIR": str(tmp_path / "state"), "HOME": str(tmp_path)})


def steps(it_s: float, vram_gib: float | None = 9.0) -> list[tuple[float, Event]]:
    step = Step(step=1, total=9, epoch=1, loss=0.1, lr=1e-4, it_s=it_s, eta_s=1.0, vram_gib=vram_gib)
    return [(300.0 + n, replace(step, step=n)) for n in range(1, 10)]


def setup() -> list[tuple[float, Event]]:
    return [
        (200.0, Setup(phase="environment", total=3)),
        (200.0, Setup(phase="base_model", total=4_000_000_000, unit="bytes")),
        (214.0, Setup(phase="environment", done=3, total=3)),
        (250.0, Setup(phase="base_model", done=4_000_000_000, total=4_000_000_000, unit="bytes")),
    ]


def store_run(
    preferences: Settings,
    run_id: str,
    created_ts: float,
    happened: list[tuple[float, Event]],
    *,
    target: str = "local",
    gpu: str = "",
    **changes: Any,
) -> None:
    """Remember a run of 4 pictures of 512 x 512 a step."""
    usual = {"pretrained_model_name_or_path": SD15, "resolution": (512, 512), "train_batch_size": 4}
    config = small_config(Path("/gone"), **{**usual, **changes})
    with Store(preferences.database) as store:
        store.add_run(
            StoredRun(
                id=run_id,
                name=f"cat-{run_id}",
                target=target,
                created_ts=created_ts,
                config_toml=to_toml(config),
                home=Path("/root"),
                gpu=gpu,
            )
        )
        store.begin_history(run_id, "epoch", reset=True)
        store.append(run_id, "epoch", [Record(seq=n, ts=ts, event=event) for n, (ts, event) in enumerate(happened, 1)])


def store_rental(preferences: Settings, label: str, created_ts: float, it_s: float, **changes: Any) -> None:
    """Remember a rental that booted in 60 s and was ready after 75, and the run on it."""
    with Rentals(preferences.database) as ledger:
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
            ledger.enter(label, phase, created_ts + ts, 350_000)
        ledger.note(label, state=RentalState.READY, ready_ts=75.0)
        ledger.note_run(label, f"run-{label}")
    happened = [*setup(), *steps(it_s)]
    gpu = an_offer().gpu_name
    store_run(preferences, f"run-{label}", created_ts, happened, target=f"vast:{label}", gpu=gpu, **changes)


def speeds(
    preferences: Settings, kind: BaseKind = SD1, asked: tuple[tuple[str, BaseKind], ...] = ()
) -> list[tuple[str, float, str]]:
    found = known_facts(preferences, asked).speeds
    return [(each.gpu, each.units_per_s, each.run) for each in found if each.kind is kind]


def test_where_nothing_was_rented_nothing_is_known_and_no_database_is_made(preferences: Settings) -> None:
    assert known_facts(preferences, []).speeds == ()
    assert bad_hosts(preferences) == frozenset()
    assert not preferences.database.exists()


def test_speed_boot_environment_and_base_model_come_from_what_was_seen_last(preferences: Settings) -> None:
    store_rental(preferences, "old", 1.0, 2.0)
    store_rental(preferences, "new", 2.0, 3.0)
    known = known_facts(preferences, [])
    assert speeds(preferences) == [("RTX 4090", 12.0, "cat-run-new")]
    assert [(each.phase, each.seconds) for each in known.phases][:2] == [(BOOT, 75.0), (ENVIRONMENT, 14.0)]
    assert [(each.bytes_per_s, each.run) for each in known.models] == [(80e6, "cat-run-new"), (80e6, "cat-run-old")]


@pytest.mark.parametrize("target", ["local", "ssh://ann@box:22"])
def test_a_run_of_ones_own_on_that_gpu_counts_wherever_it_was(preferences: Settings, target: str) -> None:
    store_run(preferences, "mine", 1.0, steps(3.0), target=target, gpu="NVIDIA GeForce RTX 4090")
    known = known_facts(preferences, [])
    assert estimate(A_WORK, an_offer(gpu_name="RTX 4090"), known).speeds[0].source == "measured in run cat-mine"
    assert not estimate(A_WORK, an_offer(gpu_name="RTX 4090 D"), known).speeds[0].is_measured


def test_a_run_of_which_nobody_knows_the_gpu_or_that_left_it_idle_says_nothing(preferences: Settings) -> None:
    store_run(preferences, "unnamed", 1.0, steps(3.0))
    store_run(preferences, "idle", 2.0, steps(3.0, vram_gib=None), gpu="RTX 4090")
    assert speeds(preferences) == []


def test_a_speed_is_found_however_many_rentals_came_after_it(preferences: Settings) -> None:
    store_run(preferences, "mine", 0.0, steps(3.0), gpu="RTX 3060")
    for number in range(25):
        store_rental(preferences, f"later{number}", 1.0 + number, 2.0)
    assert speeds(preferences) == [("RTX 4090", 8.0, "cat-run-later24"), ("RTX 3060", 12.0, "cat-mine")]


def test_of_steps_of_one_size_the_newest_run_counts_that_tells_of_each_size_there_is(preferences: Settings) -> None:
    store_run(preferences, "older", 1.0, steps(9.0), gpu="RTX 4090")
    store_run(preferences, "newer", 2.0, steps(3.0), gpu="RTX 4090")
    store_run(preferences, "larger", 3.0, steps(1.0), gpu="RTX 4090", train_batch_size=16)
    store_run(preferences, "cut off", 4.0, steps(5.0)[:2], gpu="RTX 4090")
    assert speeds(preferences) == [("RTX 4090", 16.0, "cat-larger"), ("RTX 4090", 12.0, "cat-newer")]


def test_every_run_that_is_recorded_narrows_the_range(preferences: Settings) -> None:
    shares = []
    for number in range(6):
        estimated = estimate(A_WORK, an_offer(), known_facts(preferences, []))
        shares.append(estimated.p90_s / estimated.p50_s)
        # They were all the same but for a second here and there.
        store_rental(preferences, f"run{number}", 1.0 + number, 2.0 + 0.01 * number)
    assert shares == sorted(shares, reverse=True)
    assert len(set(shares)) == 6
    estimated = estimate(A_WORK, an_offer(), known_facts(preferences, []))
    sources = {part.name: part.source for part in estimated.parts}
    for phase in (BOOT, ENVIRONMENT, TRAINING):
        assert sources[phase].startswith("measured in run")
        assert "and 5 before it" in sources[phase]


def test_a_run_that_was_slow_on_that_gpu_is_kept_in_mind(preferences: Settings) -> None:
    store_run(preferences, "slow", 1.0, steps(1.0), gpu="RTX 4090")
    store_run(preferences, "fast", 2.0, steps(3.0), gpu="RTX 4090")
    [speed] = estimate(A_WORK, an_offer(), known_facts(preferences, [])).speeds
    assert (speed.likely, speed.is_measured) == (12.0, True)
    assert speed.slow < 4.0


def test_sample_pictures_are_as_slow_as_they_were_seen_to_be(preferences: Settings) -> None:
    def sample(ts: float, step: int, index: int, weight: float = 1.0) -> tuple[float, Event]:
        return ts, Sample(
            step=step, index=index, prompt="a", seed=1, artifact_id="a", width=512, height=1024, weight=weight
        )

    drawn = [sample(400, 5, 0), sample(404, 5, 1), sample(408, 5, 2), sample(500, 9, 0), sample(504, 9, 1)]
    alone = [sample(600, 9, 0, 0.0), sample(600.1, 9, 1, 0.0)]
    store_run(preferences, "mine", 1.0, [*steps(2.0), *drawn, *alone], gpu="RTX 4090")
    known = known_facts(preferences, [])
    assert [(each.seconds, each.run) for each in known.pictures] == [(2.0, "cat-mine")]
    work = a_work(num_sample_pictures=30)
    [samples] = [part for part in estimate(work, an_offer(), known).parts if part.name == "samples"]
    assert (samples.p50.seconds, samples.source) == (60, "measured in run cat-mine")


def test_the_rest_of_a_download_says_nothing_of_its_speed(preferences: Settings) -> None:
    store_rental(preferences, "one", 1.0, 2.0)
    rest = [
        (200.0, Setup(phase="base_model", done=3_950_000_000, total=4_000_000_000, unit="bytes")),
        (210.0, Setup(phase="base_model", done=4_000_000_000, total=4_000_000_000, unit="bytes")),
    ]
    with Store(preferences.database) as store:
        store.begin_history("run-one", "another", reset=True)
        store.append("run-one", "another", [Record(seq=n, ts=ts, event=event) for n, (ts, event) in enumerate(rest, 1)])
    assert known_facts(preferences, []).models == []


def test_the_tiny_model_says_nothing_of_a_real_one(preferences: Settings) -> None:
    store_rental(preferences, "tiny", 1.0, 50.0, pretrained_model_name_or_path="builtin:tiny")
    assert speeds(preferences) == []
    assert speeds(preferences, TINY) != []


def test_runs_with_sdxl_and_with_sd1_are_never_taken_for_each_other(preferences: Settings) -> None:
    store_rental(preferences, "small", 1.0, 3.0)
    store_rental(preferences, "large", 2.0, 0.5, pretrained_model_name_or_path=XL, resolution=(1024, 1024))
    assert speeds(preferences) == [("RTX 4090", 12.0, "cat-run-small")]
    assert speeds(preferences, SDXL) == [("RTX 4090", 2.0, "cat-run-large")], "in pictures of 1024 x 1024"
    known = known_facts(preferences, [])
    for kind, run in ((SD1, "cat-run-small"), (SDXL, "cat-run-large")):
        estimated = estimate(a_work(kind=kind), an_offer(gpu_name="RTX 4090"), known)
        assert estimated.speeds[0].source.startswith(f"measured in run {run}")


def test_a_run_with_a_model_of_unknown_kind_tells_of_runs_with_the_same_one_alone(preferences: Settings) -> None:
    store_rental(preferences, "theirs", 1.0, 0.5, pretrained_model_name_or_path="org/their-xl")
    assert [each for kind in (SD1, SDXL, TINY) for each in speeds(preferences, kind)] == []
    assert speeds(preferences, SDXL, (("org/other", SDXL),)) == []
    assert speeds(preferences, SDXL, (("org/their-xl", SDXL),)) == [("RTX 4090", 0.5, "cat-run-theirs")]


def test_a_run_that_was_forgotten_does_no_harm(preferences: Settings) -> None:
    store_rental(preferences, "gone", 1.0, 2.0)
    with Store(preferences.database) as store:
        store.forget_run("run-gone")
    known = known_facts(preferences, [])
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
    work = work_for(config, planned, preferences, KnownBase(num_bytes=0, kind=TINY))
    assert supply_size(config, None) == work.upload_bytes
    # Equal files travel once, and are counted once each.
    assert files <= work.upload_bytes <= files + 4 * 100
    assert work.base_model_bytes == 0


def test_how_fast_the_user_lets_files_come_is_known_with_and_without_earlier_runs(preferences: Settings) -> None:
    limited = replace(preferences, downloads=replace(preferences.downloads, max_mbit_s=8.0))
    assert known_facts(limited, []).max_download_bytes_per_s == 1_000_000
    store_run(preferences, "1", 100.0, steps(2.0))
    assert known_facts(limited, []).max_download_bytes_per_s == 1_000_000
    assert known_facts(preferences, []).max_download_bytes_per_s == 0
