"""Starting, following, leaving and steering runs from the command line; the trainer is a stand-in, all else is real."""

import json
import signal
from contextlib import ExitStack

import pytest

from loratui_protocol.config_file import to_toml
from support.agent_process import running_agent, wait_until
from support.local_cli import local_cli
from support.small_dataset import small_config, write_small_dataset


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    """Return a function that starts an agent whose trainers do what a script says, and a command line beside it."""
    with ExitStack() as stack:

        def begin(script: str, **environment: str):
            monkeypatch.setenv("STAND_IN", script)
            cli = stack.enter_context(local_cli(tmp_path, **environment))
            stack.enter_context(running_agent(cli.home.path))
            config = small_config(write_small_dataset(tmp_path / "pictures"))
            (tmp_path / "job.toml").write_text(to_toml(config), "utf-8")
            return cli

        yield begin


def train(cli, *arguments: str):
    return cli.start("train", "job.toml", "--on", "local", "--yes", *arguments)


def test_plain_lines_tell_the_run_and_its_end(trainer):
    command = train(trainer("steps = 30"), "--plain")
    assert command.finish() == 0
    told = [line.split("  ", 1)[-1] for line in command.lines]
    assert told[0] == "queued"
    assert any(line.startswith("step 1 of 30, loss 1.0000") for line in told)
    assert any(line.startswith("done after 30 steps: thing.safetensors") for line in told)
    assert told[-1].startswith("report: ")


def test_without_a_terminal_lines_are_printed_unasked(trainer):
    command = train(trainer("steps = 3"))
    assert command.finish() == 0
    assert any("step 3 of 3" in line for line in command.lines)


def test_a_failed_run_is_status_1_and_its_code_is_told(trainer):
    command = train(trainer('fail_code = "model.invalid"'), "--plain")
    assert command.finish() == 1
    assert any("failed: it can't be trained" in line and "[model.invalid]" in line for line in command.lines)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGHUP, 129)], ids=lambda x: str(x)
)
def test_letting_go_leaves_the_run_going_and_attach_tells_it_whole(trainer, number, status):
    cli = trainer("steps = 150\nstep_s = 0.02")
    command = train(cli, "--json")
    command.wait_for_step(5)
    command.process.send_signal(number)
    assert command.finish() == status
    if number != signal.SIGHUP:
        assert any("cat goes on" in line and "loratui attach cat" in line for line in command.errors)
    attach = cli.run("attach", "--json")
    assert attach.process.returncode == 0
    steps = [event["step"] for event in attach.events() if event["event"] == "step"]
    assert steps == list(range(1, 151))


def test_detach_returns_at_once_and_the_run_is_found_again(trainer):
    cli = trainer("steps = 40\nstep_s = 0.02")
    command = train(cli, "--detach")
    assert command.finish() == 0
    [run_id] = command.lines
    status = json.loads(cli.run("status", "--json").lines[0])
    assert (status["run"], status["live"]) == (run_id, True)
    assert cli.run("attach", run_id[:22], "--plain").lines[-1].startswith("report: ")


def test_a_run_that_nobody_followed_to_its_end_is_done_and_not_fetched_until_somebody_does(trainer):
    cli = trainer("steps = 40\nstep_s = 0.02")
    assert train(cli, "--detach").finish() == 0

    def status():
        return json.loads(cli.run("status", "--json").lines[0])

    wait_until(lambda: status()["state"] == "done", "the end")
    assert status()["fetched"] is False
    lines = cli.run("status").lines
    assert "cat on local: done, not fetched, step 40 of 40" in lines[0]
    run_id = status()["run"]
    assert lines[1] == f"its last files are on local still: loratui attach {run_id} fetches them"
    assert "done, not fetched" in cli.run("ls").lines[0]
    assert cli.run("attach", "cat", "--plain").finish() == 0
    assert status()["fetched"] is True
    assert cli.run("status").lines[0].startswith("cat on local: done, step 40 of 40")


def test_commands_reach_the_run_and_say_what_came_of_it(trainer):
    cli = trainer("steps = 100000\nstep_s = 0.01")
    follower = train(cli, "--json", "--deadline", "1h")
    follower.wait_for_step(2)
    assert cli.run("pause").process.returncode == 0
    follower.wait_for(lambda line: json.loads(line).get("state") == "paused")
    assert "paused" in cli.run("status").lines[0]
    assert cli.run("extend", "cat", "30m").process.returncode == 0
    left_s = json.loads(cli.run("status", "--json").lines[0])["deadline_s"]
    assert 3600 < left_s <= 5400
    too_far = cli.run("extend", "cat", "2h", "--back")
    assert too_far.process.returncode == 1
    assert "[extend.too_short]" in too_far.errors[0]
    assert cli.run("extend", "cat", "1h", "--back").process.returncode == 0
    assert json.loads(cli.run("status", "--json").lines[0])["deadline_s"] <= 1800
    assert cli.run("resume", "cat").process.returncode == 0
    assert cli.run("checkpoint").process.returncode == 0
    stop = cli.run("stop")
    assert stop.lines[0].startswith("cat: stop done")
    assert follower.finish() == 0
    again = cli.run("stop")
    assert again.process.returncode == 1
    assert "[job.not_running]" in again.errors[0]


def test_money_is_counted_at_the_set_price_and_a_budget_ends_the_run(trainer):
    cli = trainer("steps = 100000\nstep_s = 0.01", LORATUI_LOCAL__PRICE_USD_PER_H="3600")
    command = train(cli, "--json", "--budget", "1.5")
    assert command.finish() == 0
    assert [event["state"] for event in command.events() if event["event"] == "state"][-1] == "stopped"
    costs = [event for event in command.events() if event["event"] == "cost"]
    assert costs[-1]["usd_per_h"] == 3600
    assert 1.0 < costs[-1]["usd"] < 10.0


def test_a_budget_for_a_machine_that_costs_nothing_is_said_to_have_no_effect(trainer):
    command = train(trainer("steps = 3"), "--budget", "1")
    assert command.finish() == 0
    assert any("--budget $1.00 has no effect" in line for line in command.errors)


def test_logs_of_a_running_run_come_from_the_agent_too(trainer):
    cli = trainer("steps = 100000\nstep_s = 0.01")
    train(cli, "--detach").finish()
    lines = cli.run("logs").lines
    assert any("queued" in line for line in lines)
    follower = cli.start("logs", "-f")
    follower.wait_for(lambda line: "running" in line)
    assert cli.run("stop").process.returncode == 0
    assert follower.finish() == 0
    assert "stopped" in follower.lines[-1]
