"""Where the keys of a rental are while it trains: the account's on this laptop alone, the machine's own also there."""

import contextlib
from pathlib import Path

import psutil
import pytest

from support.canary import CanaryWatch
from support.rented_world import World, write_config
from support.sshd import needs_sshd

pytestmark = [needs_sshd, pytest.mark.torch, pytest.mark.timeout(300)]
_MAY_HOLD_OWN_KEY = ("rental.json", "environment")


def holds(folder: Path, *texts: bytes) -> list[str]:
    """Return the files below a folder in which any of these stands."""
    found = []
    for path in folder.rglob("*"):
        # What trains meanwhile replaces its files.
        with contextlib.suppress(OSError):
            if path.is_file() and any(text in path.read_bytes() for text in texts):
                found.append(path.name)
    return sorted(found)


@pytest.mark.parametrize("provider", ["vast", "runpod"])
def test_no_key_of_an_account_is_on_a_machine_and_its_own_is_in_no_log_and_no_journal(
    world: World, tmp_path: Path, provider: str
) -> None:
    config = write_config(tmp_path, max_train_steps=100_000)
    train = world.cli.start("train", config, "--on", provider, "--budget", "1", "--yes", "--json")
    train.wait_for_step(2)
    account = [world.vast.key.encode(), world.runpod.key.encode()]
    own_keys = [each.api_key for each in world.vast.instances.values()]
    [own] = [key.encode() for key in [*own_keys, *(pod.scoped_key for pod in world.runpod.pods.values())]]
    [box] = world.at(provider)[1].running.values()
    with CanaryWatch(box, [*account, b"loratui"]) as watch:
        watch.whole_round()
        assert watch.places(b"loratui"), "the watch sees what is there"
        assert watch.places(*account) == set()
    # The folder around its home, too: what a container would have in its environment lies there.
    assert set(holds(box.home.parent, own)) <= set(_MAY_HOLD_OWN_KEY)
    assert holds(box.home.parent, *account) == []
    for process in box.processes():
        with contextlib.suppress(psutil.Error):
            assert own.decode() not in " ".join(process.cmdline())
            # Providers put it into the environment of what a container starts with: there, and nowhere else.
            is_start = any(word.endswith("/onstart.sh") for word in process.cmdline()) or process.name() == "sleep"
            assert is_start or own.decode() not in process.environ().values()
    me = psutil.Process(train.process.pid)
    assert not any(key.decode() in " ".join(me.cmdline()) for key in account)
    assert world.cli.run("stop").finish() == 0
    assert train.finish() == 0, train.errors
    assert world.cli.run("support", "--out", tmp_path / "support.zip").finish() == 0
    said = "\n".join([*train.lines, *train.errors]).encode()
    assert not any(key in said for key in (*account, own))
    assert holds(world.cli.folder, *account, own) == [], (
        "nothing of them is left on the laptop but where they came from"
    )
    assert holds(tmp_path / "out", *account, own) == []
