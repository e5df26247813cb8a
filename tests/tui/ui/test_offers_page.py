"""The offers screen over providers on loopback: what they said, why it costs that, and nothing rented by accident."""

import asyncio
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.domain.estimate_ranking import SortBy
from loratui.sessions.market_look import look_at_market
from loratui.sessions.overview import overview
from loratui.sessions.rights import rights_of
from loratui.store.keys import Keys
from loratui.store.told import was_told
from loratui.ui.market_asker import Answer
from loratui.ui.screens.offers import OffersPage
from loratui.ui.text import cells
from loratui_protocol.config_file import read_config
from support.fake_vast import ask
from support.model_server import model_files, model_server
from support.ui_effects.effect import Check, lacks, shows, until
from support.ui_effects.home import DeskOfMany
from support.ui_effects.offers import at_market
from support.ui_pilot import Shown

HOSTILE = "\x1b]52;c;aGFja2Vk\x07[bold red]4090[/] \u202e日本\ud800"


def page(shown: Shown) -> OffersPage:
    found = shown.screen.pages["offers"]
    assert isinstance(found, OffersPage)
    return found


def rows_of_offers(shown: Shown) -> list[str]:
    rows = shown.rows()
    head = next(number for number, row in enumerate(rows) if "TOTAL≈" in row)
    end = next(number for number, row in enumerate(rows) if number > head and row.startswith("─"))
    return [row for row in rows[head + 1 : end] if row.strip()]


async def told(shown: Shown, check: Check) -> None:
    """Let seconds pass until the screen is as it should be: commands are processes."""
    end_s = time.monotonic() + 60
    while not check(shown):
        assert time.monotonic() < end_s, shown.text()
        await shown.tick()


async def test_offers_come_by_the_total_and_then_as_they_are_asked_for(tmp_path: Path) -> None:
    async with at_market(tmp_path, size=(120, 40)) as (shown, _):
        market = page(shown)._market
        assert market is not None
        prices = {f"{quote.offer.price_microusd_per_h / 1e6:.2f}" for quote in market.quoted.ranked}
        rows = rows_of_offers(shown)
        assert len(rows) == len(market.quoted.ranked)
        assert rows[0].startswith("> RTX 3090")
        assert all(any(f" {price} " in row for price in prices) for row in rows)

        await shown.press("s")
        by_price = [next(price for price in sorted(prices) if f" {price} " in row) for row in rows_of_offers(shown)]
        assert by_price == sorted(by_price)
        await shown.press("s")
        assert "by time ↑" in shown.text()
        # The cursor stays on its offer.
        assert [row for row in rows_of_offers(shown) if row.startswith("> RTX 3090")]


async def test_the_age_of_what_was_answered_is_told_until_it_is_asked_again(tmp_path: Path) -> None:
    async with at_market(tmp_path) as (shown, here):
        await shown.tick(39)
        assert "40 s ago" in shown.text()
        here.vast.asks[301] = ask(301, "RTX 3090", 24576, 0.05)
        await shown.press("r")
        await until(shown, shows(" 0.06 ", "0 s ago"))


async def test_nothing_is_rented_while_the_answers_are_awaited_which_is_said(tmp_path: Path) -> None:
    async with at_market(tmp_path, is_config_open=False) as (shown, here):
        shown.screen.config_path = here.config
        page = shown.screen.page
        # No answer is heard before the next await.
        page.entered()
        assert page.refusals()["rent"] == "the providers have not answered yet"
        await until(shown, shows("s ago"))
        assert "rent" not in page.refusals()


async def test_a_config_that_is_opened_while_one_waits_here_is_asked_for(tmp_path: Path) -> None:
    async with at_market(tmp_path, is_config_open=False) as (shown, here):
        assert "No config is open" in shown.text()
        shown.screen.config_path = here.config
        await shown.tick()

        await until(shown, shows("s ago"))


