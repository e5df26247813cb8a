"""``train --on`` a provider: real machines on loopback are rented, train, and are gone, whatever is pulled."""

import json
import signal
from decimal import Decimal
from pathlib import Path

import pytest

from loratui.domain.base_kinds import TINY
from loratui.domain.rental import RentalState
from loratui.report.judgement_zip import open_judgement
from support.agent_process import wait_until
from support.fake_runpod import NO_CAPACITY
from support.lora_files import attention_layers, kohya, write_file
from support.rented_world import World, write_config
from support.sshd import needs_sshd

pytestmark = [needs_sshd, pytest.mark.torch, pytest.mark.timeout(300)]


@pytest.mark.parametrize("target", ["vast", "runpod"])
def test_a_run_is_rented_trained_fetched_and_its_machine_is_shown_gone(
    world: World, tmp_path: Path, target: str
) -> None:
    config = write_config(tmp_path, rights_statement="All mine")
    train = world.cli.run("train", config, "--on", target, "--budget", "1", "--yes", "--plain")
    assert train.finish() == 0, train.errors
    said = "\n".join(train.errors)
    assert "at most $1.00; auto-stop in" in said
    assert "dead-man: the machine ends its own rental; its key was tried" in said
    assert f"the rental is gone, as {target} shows" in said
    assert "of it for the disk)" in said
    assert list((tmp_path / "out").glob("*.safetensors"))
    assert world.num_living() == 0
    [rental] = world.rentals()
    assert (rental.provider, rental.state, rental.proven_gone, rental.is_tidy) == (target, RentalState.GONE, True, True)
    assert [run.gpu for run in world.runs()] == [rental.offer.gpu_name]
    assert [run.rights for run in world.runs()] == ["stated in the config: All mine"]
    assert world.cli.run("rentals").lines == ["nothing is rented"]
    assert world.vast.account_keys == {}, "our key is off the account"
    again = world.cli.run("attach", "--plain")
    assert again.finish() == 0, again.errors
    assert any("done" in line for line in again.lines), "its history outlives the machine"


def test_files_are_judged_on_a_rented_machine_priced_before_fetched_and_the_machine_is_shown_gone(
    world: World, tmp_path: Path
) -> None:
    layers = [layer for layer in attention_layers(TINY.network) if layer.name.endswith("to_q")]
    lora = write_file(tmp_path / "mine.safetensors", kohya(TINY.network, layers=layers))
    grid = ("--size", "64,64", "--weights", "0,1", "--seeds", "2", "--prompt", "{trigger} on a red background")
    paid = ("--on", "vast", "--budget", "1", "--yes", "--plain")
    test = world.cli.run("test", lora, "--base", "builtin:tiny", "--trigger", "zorbix", *grid, *paid)
    assert test.finish() == 0, test.errors
    said = [line for line in test.errors if not line.startswith("vast ")]
    # Three prompts, two seeds, the file and the base model.
    drawn = said.index("tried out for mine: 12 pictures of 1 file: weights 0, 1; 2 seeds a prompt")
    priced = next(index for index, line in enumerate(said) if line.startswith("at most $1.00; auto-stop in"))
    began = next(index for index, line in enumerate(said) if ": mine, 12 pictures on vast:" in line)
    assert drawn < priced < began
    assert "rights.unstated" not in "\n".join(said), "there are no pictures"
    assert "the rental is gone, as vast shows" in "\n".join(said)
    assert world.num_living() == 0
    assert [(each.proven_gone, each.is_tidy) for each in world.rentals()] == [(True, True)]
    [*sheets, report] = map(Path, world.cli.run("report").lines)
    assert [path.name for path in sheets] == ["mine.png"]
    assert report.read_text("utf-8").count("data:image/jpeg") == 12
    with open_judgement(report.with_name("mine-judgement.zip")) as judged:
        assert all(judged.picture(each.cell) for each in judged.judgement.pictures)


def test_another_start_of_the_client_follows_the_run_to_its_end_and_ends_the_rental(
    world: World, tmp_path: Path
) -> None:
    config = write_config(tmp_path, max_train_steps=60)
    train = world.cli.start("train", config, "--on", "cheapest", "--budget", "1", "--yes", "--json")
    train.wait_for_step(2)
    train.kill()
    attach = world.cli.run("attach", "--json")
    assert attach.finish() == 0, attach.errors
    assert [each["state"] for each in attach.events() if each["event"] == "state"][-1] == "done"
    assert "the rental is gone" in "\n".join(attach.errors)
    assert world.num_living() == 0
    assert list((tmp_path / "out").glob("*.safetensors"))


