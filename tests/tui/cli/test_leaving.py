"""Users who leave while something is rented or ended, by a signal or with their terminal: nothing bills on."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui.settings import load
from loratui.store.rentals import Rentals, StoredRental
from support.agent_process import wait_until
from support.fake_runpod import FakeRunPod
from support.fake_vast import FakeVast
from support.local_cli import Command, LocalCli
from support.market_cli import config_file, market_cli
from support.terminal import Terminal

TRAIN = ("--on", "vast", "--budget", "5", "--yes", "--plain")


@pytest.fixture
def cli(tmp_path: Path, vast: FakeVast, runpod: FakeRunPod) -> Iterator[LocalCli]:
    """A user of providers whose machines never start."""
    with market_cli(tmp_path, vast, runpod) as cli:
        yield cli


def ledger_of(cli: LocalCli) -> list[StoredRental]:
    with Rentals(load(environ=cli.environment).database) as ledger:
        return ledger.rentals()


def is_seen(vast: FakeVast) -> bool:
    """Whether the machine was shown: of what never was, it takes a minute to believe that it is gone."""
    return vast.num_requests("get") > 0


def booting(cli: LocalCli, vast: FakeVast) -> Command:
    """A client that waits for its machine to start."""
    train = cli.start("train", config_file(cli), *TRAIN)
    wait_until(lambda: train.said(": booting"), "the machine to boot", 60)
    wait_until(lambda: is_seen(vast), "the machine to be seen", 60)
    return train


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGHUP, 129)])
def test_whoever_leaves_while_a_machine_starts_leaves_no_bill(
    cli: LocalCli, vast: FakeVast, number: int, status: int
) -> None:
    train = booting(cli, vast)
    vast.answer("end", 500, b"", times=2)
    train.process.send_signal(number)
    assert train.finish() == status, train.errors
    assert vast.num_living() == 0
    [rental] = ledger_of(cli)
    assert (rental.proven_gone, rental.is_tidy) == (True, True)


def test_a_terminal_that_is_closed_while_a_machine_starts_leaves_no_bill(cli: LocalCli, vast: FakeVast) -> None:
    argv = [sys.executable, "-m", "loratui.cli", "train", str(config_file(cli)), *TRAIN]
    with Terminal(argv, size=(200, 50), environ=cli.environment) as terminal:
        terminal.read_until(lambda received: b": booting" in received and is_seen(vast), 60)
        vast.answer("end", 500, b"", times=2)
        terminal.hang_up()
        assert terminal.wait(60) == 129
    assert vast.num_living() == 0
    assert [rental.proven_gone for rental in ledger_of(cli)] == [True]


def test_what_says_that_it_is_leaving_more_than_once_counts_once(cli: LocalCli, vast: FakeVast) -> None:
    train = booting(cli, vast)
    vast.answer("end", 500, b"", times=3)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
        train.process.send_signal(number)
        wait_until(lambda: train.said("ending"), "the end to be begun", 60)
    assert train.finish() == 129, train.errors
    assert vast.num_living() == 0


def test_a_second_ctrl_c_leaves_at_once_and_says_what_may_still_bill(cli: LocalCli, vast: FakeVast) -> None:
    train = booting(cli, vast)
    vast.answer("end", 500, b"", times=100)
    train.process.send_signal(signal.SIGINT)
    wait_until(lambda: train.said("ending"), "the end to be begun", 60)
    train.process.send_signal(signal.SIGINT)
    assert train.finish() == 5, train.errors
    said = "\n".join(train.errors)
    assert "STILL BILLING" in said
    assert "https://cloud.vast.ai/instances/" in said
    assert vast.num_living() == 1
    assert not ledger_of(cli)[0].proven_gone


def test_who_asked_for_hang_ups_to_be_ignored_is_not_left(cli: LocalCli, vast: FakeVast) -> None:
    argv = ["nohup", sys.executable, "-m", "loratui.cli", "train", str(config_file(cli)), *TRAIN]
    with subprocess.Popen(argv, env=cli.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as train:
        assert train.stderr is not None
        assert any(b": booting" in line for line in train.stderr)
        wait_until(lambda: is_seen(vast), "the machine to be seen", 60)
        train.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            train.wait(2)
        assert vast.num_living() == 1
        train.send_signal(signal.SIGINT)
        train.stderr.read()
    assert vast.num_living() == 0


def test_whoever_stops_listening_while_a_machine_starts_leaves_no_bill(cli: LocalCli, vast: FakeVast) -> None:
    argv = [sys.executable, "-m", "loratui.cli", "train", str(config_file(cli)), *TRAIN]
    heard, told = os.pipe()
    with subprocess.Popen(argv, env=cli.environment, stdout=told, stderr=told) as train:
        os.close(told)
        with os.fdopen(heard, "rb") as listener:
            assert any(b": booting" in line for line in listener)
            wait_until(lambda: is_seen(vast), "the machine to be seen", 60)
        vast.answer("end", 500, b"", times=2)
        vast.step()
        status = train.wait(60)
    assert vast.num_living() == 0
    assert status == 130, "it was cut off, and nothing was trained"
    assert [rental.proven_gone for rental in ledger_of(cli)] == [True]


@pytest.mark.parametrize("way", ["hang-up", "pipe"])
def test_an_end_that_was_asked_for_goes_on_when_nobody_listens(cli: LocalCli, vast: FakeVast, way: str) -> None:
    booting(cli, vast).kill()
    vast.answer("end", 500, b"", times=2)
    heard, told = os.pipe()
    argv = [sys.executable, "-m", "loratui.cli", "terminate", "--all", "--yes"]
    with subprocess.Popen(argv, env=cli.environment, stdout=told, stderr=told) as terminate:
        os.close(told)
        with os.fdopen(heard, "rb") as listener:
            assert listener.readline()
            if way == "hang-up":
                terminate.send_signal(signal.SIGHUP)
                listener.read()
        status = terminate.wait(60)
    assert vast.num_living() == 0
    assert [rental.proven_gone for rental in ledger_of(cli)] == [True]
    assert status == 0