async def test_without_a_network_each_attempt_is_told_and_nobody_has_to_wait(tmp_path: Path) -> None:
    async with at_market(tmp_path, is_config_open=False) as (shown, here):
        shown.screen.config_path = here.config
        asker = page(shown)._asker
        shown.screen.desk.preferences = replace(shown.screen.desk.preferences, vast_url="http://127.0.0.1:1")
        page(shown).entered()
        await until(shown, shows("Asking vast and runpod what can be rented for job.toml…"))
        await until(shown, shows("vast can't be reached", "attempt 2 of 4 comes in 1 s", "asking, attempt 2 of 4"))
        await shown.press("escape")
        assert "are not waited for any more" in shown.text()
        assert not asker.is_asking
        await shown.press("r")
        await until(shown, shows("attempt 2 of 4"))


async def test_what_is_wrong_with_a_filter_is_told_and_hides_nothing(tmp_path: Path) -> None:
    async with at_market(tmp_path) as (shown, _):
        await shown.press("/")
        await shown.type("4090 -vast price<")
        assert "! price wants a number" in shown.text()
        assert len(rows_of_offers(shown)) == 2
        await shown.type(".5")
        assert "!" not in shown.rows()[3]
        assert len(rows_of_offers(shown)) == 1
        await shown.press("escape")
        assert len(rows_of_offers(shown)) == 6


async def test_each_part_of_a_price_says_where_it_comes_from_and_two_stand_side_by_side(tmp_path: Path) -> None:
    async with at_market(tmp_path, size=(120, 40)) as (shown, _):
        assert "training       ≈" in shown.text()
        assert "table: kohya_ss #1288" in shown.text()
        assert "assumed: an uplink of 10 Mbit/s" in shown.text()
        await shown.press("space", "G", "space")
        assert "RTX 3090 · vast NO against L40S · runpod" in shown.text()
        assert next(row for row in shown.rows() if row.startswith(" TOTAL")).count("≈$") == 2


async def test_without_a_config_nothing_is_asked_and_one_can_be_named(tmp_path: Path) -> None:
    async with at_market(tmp_path, is_config_open=False) as (shown, here):
        assert "No config is open." in shown.text()
        assert not here.vast.requests
        await shown.press("enter")
        assert "no config is open: o opens one" in shown.text()
        await shown.press("o")
        await shown.type(str(tmp_path / "none.toml"))
        await shown.press("enter")
        assert "there is no file" in shown.text()
        await shown.press("o")
        await shown.type(str(here.config))
        await shown.press("enter")
        await until(shown, shows("offers for job.toml", "s ago"))
        assert shown.screen.config_path == here.config


async def test_a_config_that_can_not_be_read_is_told_with_what_to_do(tmp_path: Path) -> None:
    async with at_market(tmp_path, is_config_open=False) as (shown, here):
        here.config.write_text("max_train_steps = 'many'\n")
        shown.screen.config_path = here.config
        await shown.press("r")
        await until(shown, shows("r asks again, o opens another."))
        assert "max_train_steps" in shown.text()


async def test_without_a_key_enter_leads_to_entering_one_which_is_tried_and_never_shown(tmp_path: Path) -> None:
    async with at_market(tmp_path, keys=()) as (shown, here):
        assert "there is no key of vast" in shown.text()
        await shown.press("enter")
        await until(shown, shows("nothing can be rented there without one", "It needs: misc, user_read"))
        for text, said in (("not-the-key-0123", "key not kept"), (here.vast.key, "the key works")):
            shown.clock.advance(1)
            await shown.press("v")
            await shown.type(text)
            assert text not in shown.text()
            assert "•••" in shown.text()
            await shown.press("enter")
            await until(shown, shows(said))
            is_kept = Keys(here.preferences.config_dir).read("vast") is not None
            assert is_kept is (text == here.vast.key)
            if not is_kept:
                await shown.press("p")
                await until(shown, shows("Whose key"))
        assert "Balance $25.00" in shown.text()
        await until(shown, lacks("there is no key of vast"))


