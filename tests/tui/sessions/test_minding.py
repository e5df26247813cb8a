"""Who minds a rental believes nothing but its provider, and ends it beside the machine."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from loratui.domain.ledger import Phase
from loratui.domain.rental import RentalState
from loratui.domain.rental_cost import RentalCost
from loratui.domain.run import RunView
from loratui.sessions.ending import StillBillingError
from loratui.sessions.minding import Minder
from loratui.sessions.renting import connected
from loratui.sessions.renting_course import Rental
from loratui.sessions.renting_folder import RentalFolder
from loratui.sessions.targets import Targets
from loratui.settings import Settings, load
from loratui.store import Store
from loratui_protocol.errors import LoratuiError
from loratui_protocol.messages import Artifact, ArtifactKind, JobState
from support.fake_vast import FakeVast
from support.renting import Renter, renter


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_VAST_API_KEY", FakeVast().key)


LORA = Artifact(id="lora", kind=ArtifactKind.LORA, name="x.safetensors", size=1, sha256="0" * 64)


@dataclass
class Shown:
    """The runs on the rental, as data: what is shown of it is kept, what is asked of them noted."""

    runs: dict[str, RunView] = field(default_factory=dict)
    costs: list[RentalCost] = field(default_factory=list)
    lost: list[LoratuiError] = field(default_factory=list)
    num_stumbles: int = 0
    """So often showing it, while it ends, fails in a way that nobody thought of."""
    moved_s: list[float] = field(default_factory=list)
    is_complete: bool = True

    def views(self, _: Sequence[str], /) -> Mapping[str, RunView]:
        return self.runs

    def show(self, _: Sequence[str], cost: RentalCost, /) -> None:
        self.costs.append(cost)
        if cost.state is RentalState.ENDING and self.num_stumbles:
            self.num_stumbles -= 1
            raise ValueError("a fault of ours")

    def lose(self, _: Sequence[str], error: LoratuiError, /) -> None:
        self.lost.append(error)

    def move_stop(self, _: Sequence[str], seconds: float, /) -> None:
        self.moved_s.append(seconds)

    def are_all_started(self, _: str, /) -> bool:
        return self.is_complete


@dataclass
class Minded:
    me: Renter
    rental: Rental
    minder: Minder
    shown: Shown

    async def until(self, condition: str) -> None:
        """Return once what is shown is so: "gone", "trouble" or "heard"."""
        async with asyncio.timeout(20):
            while not self.is_so(condition):
                self.minder.look_now()
                await asyncio.sleep(0.01)

    async def looked(self, times: int = 3) -> None:
        """Return once it was looked at so often."""
        seen = len(self.shown.costs)
        async with asyncio.timeout(20):
            while len(self.shown.costs) < seen + times:
                self.minder.look_now()
                await asyncio.sleep(0.01)

    def is_so(self, condition: str) -> bool:
        last = self.shown.costs[-1] if self.shown.costs else None
        if last is None:
            return False
        return {"over": last.is_over, "trouble": bool(last.trouble), "heard": last.heard_s is not None}[condition]


def view(state: JobState, *, is_here: bool) -> RunView:
    made = RunView(run_id="r", name="x", target="vast:x", state=state)
    made.artifacts["lora"] = LORA
    if is_here:
        made.downloaded["lora"] = Path("x.safetensors")
        made.acknowledged.add("lora")
    return made


@asynccontextmanager
async def minded(
    tmp_path: Path, *, keep_s: float | None = None, patience_s: float = 3600.0, idle_for_s: float | None = None
) -> AsyncIterator[Minded]:
    """Rent a machine that nobody can sign in to, and mind it with one run that trains.

    ``idle_for_s``: so long ago an earlier process had everything here.
    """
    async with renter(tmp_path) as me:
        me.fake.on_running = lambda _: ("127.0.0.1", 1)
        rental = await me.rent(deadline_ts=time.time() + 3600, cap=10_000_000, keep_s=keep_s)
        connected(me.ledger, rental)
        if idle_for_s is not None:
            price = rental.price_microusd_per_h
            me.ledger._database.execute("UPDATE rentals SET created_ts = ?", (time.time() - idle_for_s,))
            me.ledger._database.execute("DELETE FROM charges")
            me.ledger.enter(rental.label, Phase.IDLE, time.time() - idle_for_s, price)
            me.ledger.enter(rental.label, Phase.IDLE, time.time() - idle_for_s / 2, price + 1)
            me.ledger.note(rental.label, price_microusd_per_h=price + 1)
        settings = preferences(tmp_path, me)
        shown = Shown(runs={"r": view(JobState.RUNNING, is_here=False)})
        targets = Targets(settings)
        rental.folder.let_go()
        with Store(settings.database) as store:
            minder = Minder(rental.label, settings, store, targets, shown, patience_s=patience_s)
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(minder.run())
                yield Minded(me, rental, minder, shown)
                task.cancel()
            await targets.close()


def preferences(tmp_path: Path, me: Renter) -> Settings:
    return load(
        environ={
            "LORATUI_STATE_DIR": str(tmp_path),
            "LORATUI_CONFIG_DIR": str(tmp_path),
            "LORATUI_PROVIDERS__VAST__URL": me.fake.url,
            "LORATUI_PROVIDERS__VAST__SPACING": "0",
            "LORATUI_RENTAL__ASK_EVERY_S": "1",
        }
    )


async def test_a_provider_that_talks_nonsense_ends_nothing_and_that_is_shown(tmp_path: Path) -> None:
    async with minded(tmp_path) as it:
        it.me.fake.answer("get", 200, b"", times=1)
        await it.until("trouble")
        await it.until("heard")
        assert not it.shown.costs[-1].is_over
        assert it.me.fake.num_living() == 1
        assert it.me.ledger.rental(it.rental.label).state is RentalState.READY


async def test_a_machine_is_lost_once_two_answers_show_it_gone(tmp_path: Path) -> None:
    async with minded(tmp_path) as it:
        await it.until("heard")
        it.me.fake.instances.clear()
        await it.until("over")
        stored = it.me.ledger.rental(it.rental.label)
        assert (stored.state, stored.proven_gone) == (RentalState.LOST, True)
        assert [error.code for error in it.shown.lost] == ["rental.over"]
        assert "loratui resume" in it.shown.lost[0].fix


async def test_a_machine_that_misses_its_deadline_is_ended_from_here(tmp_path: Path) -> None:
    async with minded(tmp_path) as it:
        await it.until("heard")
        it.me.ledger.note(it.rental.label, deadline_ts=time.time() - 60)
        await it.until("over")
        assert it.me.fake.num_living() == 0
        assert it.me.ledger.rental(it.rental.label).why == "its time was up"


async def test_a_rental_ends_only_when_everything_of_every_run_is_here(tmp_path: Path) -> None:
    async with minded(tmp_path) as it:
        it.shown.runs = {"r": view(JobState.DONE, is_here=True), "q": view(JobState.DONE, is_here=False)}
        await it.until("heard")
        assert not it.shown.lost
        assert it.me.fake.num_living() == 1
        it.shown.runs["q"].downloaded["lora"] = Path("y.safetensors")
        it.shown.runs["q"].acknowledged.add("lora")
        await it.until("over")
        receipt = it.minder.ended.result(5)
        assert receipt is not None
        assert receipt.rental.state is RentalState.GONE
        assert it.me.fake.num_living() == 0


async def test_a_file_that_could_not_be_fetched_keeps_the_machine(tmp_path: Path) -> None:
    async with minded(tmp_path) as it:
        done = view(JobState.DONE, is_here=False)
        done.download_failures["lora"] = "its hash is wrong"
        it.shown.runs = {"r": done}
        await it.until("heard")
        await it.looked()
        held = it.shown.costs[-1].held
        assert held is not None
        assert held.what == "x.safetensors (its hash is wrong) of x"
        assert held.fetch == ("loratui download x",)
        assert not it.shown.lost
        assert it.me.fake.num_living() == 1


async def test_a_key_that_may_not_end_it_is_said_and_it_counts_as_billing(tmp_path: Path) -> None:
    async with minded(tmp_path) as it:
        await it.until("heard")
        it.me.fake.answer("end", 401, b'{"success": false, "error": "auth_error", "msg": "bad key"}', times=1)
        it.shown.runs = {"r": view(JobState.DONE, is_here=True)}
        await it.until("trouble")
        error = it.minder.ended.exception(5)
        assert isinstance(error, StillBillingError)
        last = it.shown.costs[-1]
        assert last.state is RentalState.ENDING
        assert not last.is_over


LIMIT = "the run's files are more than downloads.max_gib = 1"


@pytest.mark.parametrize("state", [JobState.DONE, JobState.STOPPED, JobState.FAILED])
async def test_a_file_over_the_limit_keeps_the_machine_until_it_is_fetched(tmp_path: Path, state: JobState) -> None:
    async with minded(tmp_path) as it:
        left = view(state, is_here=False)
        left.declined["lora"] = LIMIT
        it.shown.runs = {"r": left}
        await it.until("heard")
        await it.looked()
        held = it.shown.costs[-1].held
        assert held is not None
        assert LIMIT in held.what
        assert not it.shown.lost
        left.declined.clear()
        left.downloaded["lora"] = Path("x.safetensors")
        left.acknowledged.add("lora")
        await it.until("over")
        assert it.me.fake.num_living() == 0


async def test_checkpoints_over_the_limit_keep_the_machine_though_the_result_is_here(tmp_path: Path) -> None:
    async with minded(tmp_path) as it:
        left = view(JobState.DONE, is_here=True)
        for name in ("c1", "c2"):
            left.artifacts[name] = replace(LORA, id=name, name=f"{name}.safetensors", kind=ArtifactKind.CHECKPOINT_LORA)
            left.declined[name] = LIMIT
        it.shown.runs = {"r": left}
        await it.until("heard")
        await it.looked()
        held = it.shown.costs[-1].held
        assert held is not None
        assert held.what == f"c1.safetensors ({LIMIT}) of x and 1 more file"
        assert it.me.fake.num_living() == 1


async def test_what_its_user_does_not_want_keeps_no_machine(tmp_path: Path) -> None:
    async with minded(tmp_path) as it:
        done = view(JobState.DONE, is_here=True)
        done.artifacts["s"] = replace(LORA, id="s", kind=ArtifactKind.SAMPLE)
        done.declined["s"] = "downloads.policy is final"
        done.unwanted.add("s")
        done.acknowledged.add("s")
        it.shown.runs = {"r": done}
        await it.until("over")
        assert it.me.fake.num_living() == 0


async def test_a_run_that_fails_at_once_does_not_take_the_machine_from_the_next_one(tmp_path: Path) -> None:
    async with minded(tmp_path) as it:
        it.shown.is_complete = False
        failed = RunView(run_id="r", name="x", target="vast:x", state=JobState.FAILED)
        it.shown.runs = {"r": failed}
        await it.until("heard")
        await it.looked()
        assert not it.shown.lost
        assert it.me.fake.num_living() == 1
        it.shown.is_complete = True
        await it.until("over")
        assert it.me.fake.num_living() == 0


async def test_an_end_that_another_process_has_begun_is_left_to_it(tmp_path: Path) -> None:
    async with minded(tmp_path) as it:
        await it.until("heard")
        it.me.ledger.note(it.rental.label, state=RentalState.ENDING, why="ended by hand")
        await it.looked()
        assert it.me.fake.num_living() == 1


@pytest.mark.parametrize("holder", ["this", "another"])
async def test_an_end_that_nobody_goes_on_with_is_gone_on_with_whoever_holds_the_folder(
    tmp_path: Path, holder: str
) -> None:
    async with minded(tmp_path, patience_s=0.2) as it:
        await it.until("heard")
        if holder == "another":
            it.minder.take(RentalFolder(tmp_path, "nowhere"))
            it.rental.folder.hold()
        it.me.ledger.note(it.rental.label, state=RentalState.ENDING, why="ended by hand")
        await it.until("over")
        stored = it.me.ledger.rental(it.rental.label)
        assert (stored.state, stored.why) == (RentalState.GONE, "ended by hand")
        assert it.me.fake.num_living() == 0


async def test_a_fault_of_ours_in_the_middle_of_an_end_does_not_leave_the_machine_billing(tmp_path: Path) -> None:
    async with minded(tmp_path, patience_s=0.2) as it:
        await it.until("heard")
        it.me.fake.answer("end", 401, b'{"success": false, "error": "auth_error", "msg": "bad key"}', times=1)
        it.shown.num_stumbles = 4
        it.shown.runs = {"r": view(JobState.DONE, is_here=True)}
        await it.until("over")
        assert it.shown.num_stumbles == 0
        assert any(cost.trouble.startswith("something went wrong here") for cost in it.shown.costs)
        assert it.me.fake.num_living() == 0


async def test_who_minds_a_rental_holds_its_folder_and_takes_it_over_without_a_gap(tmp_path: Path) -> None:
    async with minded(tmp_path) as it:
        other = RentalFolder(tmp_path, it.rental.label)
        await it.until("heard")
        assert not other.try_hold()
        taken = RentalFolder(tmp_path, "another")
        taken.hold()
        it.minder.take(taken)
        assert other.try_hold()
        it.minder.close()
        assert RentalFolder(tmp_path, "another").try_hold()


async def test_the_time_a_machine_is_kept_goes_on_where_an_earlier_process_was(tmp_path: Path) -> None:
    async with minded(tmp_path, keep_s=1800.0, idle_for_s=1500.0) as it:
        it.shown.runs = {"r": view(JobState.DONE, is_here=True)}
        await it.until("heard")
        await it.looked()
        left_s = it.shown.costs[-1].keep_left_s
        assert left_s is not None
        assert 280 < left_s <= 300
        assert it.me.fake.num_living() == 1


async def test_a_machine_that_was_kept_long_enough_before_this_process_came_is_ended(tmp_path: Path) -> None:
    async with minded(tmp_path, keep_s=1800.0, idle_for_s=1801.0) as it:
        it.shown.runs = {"r": view(JobState.DONE, is_here=True)}
        await it.until("over")
        assert it.me.fake.num_living() == 0


async def test_no_word_of_a_machine_about_when_its_run_began_costs_anything(tmp_path: Path) -> None:
    async with minded(tmp_path) as it:
        await it.until("heard")
        for ts in (0.0, time.time() + 86_400.0, time.time() - 86_400.0):
            it.minder.entered("r", JobState.RUNNING, ts)
            it.minder.entered("r", JobState.DONE, ts)
        await asyncio.sleep(0.05)
        wall_s = time.time() - it.me.ledger.rental(it.rental.label).created_ts
        spans = it.me.ledger.spans(it.rental.label)
        assert sum(span.elapsed_us(time.time()) for span in spans) / 1e6 <= wall_s + 1e-3
        assert all(span.from_ts <= time.time() for span in spans)


async def test_two_clients_of_one_laptop_pay_for_every_hour_once(tmp_path: Path) -> None:
    """The interface and an attach mind one rental; the second, which slept, hears of everything three hours late."""
    async with minded(tmp_path) as it:
        label, hour = it.rental.label, 3600.0
        began_ts = time.time() - 4 * hour
        it.me.ledger._database.execute("UPDATE rentals SET created_ts = ?", (began_ts,))
        it.me.ledger._database.execute("DELETE FROM charges")
        it.me.ledger.enter(label, Phase.SETTING_UP, began_ts, it.rental.offer.price_microusd_per_h)
        settings = preferences(tmp_path, it.me)
        with Store(settings.database) as store:
            second = Minder(label, settings, store, Targets(settings), Shown())
            for minder in (it.minder, second):
                for state, hours in ((JobState.RUNNING, 0.5), (JobState.PAUSED, 1.0), (JobState.RUNNING, 3.5)):
                    minder.entered("r", state, began_ts + hours * hour)
            second.close()
        paid_s = sum(span.elapsed_us(time.time()) for span in it.me.ledger.spans(label)) / 1e6
        assert abs(paid_s - 4 * hour) < 10.0
        phases = [span.phase for span in it.me.ledger.spans(label)]
        assert phases == [Phase.SETTING_UP, Phase.TRAINING, Phase.IDLE, Phase.TRAINING]


async def test_a_price_that_rose_while_somebody_moves_the_end_moves_it_afterwards(tmp_path: Path) -> None:
    async with minded(tmp_path) as it:
        await it.until("heard")
        label, before = it.rental.label, it.me.ledger.rental(it.rental.label)
        assert before.deadline_ts is not None
        async with RentalFolder(tmp_path, label).moving():
            for instance in it.me.fake.instances.values():
                instance.changes |= {"dph_total": 40.0}
            await it.until("trouble")
            assert it.me.ledger.rental(label).deadline_ts == before.deadline_ts
            assert it.me.ledger.rental(label).price_microusd_per_h > 10_000_000
        async with asyncio.timeout(30):
            while it.me.ledger.rental(label).deadline_ts == before.deadline_ts:
                it.minder.look_now()
                await asyncio.sleep(0.05)
        after = it.me.ledger.rental(label)
        assert after.deadline_ts is not None
        assert after.deadline_ts - time.time() <= 10_000_000 * 3600 / after.price_microusd_per_h
        assert after.stops_for == "the cap"
        assert any(note.startswith("the price is $40") for note in it.shown.costs[-1].notes)
