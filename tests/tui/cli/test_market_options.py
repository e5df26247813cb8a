"""What ``offers`` and ``train --on`` a provider leave out, and what they take first, as it is typed."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loratui.settings import load
from loratui.store.rentals import Rentals
from support.fake_runpod import FakeRunPod
from support.fake_vast import FakeVast, ask
from support.local_cli import LocalCli
from support.market_cli import config_file, market_cli

DAY_S = 86_400.0


@pytest.fixture
def cli(tmp_path: Path, vast: FakeVast, runpod: FakeRunPod) -> Iterator[LocalCli]:
    with market_cli(tmp_path, vast, runpod) as cli:
        yield cli


def offers(cli: LocalCli, *arguments: str | Path) -> list[dict[str, Any]]:
    command = cli.run("offers", "--json", *arguments)
    assert command.process.returncode == 0, command.errors
    found: list[dict[str, Any]] = json.loads(command.lines[0])
    return found


def picked(cli: LocalCli, *arguments: str | Path) -> str:
    """Return how a run that nobody pays for names the offer that it would have taken."""
    refused = cli.run("train", *arguments, "--budget", "0.000001", "--yes", "--plain")
    said = "\n".join(refused.errors)
    assert "[budget.too_low]" in said, said
    return said


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        (("--vram", "32"), lambda offer: offer["vram_gib"] > 29),
        (("--max-price", "0.40"), lambda offer: offer["usd_per_h"] <= 0.40),
        (("--region", "no"), lambda offer: offer["region"] == "NO"),
        (("--region", "no,ro"), lambda offer: offer["region"] in ("NO", "RO")),
        (("--cuda", "13.0", "--provider", "vast"), lambda offer: offer["cuda"] == "13.0"),
        (("--compute-capability", "12.0", "--provider", "vast"), lambda offer: offer["gpu"] == "RTX 5090"),
        (("--min-reliability", "0.998", "--provider", "vast"), lambda offer: offer["id"] == "301"),
        (("--datacenter",), lambda offer: offer["is_datacenter"]),
    ],
)
@pytest.mark.parametrize("does_server_filter", [True, False])
def test_each_condition_is_met_by_all_that_is_listed_whether_the_server_heeds_it_or_not(
    cli: LocalCli,
    vast: FakeVast,
    options: tuple[str, ...],
    fits: Callable[[dict[str, Any]], bool],
    does_server_filter: bool,
) -> None:
    vast.asks[301] = ask(301, "RTX 3090", 24576, 0.9, reliability=0.9999, machine_id=1)
    vast.ignores_filters = not does_server_filter
    everything, listed = offers(cli), offers(cli, *options)
    assert listed
    assert all(map(fits, listed)), listed
    assert len(listed) < len(everything)


def test_a_condition_that_a_provider_says_nothing_about_is_said_to_leave_out_none_of_its_offers(
    cli: LocalCli,
) -> None:
    command = cli.run("offers", "--compute-capability", "8.6")
    assert "note: runpod does not say that of some offers, so --compute-capability leaves none of these out" in (
        command.errors
    )
    assert not any(line.startswith("note:") for line in cli.run("offers").errors)


def test_a_refusal_that_does_not_exist_can_not_be_accepted(cli: LocalCli) -> None:
    misspelt = cli.run("train", "x.toml", "--on", "vast", "--budget", "1", "--yes", "--accept", "upload.slwo")
    assert misspelt.finish() == 2
    assert "[usage.accept]" in "\n".join(misspelt.errors)
    assert "did you mean upload.slow?" in "\n".join(misspelt.errors)
    useless = cli.run("train", "x.toml", "--on", "local", "--accept", "upload.slow")
    assert useless.finish() == 2


@pytest.mark.parametrize("typed", [("--region", "Norway"), ("--cuda", "12"), ("--min-reliability", "99")])
def test_what_is_no_condition_is_refused_with_how_to_write_it(cli: LocalCli, typed: tuple[str, str]) -> None:
    refused = cli.run("offers", *typed)
    assert refused.process.returncode == 2
    assert "write" in "\n".join(refused.errors)


def test_a_run_takes_what_comes_first_in_the_order_that_was_asked_for(cli: LocalCli, vast: FakeVast) -> None:
    vast.asks[301] = ask(301, "Reliable 9000", 24576, 0.9, reliability=0.9999, machine_id=1)
    config = config_file(cli)
    firsts = {}
    for sort_by in ("total", "price", "time", "reliability", "privacy"):
        [first, *_] = offers(cli, "--for", config, "--provider", "vast", "--sort", sort_by)
        firsts[sort_by] = first["gpu"]
        assert f"on {first['gpu']} at $" in picked(cli, config, "--on", "vast", "--sort", sort_by)
    assert firsts["reliability"] == "Reliable 9000"
    assert firsts["privacy"] == "RTX A6000"
    assert len(set(firsts.values())) >= 3


def test_a_run_is_rented_only_where_every_condition_is_met(cli: LocalCli) -> None:
    config = config_file(cli)
    assert "RTX A6000" in picked(cli, config, "--on", "vast", "--region", "US")
    assert "RTX 3090" in picked(cli, config, "--on", "vast", "--max-price", "0.2")
    nothing = cli.run("train", config, "--on", "vast", "--region", "JP", "--budget", "1", "--yes")
    assert nothing.process.returncode == 2
    assert "[offers.none]" in "\n".join(nothing.errors)


@pytest.mark.parametrize(("age_s", "is_taken"), [(29 * DAY_S, False), (31 * DAY_S, True)])
def test_a_machine_that_did_not_serve_is_left_out_for_thirty_days(cli: LocalCli, age_s: float, is_taken: bool) -> None:
    config = config_file(cli)
    with Rentals(load(environ=cli.environment).database) as ledger:
        ledger.note_bad_host("vast", "2102", "it never came up", time.time() - age_s)
    train = cli.run("train", config, "--on", "vast", "--gpu", "3090", "--budget", "0.000001", "--yes")
    assert ("[budget.too_low]" if is_taken else "[offers.none]") in "\n".join(train.errors)
    listed = offers(cli, "--for", config, "--provider", "vast", "--gpu", "3090")
    assert [offer["id"] for offer in listed] == (["102"] if is_taken else [])
    note = "note: train leaves out vast 102 (RTX 3090): it did not serve within the last 30 days (it never came up)"
    assert (note in cli.run("offers", "--provider", "vast").errors) is not is_taken


def test_a_pod_that_did_not_serve_has_its_kind_come_last_for_an_hour_and_the_reason_said(cli: LocalCli) -> None:
    config, kind = config_file(cli), "NVIDIA RTX A5000 COMMUNITY"
    cheap = ("--for", config, "--provider", "runpod", "--gpu", "A5000")
    cli.environment["LORATUI_RENTAL__BOOT_LIMIT_MIN"] = "0.01"
    assert [offer["id"][:9] for offer in offers(cli, *cheap)] == ["COMMUNITY", "SECURE|NV"]
    # Nobody moves the clock of this provider: nothing that is rented there ever starts.
    train = cli.run("train", config, "--on", "runpod", "--max-price", "0.2", "--budget", "1", "--yes", "--plain")
    assert train.finish() == 4
    assert "did not start within" in "\n".join(train.errors)
    listed = offers(cli, *cheap)
    assert [offer["id"][:9] for offer in listed] == ["SECURE|NV", "COMMUNITY"]
    assert [bool(offer["failed_before"]) for offer in listed] == [False, True]
    for listing in (("offers", *cheap), ("offers", "--gpu", "A5000")):
        [note] = [line for line in cli.run(*listing).errors if line.startswith("note: ")]
        assert note.startswith(
            f"note: train takes runpod {kind} last: one of these did not serve within the last 60 min"
        )
        assert "did not start within" in note
    said = picked(cli, config, "--on", "runpod", "--gpu", "A5000")
    assert "on RTX A5000 at $0.28/h" in said, "the dearer one was taken"
    assert f"note: train takes runpod {kind} last" in said
    with Rentals(load(environ=cli.environment).database) as ledger:
        ledger.note_bad_host("runpod", kind, "it did not start", time.time() - 3601)
    assert [offer["id"][:9] for offer in offers(cli, *cheap)] == ["COMMUNITY", "SECURE|NV"]


@pytest.mark.parametrize("target", ["local", "ssh://root@127.0.0.1:1"])
def test_what_chooses_among_offers_is_refused_where_nothing_is_rented(cli: LocalCli, target: str) -> None:
    refused = cli.run("train", config_file(cli), "--on", target, "--max-price", "1")
    assert refused.process.returncode == 2
    assert "--max-price chooses among what can be rented" in "\n".join(refused.errors)


def test_the_least_reliability_is_a_setting_and_an_option_goes_before_it(cli: LocalCli, vast: FakeVast) -> None:
    assert "208" not in {offer["id"] for offer in offers(cli, "--provider", "vast")}
    cli.environment["LORATUI_RENTAL__MIN_RELIABILITY"] = "0.7"
    assert "208" in {offer["id"] for offer in offers(cli, "--provider", "vast")}
    assert "208" in {offer["id"] for offer in offers(cli, "--provider", "vast", "--for", config_file(cli))}
    strict = offers(cli, "--provider", "vast", "--min-reliability", "0.9")
    assert strict
    assert "208" not in {offer["id"] for offer in strict}


def test_what_is_spent_without_a_budget_is_a_setting(cli: LocalCli) -> None:
    cli.environment["LORATUI_RENTAL__MAX_USD"] = "0.0001"
    refused = cli.run("train", config_file(cli), "--on", "vast", "--plain")
    said = "\n".join(refused.errors)
    assert "[budget.too_low]" in said
    assert "without --budget no more is spent than $0.0001" in said


def test_one_offer_can_be_named_and_nothing_else_is_rented(cli: LocalCli, vast: FakeVast) -> None:
    config = config_file(cli)
    ids = [offer["id"] for offer in offers(cli, "--for", config)]
    assert ids.index("103") > 0, "it is not what would be taken anyway"
    assert "on RTX 5090 at $" in picked(cli, config, "--on", "vast", "--offer", "103")
    of_runpod = next(offer for offer in ids if offer.startswith("SECURE"))
    assert "(runpod)" in picked(cli, config, "--on", "runpod", "--offer", of_runpod)

    gone = ("train", config, "--budget", "1", "--yes", "--plain", "--on", "vast", "--offer")
    for command in (cli.run(*gone, "103", "--max-price", "0.2"), cli.run(*gone, "999")):
        assert command.process.returncode == 2
        assert "[offers.gone]" in "\n".join(command.errors)
    assert not vast.instances

    useless = cli.run("train", config, "--on", "local", "--offer", "103", "--yes")
    assert useless.process.returncode == 2
    assert "--offer chooses among what can be rented" in "\n".join(useless.errors)