async def test_the_first_rental_is_explained_and_neither_enter_nor_space_rents(tmp_path: Path) -> None:
    async with at_market(tmp_path) as (shown, here):
        await shown.press("enter")
        await shown.tick()
        for text in (
            "TOTAL ≈$",
            "Cap $",
            "Auto-stop in",
            "Billed by the second from the moment the machine exists",
            "the machine ends itself at the auto-stop",
            "While this laptop sleeps",
            "can read the pictures",
            "stated in the config: All pictures are mine",
        ):
            assert text in " ".join(shown.text().split()), text
        await shown.press("enter", "space", "enter")
        assert "RENT RTX 3090" in shown.text()
        await shown.press("escape")
        assert not shown.screen.errands.all
        assert here.vast.num_requests("create") == 0
        assert "space marks two" in shown.text()


async def test_what_renting_means_is_told_once_to_a_person_not_once_a_session(tmp_path: Path) -> None:
    async with at_market(tmp_path) as (shown, here):
        assert (await asyncio.to_thread(look_at_market, here.config, here.preferences)).is_first
        for is_told in (True, False):
            await shown.press("enter")
            await shown.tick()
            assert ("Billed by the second" in shown.text()) is is_told
            assert "cap $" in shown.text()
            await shown.press("escape")
        await until(shown, lambda _: was_told(here.preferences.database, "renting"))
        assert not (await asyncio.to_thread(look_at_market, here.config, here.preferences)).is_first


async def test_the_cap_can_be_another_and_what_it_does_not_pay_for_is_refused(tmp_path: Path) -> None:
    async with at_market(tmp_path) as (shown, _):
        for typed, said in (("0.01", "is likely to cost"), ("3.5", "cap $3.50")):
            await shown.press("enter")
            await shown.tick()
            await shown.press("b", *["backspace"] * 4)
            await shown.type(typed)
            await shown.press("enter")
            await until(shown, shows("y Rent it and start"))
            await shown.tick()
            assert said in shown.text()
            await shown.press("escape")
        assert not shown.screen.errands.all


async def test_what_an_account_does_not_pay_for_is_told_with_what_to_do(tmp_path: Path) -> None:
    async with at_market(tmp_path) as (shown, here):
        here.vast.empty_account()
        await shown.press("r")
        await until(shown, shows("0 s ago"))
        await shown.press("enter")
        await shown.tick()
        text = " ".join(shown.text().split())
        assert "there is $0.02 on the vast account" in text
        assert "add $" in text
        await shown.press("escape")
        assert "space marks two" in shown.text()
        assert not shown.screen.errands.all


async def test_order_and_filter_are_found_again(tmp_path: Path) -> None:
    async with at_market(tmp_path) as (shown, _):
        await shown.press("s", "/")
        await shown.type("4090")
        kept = page(shown).kept()
        for damaged in ({}, {"sort": "colour"}):
            page(shown).restore(damaged)
            assert len(rows_of_offers(shown)) == 6
        page(shown)._list.sort_by = SortBy.TOTAL
        page(shown).restore(kept)
        await shown.tick()
        assert "by price ↑" in shown.text()
        assert len(rows_of_offers(shown)) == 4


