"""``train --on cheapest``: who is asked, and what is offered, before anything is rented. Nobody agrees here."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.rented_world import World, rented_world, write_config
from support.sshd import needs_sshd

pytestmark = [needs_sshd, pytest.mark.timeout(120)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        world = rented_world(stack, tmp_path)
        yield world
        assert world.rentals() == []


def offered(world: World, tmp_path: Path) -> tuple[int, str]:
    """Return the exit status, and what is said to somebody who can't be asked."""
    train = world.cli.run("train", write_config(tmp_path), "--on", "cheapest", "--budget", "1", "--plain")
    return train.finish(), "\n".join(train.errors)


def test_a_user_with_a_key_of_one_provider_is_offered_what_that_has(world: World, tmp_path: Path) -> None:
    del world.cli.environment["LORATUI_VAST_API_KEY"]
    status, said = offered(world, tmp_path)
    assert (status, "[usage.unasked]" in said) == (2, True)
    assert "vast is not asked, for there is no key: loratui keys vast" in said
    assert " at runpod, $" in said
    assert world.vast.requests == []


def test_a_user_without_any_key_is_told_how_to_enter_one(world: World, tmp_path: Path) -> None:
    del world.cli.environment["LORATUI_VAST_API_KEY"]
    del world.cli.environment["LORATUI_RUNPOD_API_KEY"]
    status, said = offered(world, tmp_path)
    assert status == 2
    assert "[provider.no_key]" in said
    assert "loratui keys vast" in said


def test_a_key_that_is_wrong_leaves_the_other_provider(world: World, tmp_path: Path) -> None:
    world.cli.environment["LORATUI_VAST_API_KEY"] = "wrong-key-canary"
    status, said = offered(world, tmp_path)
    assert (status, "[usage.unasked]" in said) == (2, True)
    assert "vast is left out" in said
    assert "[provider.key]" in said
    assert " at runpod, $" in said
    assert "canary" not in said


def test_whoever_agrees_is_told_what_the_dearest_that_may_be_taken_costs(world: World, tmp_path: Path) -> None:
    status, said = offered(world, tmp_path)
    assert (status, "[usage.unasked]" in said) == (2, True)
    assert "should it be gone, one of 4 more is taken: at most $" in said
    assert "within the same cap and auto-stop" in said


def test_an_empty_account_leaves_the_other_provider(world: World, tmp_path: Path) -> None:
    world.vast.empty_account()
    status, said = offered(world, tmp_path)
    assert (status, "[usage.unasked]" in said) == (2, True)
    assert " at runpod, $" in said
