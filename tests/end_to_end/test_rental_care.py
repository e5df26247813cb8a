"""A rental while it lasts: extended, kept, repriced, shared, vanished; nobody pays what they did not see coming."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from loratui.domain.ledger import Phase
from loratui.domain.rental import RentalState
from loratui.store import Store
from loratui.store.rentals import Rentals
from support.agent_process import wait_until
from support.rented_world import World, write_config
from support.replies import Reply
from support.sshd import needs_sshd

pytestmark = [needs_sshd, pytest.mark.torch, pytest.mark.timeout(300)]


def test_an_extension_moves_budget_and_deadline_of_the_rental_together(world: World, tmp_path: Path) -> None:
    config = write_config(tmp_path, max_train_steps=100_000)
    world.cli.environment["LORATUI_RENTAL__LEASE_MIN"] = "7"
    train = world.cli.start("train", config, "--on", "vast", "--budget", "1", "--yes", "--json")
    train.wait_for_step(2)
    [before] = world.rentals()
    assert before.deadline_ts is not None
    assert before.cap_microusd is not None
    extended = world.cli.run("extend", before.run_ids, "30m", "--yes")
    assert extended.finish() == 0, extended.errors
    said = "\n".join(extended.errors)
    assert re.search(r"30 min more at \$0\.\d\d/h: \$0\.\d+; at most \$1\.\d\d in all, \$1\.00 before", said), said
    [after] = world.rentals()
    assert after.deadline_ts == pytest.approx(before.deadline_ts + 1800)
    cost = -(-before.price_microusd_per_h * 1800 // 3600)
    assert after.cap_microusd == before.cap_microusd + cost
    [box] = world.vast_machines.running.values()
    told = world.armed_on(box)
    assert told["deadline_left_s"] == pytest.approx(after.deadline_ts - world.now_ts(), abs=5)
    assert told["lease_s"] == 420.0, "with nothing to do, and nobody there, it stays as long as was set"
    stop = world.cli.run("stop")
    assert stop.finish() == 0, stop.errors
    assert train.finish() == 0, train.errors
    assert world.num_living() == 0


def test_a_kept_machine_stays_for_so_long_and_is_then_gone(world: World, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    train = world.cli.run("train", config, "--on", "vast", "--budget", "1", "--keep", "8s", "--yes", "--plain")
    assert train.finish() == 0, train.errors
    said = "\n".join(train.errors)
    assert "everything is here; the machine is kept for" in said
    assert "pictures, results and tokens were removed there" in said
    assert "the rental is gone, as vast shows" in said
    assert world.num_living() == 0
    [rental] = world.rentals()
    with Rentals(world.database) as ledger:
        seconds = {span.phase: (span.to_ts or 0.0) - span.from_ts for span in ledger.spans(rental.label)}
    assert seconds[Phase.IDLE] >= 8.0
    assert list(seconds)[:3] == [Phase.BOOTING, Phase.CONNECTING, Phase.SETTING_UP]
    assert {Phase.TRAINING, Phase.ENDING} <= set(seconds)


def test_a_price_that_rises_is_said_and_costs_no_more_than_the_cap(world: World, tmp_path: Path) -> None:
    config = write_config(tmp_path, max_train_steps=100_000)
    world.cli.environment["LORATUI_RENTAL__ASK_EVERY_S"] = "1"
    train = world.cli.start("train", config, "--on", "vast", "--budget", "1", "--yes", "--plain")
    wait_until(lambda: train.said("step 1 of"), "the first step", 90)
    [before] = world.rentals()
    assert before.deadline_ts is not None
    world.raise_prices(20_000_000)
    wait_until(lambda: train.said("the price is $20."), "the news", 60)
    wait_until(lambda: train.said("auto-stop is in"), "the earlier deadline", 60)
    [after] = world.rentals()
    assert after.deadline_ts is not None
    left_s = after.deadline_ts - world.now_ts()
    assert after.deadline_ts < before.deadline_ts
    assert left_s * 20_000_000 / 3600 <= 1_000_000
    [box] = world.vast_machines.running.values()
    assert world.armed_on(box)["deadline_left_s"] == pytest.approx(left_s, abs=5)
    stop = world.cli.run("stop")
    assert stop.finish() == 0, stop.errors
    assert train.finish() == 0, train.errors
    assert world.num_living() == 0


def test_several_configs_share_one_machine_and_its_set_up(world: World, tmp_path: Path) -> None:
    configs = [write_config(tmp_path / name, output_name=name) for name in ("one", "two")]
    train = world.cli.run("train", *configs, "--on", "vast", "--budget", "1", "--yes", "--plain")
    assert train.finish() == 0, train.errors
    said = "\n".join(train.errors)
    assert "2 runs on one machine: its set-up took $0.0" in said
    assert said.count("the rental is gone") == 1
    for name in ("one", "two"):
        assert list((tmp_path / name / "out").glob(f"{name}.safetensors"))
    [rental] = world.rentals()
    assert len(rental.run_ids.split()) == 2
    with Store(world.database) as store:
        after = [store.run(run_id).on_done for run_id in rental.run_ids.split()]
    assert after == ["", "end"], "a first run that is over early ends no machine while the next is prepared"
    assert rental.state is RentalState.GONE
    assert world.num_living() == 0


@pytest.mark.long
def test_results_over_the_limit_keep_the_machine_until_they_are_fetched(world: World, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    world.cli.environment["LORATUI_DOWNLOADS__MAX_GIB"] = "0"
    train = world.cli.run("train", config, "--on", "vast", "--budget", "1", "--yes", "--plain")
    assert train.finish() != 0
    said = "\n".join(train.errors)
    assert "the machine alone has tiny.safetensors (the run's files are more than downloads.max_gib = 0)" in said
    assert "To fetch it: loratui download tiny" in said
    assert f"To end the machine without it: loratui terminate {world.rentals()[0].label}" in said
    assert "pictures, results and tokens were removed there" not in said
    assert world.num_living() == 1
    download = world.cli.run("download")
    assert download.finish() == 0, download.errors
    assert list((tmp_path / "out").glob("tiny.safetensors"))
    wait_until(lambda: world.num_living() == 0, "the machine to end itself, now that its results are here", 120)


@pytest.mark.long
def test_a_file_of_an_earlier_run_keeps_the_machine_and_the_last_run_does_not_wait_for_it_in_silence(
    world: World, tmp_path: Path
) -> None:
    # 2.6 MiB each: the first of its two checkpoints and the LoRA come, the second checkpoint would be too much.
    one = write_config(tmp_path / "one", output_name="one", network_dim=64, save_every_n_steps=6)
    two = write_config(tmp_path / "two", output_name="two")
    world.cli.environment["LORATUI_DOWNLOADS__MAX_GIB"] = str(4 / 1024)
    train = world.cli.run("train", one, two, "--on", "vast", "--budget", "1", "--yes", "--plain")
    assert train.finish() == 5, train.errors
    for name in ("one", "two"):
        assert list((tmp_path / name / "out").glob(f"{name}.safetensors"))
    said = "\n".join(train.errors)
    assert re.search(
        r"the machine alone has \S+\.safetensors \(the run's files are more than .*\) of one, and is", said
    )
    assert re.search(r"is kept for that at \$0\.\d\d/h, for .* at most; then it is lost", said), said
    [rental] = world.rentals()
    assert f"loratui terminate {rental.label}" in said
    assert world.num_living() == 1
    terminate = world.cli.run("terminate", rental.label, "--yes")
    assert terminate.finish() == 0, terminate.errors
    assert world.num_living() == 0


def test_a_rental_that_is_ended_by_hand_while_its_run_is_started_leads_to_no_other(
    world: World, tmp_path: Path
) -> None:
    config = write_config(tmp_path)
    world.vast_machines.lines.append({"bytes_per_s": 100_000})
    train = world.cli.start("train", config, "--on", "vast", "--budget", "1", "--yes", "--plain")
    wait_until(lambda: [each.state for each in world.rentals()] == [RentalState.READY], "the machine", 90)
    [rental] = world.rentals()
    terminate = world.cli.run("terminate", rental.label, "--yes")
    assert terminate.finish() == 0, terminate.errors
    assert train.finish() == 4, train.errors
    assert "the rental was ended before every run had begun there" in "\n".join(train.errors)
    assert [each.state for each in world.rentals()] == [RentalState.GONE]
    with Rentals(world.database) as ledger:
        assert ledger.bad_hosts("vast") == {}
    assert world.num_living() == 0


def test_a_price_is_waited_for_and_nothing_dearer_is_rented(world: World, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    world.cli.environment["LORATUI_RENTAL__LOOK_EVERY_S"] = "1"
    options = ("--on", "vast", "--budget", "1", "--wait-price", "0.05", "--yes", "--json")
    train = world.cli.start("train", config, *options)
    wait_until(lambda: train.said("waiting for an offer at $0.05/h or less: the lowest price is $0."), "the word", 60)
    assert world.rentals() == []
    cheap = next(iter(world.vast.asks.values()))
    cheap["dph_base"] = 0.03
    assert train.finish() == 0, train.errors
    [rental] = world.rentals()
    assert rental.price_microusd_per_h <= 50_000
    [receipt] = [each for each in train.events() if each["event"] == "receipt"]
    assert receipt["state"] == "gone"
    assert receipt["usd"] == pytest.approx(sum(receipt["phases_usd"].values()) + receipt["traffic_usd"], abs=1e-6)
    costs = [each for each in train.events() if each["event"] == "rental"]
    assert costs[-1]["state"] == "gone"
    assert [each["usd"] for each in costs] == sorted(each["usd"] for each in costs)


def test_a_line_far_slower_than_planned_leads_to_the_next_offer(world: World, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    for number in range(2):
        noise = Image.effect_noise((2400, 2400), 100).convert("RGB")
        noise.save(tmp_path / "dataset" / "1_zorbix" / f"large{number}.png", compress_level=0)
    world.vast_machines.lines.append({"bytes_per_s": 100_000})
    train = world.cli.run("train", config, "--on", "vast", "--budget", "1", "--yes", "--plain")
    assert train.finish() == 0, train.errors
    said = "\n".join(train.errors)
    assert "[upload.slow] files arrive there with" in said
    assert "the next offer is tried" in said
    assert [rental.state for rental in world.rentals()] == [RentalState.GONE, RentalState.GONE]
    assert said.count("the rental is gone") == 2, "each attempt has its receipt"
    assert world.num_living() == 0


def test_a_pod_that_does_not_serve_is_remembered_though_no_other_offer_is_left(world: World, tmp_path: Path) -> None:
    create = world.runpod._create

    def keyless(query: dict[str, list[str]], content: bytes, key: str) -> Reply:
        reply = create(query, content, key)
        for pod in world.runpod.pods.values():
            pod.scoped_key = ""
        return reply

    world.runpod._create = keyless  # type: ignore[method-assign]
    options = ("--on", "runpod", "--max-price", "0.2", "--budget", "1", "--yes", "--plain")
    train = world.cli.run("train", write_config(tmp_path), *options)
    assert train.finish() == 4, train.errors
    assert "[deadman.none]" in "\n".join(train.errors)
    [rental] = world.rentals()
    with Rentals(world.database) as ledger:
        assert list(ledger.bad_hosts("runpod")) == [rental.offer.kind] == ["NVIDIA RTX A5000 COMMUNITY"]
    assert world.num_living() == 0


def test_a_machine_that_vanishes_is_said_and_nothing_is_waited_for(world: World, tmp_path: Path) -> None:
    config = write_config(tmp_path, max_train_steps=100_000)
    world.cli.environment["LORATUI_RENTAL__ASK_EVERY_S"] = "1"
    train = world.cli.start("train", config, "--on", "vast", "--budget", "1", "--yes", "--plain")
    wait_until(lambda: train.said("step 1 of"), "the first step", 90)
    world.vanish()
    assert train.finish() == 4, train.errors
    said = "\n".join(train.errors)
    assert "[rental.over]" in said
    assert "loratui resume" in said
    [rental] = world.rentals()
    assert (rental.state, rental.proven_gone) == (RentalState.LOST, True)


def test_nobody_who_listens_stops_no_end_half_way(world: World, tmp_path: Path) -> None:
    options = ("--on", "vast", "--budget", "1", "--yes", "--plain")
    argv = [sys.executable, "-m", "loratui.cli", "train", str(write_config(tmp_path)), *options]
    heard, told = os.pipe()
    with subprocess.Popen(argv, env=world.cli.environment, stdout=told, stderr=told) as train:
        os.close(told)
        with os.fdopen(heard, "rb") as listener:
            # What comes next can't be told: the run is not to begin unseen.
            assert any(b": connecting" in line for line in listener)
        world.vast.answer("end", 500, b"", times=2)
        assert train.wait(120) == 130
    assert world.num_living() == 0
    assert [rental.proven_gone for rental in world.rentals()] == [True]


def test_a_hang_up_between_rental_and_run_ends_what_was_rented(world: World, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    train = world.cli.start("train", config, "--on", "vast", "--budget", "1", "--yes", "--plain")
    wait_until(lambda: train.said("dead-man: "), "the machine to be armed", 90)
    world.vast.answer("end", 500, b"", times=2)
    train.process.send_signal(signal.SIGHUP)
    assert train.finish() == 129, train.errors
    assert world.num_living() == 0
    assert [rental.proven_gone for rental in world.rentals()] == [True]


def test_a_hang_up_while_a_rental_ends_is_no_reason_to_leave_it(world: World, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    train = world.cli.start("train", config, "--on", "vast", "--budget", "1", "--yes", "--plain")
    wait_until(lambda: train.said("step 1 of"), "the first step", 90)
    world.vast.answer("end", 500, b"", times=4)
    wait_until(lambda: [each.state for each in world.rentals()] == [RentalState.ENDING], "the end to be begun", 90)
    for number in (signal.SIGHUP, signal.SIGHUP):
        train.process.send_signal(number)
        wait_until(lambda: train.said("the rental is being ended"), "the word", 30)
    assert train.finish() == 0, train.errors
    assert world.num_living() == 0
    assert [rental.proven_gone for rental in world.rentals()] == [True]


def test_an_upload_that_fails_when_nobody_stays_says_what_bills_on(world: World, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    picture = tmp_path / "dataset" / "1_zorbix" / "large.png"
    Image.effect_noise((900, 900), 100).convert("RGB").save(picture, compress_level=0)
    # A smaller copy, made before, would travel instead of what is spoilt here.
    world.cli.environment["LORATUI_UPLOAD__COPIES"] = "false"
    world.vast_machines.lines.append({"bytes_per_s": 600_000})
    train = world.cli.start("train", config, "--on", "vast", "--budget", "1", "--yes", "--detach")
    wait_until(lambda: train.said("steps on vast"), "the run to begin", 120)
    content = bytearray(picture.read_bytes())
    content[-100] ^= 1
    picture.write_bytes(content)
    assert train.finish() == 5, train.errors
    assert train.errors[-1].startswith("STILL BILLING, perhaps: vast ")
    assert "it ends itself in" in train.errors[-1]
    [rental] = world.rentals()
    assert f"loratui terminate {rental.label}" in train.errors[-1]
    assert world.num_living() == 1