async def test_a_rental_takes_the_chosen_offer_and_giving_it_up_ends_it(tmp_path: Path) -> None:
    async with at_market(tmp_path, size=(120, 40)) as (shown, here):
        await shown.press("G", "/")
        await shown.type("5090")
        await shown.press("enter")
        await shown.press("enter")
        await shown.tick()
        await shown.press("y")
        await told(shown, lambda _: bool(here.vast.instances))
        [instance] = here.vast.instances.values()
        assert instance.ask["id"] == 103, "the dearer one was chosen"
        await told(
            shown, shows("renting RTX 5090", "offer: RTX 5090 32 GiB at vast", "at most $", "x gives the rental up")
        )
        await shown.press("enter")
        assert len(shown.screen.errands.all) == 1, "one at a time"

        def boots(_: Shown) -> bool:
            assert isinstance(shown.screen.desk, DeskOfMany)
            shown.screen.desk.now = overview(here.preferences)
            return re.search(r"◐ BOOT [234]/7", shown.rows()[0]) is not None

        await told(shown, boots)
        assert re.match(r" ≈\$0\.\d+ spent · \$0\.53/h · at most \$", shown.rows()[1])

        await shown.press("x")
        await shown.tick()
        await shown.press("y")
        await told(shown, lambda _: not here.vast.instances and not shown.screen.errands.under_way)
        assert instance.id in here.vast.ended
        assert overview(here.preferences).rentals == ()
        await told(shown, shows("It has ended", "loratui train"))


async def test_the_run_is_opened_once_it_has_begun(tmp_path: Path) -> None:
    run_id = "01HZZZZZZZZZZZZZZZZZZZZZZY"
    async with at_market(tmp_path) as (shown, here):
        await shown.press("enter")
        await shown.tick()
        await shown.press("y")
        await told(shown, lambda _: bool(here.vast.instances))
        [errand] = shown.screen.errands.all
        with errand.words.open("a") as words:
            words.write(f"\nrun {run_id}: cat, 12 steps on vast\n")
        await told(shown, shows("▌5Run▐", "● TRAINING"))
        assert shown.screen.desk.opened == [run_id]  # type: ignore[attr-defined]
        await shown.press("4")
        assert "TOTAL≈" in shown.text(), "the offers are there again"
        await shown.press("x")
        assert "a run has begun there" in shown.text()


async def test_a_price_that_has_risen_since_rents_nothing(tmp_path: Path) -> None:
    async with at_market(tmp_path) as (shown, here):
        here.vast.asks[102]["dph_base"] *= 1.5
        await shown.press("enter")
        await shown.tick()
        await shown.press("y")
        await told(shown, shows("can't be rented for this run now", "Nothing was rented"))
        assert here.vast.num_requests("create") == 0


@pytest.mark.parametrize("may_train", [True, False])
async def test_the_rights_to_the_pictures_are_asked_before_and_never_taken_for_granted(
    tmp_path: Path, may_train: bool
) -> None:
    async with at_market(tmp_path, rights_statement=None) as (shown, here):
        await shown.press("enter")
        await shown.tick()
        assert "Are you allowed to train on these pictures?" in shown.text()
        await shown.press("y", "enter")
        assert "Are you allowed" in shown.text()
        await shown.press("m" if may_train else "n")
        await until(shown, shows("y Rent it and start" if may_train else "may not be trained on"))
        rights = rights_of(read_config(here.config).config, here.preferences)
        assert rights.are_given is may_train
        assert rights.answer is not None
        assert not shown.screen.errands.all


async def test_of_two_questions_the_newest_is_answered(tmp_path: Path) -> None:
    async with at_market(tmp_path) as (shown, here):
        other = here.folder / "other.toml"
        other.write_text(here.config.read_text())
        await shown.press("r")
        shown.screen.config_path = other
        await shown.press("r")
        await until(shown, shows("offers for other.toml", "s ago"))
        now = page(shown)._market
        assert now is not None
        late = Answer(path=here.config, asked_s=0.0, market=replace(now, path=here.config))
        page(shown).post_message(OffersPage.Answered(1, late))
        await shown.tick()
        assert "offers for other.toml" in shown.text()


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 40)])
async def test_whatever_a_provider_says_stays_in_its_place(tmp_path: Path, size: tuple[int, int]) -> None:
    async with at_market(tmp_path, size=size) as (shown, here):
        here.vast.asks[301] = ask(301, HOSTILE, 24576, 0.01, gpu_mem_bw=900.0, geolocation=f"{HOSTILE}, SE")
        await shown.press("r")
        await until(shown, shows("52;c"))
        for keys in ((), ("space", "j", "space"), ("space",), ("g", "enter")):
            await shown.press(*keys)
            await shown.tick()
            assert all(cells(row) <= size[0] and row.isprintable() for row in shown.rows()), shown.text()