def test_what_forbids_a_rental_is_said_before_anything_is_rented(world: World, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    unlimited = world.cli.run("train", config, "--on", "vast", "--yes", "--plain")
    assert (unlimited.finish(), "[usage.budget]" in unlimited.errors[-2]) == (2, True)
    unasked = world.cli.run("train", config, "--on", "vast", "--budget", "1", "--plain")
    assert (unasked.finish(), "[usage.unasked]" in "\n".join(unasked.errors)) == (2, True)
    tight = world.cli.run("train", config, "--on", "vast", "--budget", "0.0001", "--yes", "--plain")
    assert tight.finish() == 2
    assert "[budget.too_low]" in "\n".join(tight.errors)
    world.cli.environment["LORATUI_VAST_API_KEY"] = "wrong-key-canary"
    wrong = world.cli.run("train", config, "--on", "vast", "--budget", "1", "--yes", "--plain")
    assert wrong.finish() == 4
    assert "[provider.key]" in "\n".join(wrong.errors)
    assert "canary" not in "\n".join(wrong.errors)
    world.runpod.answer("offers", 200, json.dumps({"gpus": []}).encode(), times=100, content_type="application/json")
    nothing = world.cli.run("train", config, "--on", "runpod", "--budget", "1", "--yes", "--plain")
    assert nothing.finish() == 2
    assert "[offers.none]" in "\n".join(nothing.errors)
    assert world.num_living() == 0
    assert all(rental.proven_gone and not rental.instance_id for rental in world.rentals())


@pytest.mark.parametrize("provider", ["vast", "runpod"])
def test_an_account_that_does_not_pay_for_the_run_rents_nothing(world: World, tmp_path: Path, provider: str) -> None:
    world.vast.credit, world.runpod.balance = 0.0, Decimal(0)
    poor = world.cli.run("train", write_config(tmp_path), "--on", provider, "--budget", "1", "--yes", "--plain")
    assert poor.finish() == 2, poor.errors
    assert f"[balance.too_low] there is $0.00 on the {provider} account" in "\n".join(poor.errors)
    assert world.at(provider)[0].num_requests("create") == 0
    assert world.rentals() == []


def test_a_provider_that_wants_more_on_the_account_than_the_run_costs_says_so_itself(
    world: World, tmp_path: Path
) -> None:
    # Less than an hour of the machine, and several times what these few minutes of it are likely to cost.
    world.vast.credit = 0.1
    poor = world.cli.run("train", write_config(tmp_path), "--on", "vast", "--budget", "1", "--yes", "--plain")
    assert poor.finish() == 4, poor.errors
    said = "\n".join(poor.errors)
    assert "the cap is lowered from $1.00" in said
    assert "[provider.balance]" in said
    assert (world.vast.num_requests("create"), world.num_living()) == (1, 0), "no other offer would do"
    assert [(each.proven_gone, each.is_tidy) for each in world.rentals()] == [(True, True)]


GONE = {
    "vast": (410, b'{"success": false, "error": "no_such_ask", "msg": "no longer available"}'),
    "runpod": (400, json.dumps({"title": "Bad Request", "status": 400, "detail": NO_CAPACITY}).encode()),
}
"""What is said to a request for a machine that somebody else has got meanwhile. 400 alone could mean many things."""


@pytest.mark.parametrize("provider", ["vast", "runpod"])
def test_an_offer_that_somebody_else_took_leads_to_the_next_one(world: World, tmp_path: Path, provider: str) -> None:
    world.at(provider)[0].answer("create", *GONE[provider])
    train = world.cli.start("train", write_config(tmp_path), "--on", provider, "--budget", "1", "--yes", "--plain")
    wait_until(lambda: train.said(": ready"), "the next machine", 60)
    assert world.num_living() == 1
    train.process.send_signal(signal.SIGINT)
    assert train.finish() == 130, train.errors
    assert world.num_living() == 0
    first, second = sorted(world.rentals(), key=lambda rental: rental.created_ts)
    assert (first.state, first.instance_id, first.offer.id != second.offer.id) == (RentalState.GONE, "", True)
    assert (second.state, second.proven_gone) == (RentalState.GONE, True)


def test_when_no_offer_is_left_that_is_said_and_nothing_bills(world: World, tmp_path: Path) -> None:
    world.runpod.answer("create", *GONE["runpod"], times=100)
    train = world.cli.run("train", write_config(tmp_path), "--on", "runpod", "--budget", "1", "--yes", "--plain")
    assert train.finish() == 4, train.errors
    said = "\n".join(train.errors)
    assert "[rental.none_left] nothing is rented. " in said
    assert said.count("(runpod): RunPod has none left: Bad Request: There are no longer any instances available") == 5
    assert "look for offers again" in said
    assert world.num_living() == 0
    assert len(world.rentals()) == world.runpod.num_requests("create") == 5
    assert all(rental.proven_gone and not rental.instance_id for rental in world.rentals())
    assert world.cli.run("rentals").lines == ["nothing is rented"]