async def test_the_form_writes_the_filter_and_reads_what_was_typed(tmp_path: Path) -> None:
    async with at_market(tmp_path) as (shown, _):
        await shown.press("/")
        await shown.type("4090 vram>=24")
        await shown.press("enter", "f")
        assert "> VRAM, at least          24" in shown.text()
        assert "anything else           4090" in shown.text()
        num_before = len(rows_of_offers(shown))
        await shown.press("j", "enter")
        await shown.type("cheap")
        await shown.press("enter")
        assert "! price wants a number" in shown.text()
        assert len(rows_of_offers(shown)) == num_before
        await shown.press("enter")
        await shown.type("0.5")
        await shown.press("enter")
        assert page(shown)._list.query_text == "vram>=24 price<=0.5 4090"
        assert len(rows_of_offers(shown)) < num_before
        await shown.press("d", "escape")
        assert page(shown)._list.query_text == "vram>=24 4090"
        assert "filter of the offers" not in shown.text()
        await shown.press("j")
        assert len([row for row in rows_of_offers(shown) if row.startswith(">")]) == 1, "the list has its keys again"


async def test_the_run_that_has_begun_is_opened_after_the_question_that_is_open_is_answered(tmp_path: Path) -> None:
    run_id = "01HZZZZZZZZZZZZZZZZZZZZZZY"
    async with at_market(tmp_path) as (shown, here):
        await shown.press("enter")
        await shown.tick()
        await shown.press("y")
        await told(shown, lambda _: bool(here.vast.instances))
        await shown.press("q")
        assert "─ LEAVE" in shown.text()
        [errand] = shown.screen.errands.all
        with errand.words.open("a") as words:
            words.write(f"\nrun {run_id}: cat, 12 steps on vast\n")
        for _ in range(5):
            await shown.tick()
        assert "─ LEAVE" in shown.text()
        assert shown.screen.desk.opened == []  # type: ignore[attr-defined]
        await shown.press("escape")
        await told(shown, shows("▌5Run▐", "● TRAINING"))


async def test_a_models_token_is_typed_hidden_and_tried_and_the_command_alone_gets_it(tmp_path: Path) -> None:
    with model_server() as server:
        server.model, server.token = model_files(), "hf_right"
        changes = {"hub_url": server.url, "pretrained_model_name_or_path": "org/name"}
        async with at_market(tmp_path, **changes) as (shown, _):
            await shown.press("enter")
            await until(shown, shows("RENT RTX", "t Token"))
            shown.clock.advance(1)
            for typed, answer in (
                ("hf_wrong", "is not valid there (401)"),
                ("hf_right", "gets your token for 127"),
            ):
                await shown.press("t")
                await shown.type(typed)
                assert typed not in shown.text()
                await shown.press("enter")
                await until(shown, shows("RENT RTX", answer))
                shown.clock.advance(1)
            asked = len(server.requests)
            await shown.press("y")
            await told(shown, lambda _: len(server.requests) > asked)

            errand = shown.screen.errands.all[-1]
            assert {authorization for *_, authorization in server.requests[asked:]} == {"Bearer hf_right"}
            assert errand.argv[-1] == "--ask-token"
            assert "hf_right" not in shown.text() + "".join(errand.argv) + errand.words.read_text()


async def test_no_token_is_asked_for_where_the_model_travels_from_here(tmp_path: Path) -> None:
    async with at_market(tmp_path) as (shown, _):
        await shown.press("enter")
        await until(shown, shows("RENT RTX"))
        assert "Token" not in shown.text()
