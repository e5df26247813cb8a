"""With keys alone, in a real terminal at 80x24: from a folder of pictures to a rented run, and to the end of its bill.

All behind the terminal is real but the market: its machines are SSH servers on loopback, with an agent that trains.
"""

import contextlib
import random
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import psutil
import pytest

from loratui.ui.widgets.confirm_strip import GUARD_S
from loratui_agent.demo.concept import DEMO, draw_concept
from loratui_protocol.config_file import to_toml
from support.agent_process import wait_until
from support.rented_world import World
from support.sshd import USER, needs_sshd, sshd
from support.tiny_training import tiny_config
from support.tmux import Tmux

pytestmark = [
    needs_sshd,
    pytest.mark.torch,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]

LORATUI = [sys.executable, "-m", "loratui.cli"]
OWN = ("LORATUI_", "PYTHON_KEYRING")
GENEROUS_S = 150.0
"""For what waits for a machine, an agent, or a trainer."""


def write_job(folder: Path) -> Path:
    """Write pictures in which nothing is wrong, and a config that trains far longer than any test lasts."""
    concept, rng = folder / "pictures" / "1_zorbix", random.Random(0)
    concept.mkdir(parents=True)
    for index in range(16):
        ground = ("red", "green", "blue", "yellow")[index % 4]
        picture = draw_concept(rng, DEMO, ground).resize((1024, 1024), 0).rotate(90 * (index // 4))
        picture.save(concept / f"{index}.png")
        (concept / f"{index}.txt").write_text(f"zorbix number {index}, a {ground} background\n", "utf-8")
    config = tiny_config(
        folder / "pictures",
        output_dir=str(folder / "out"),
        network_alpha=4,
        text_encoder_lr=1e-4,
        trigger_word="zorbix",
        max_train_steps=20_000,
        checkpoint_every_n_steps=500,
    )
    path = folder / "job.toml"
    path.write_text(to_toml(config), "utf-8")
    return path


@pytest.fixture
def tmux(world: World, tmp_path: Path) -> Iterator[Tmux]:
    (tmp_path / "t").mkdir()
    world.vast_machines.lines = [{}]
    tmux = Tmux(tmp_path / "t", LORATUI, world.cli.environment, start_in=tmp_path, term="tmux-256color")
    try:
        yield tmux
    finally:
        tmux.close()
        end_commands_of(world)


def end_commands_of(world: World) -> None:
    """End what the interface had sent out: it goes on by itself."""
    state = world.cli.environment["LORATUI_STATE_DIR"]
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("LORATUI_STATE_DIR") == state:
                process.kill()


def step_on(screen: str) -> int:
    """Return the step that the run screen shows; -1: none."""
    found = re.search(r"step +(\d+)/20000", screen)
    return int(found[1]) if found else -1


def minutes_left(screen: str) -> int:
    """Return what the countdown shows."""
    found = re.search(r"AUTO-STOP ≈?(?:(\d+) h )?(\d+) min", screen)
    assert found, screen
    return 60 * int(found[1] or 0) + int(found[2])


def test_a_rented_run_is_led_from_its_pictures_to_the_end_of_its_billing(
    world: World, tmux: Tmux, tmp_path: Path
) -> None:
    job = write_job(tmp_path)
    open_and_check(tmux, job)
    rent(tmux)
    assert (world.vast.num_living(), world.runpod.num_living()) == (1, 0)
    lose_the_link(world, tmux)

    # The terminal goes, and with it the interface; the run does not.
    before = step_on(tmux.screen())
    tmux.kill()
    with terminal_through_ssh(world, tmux, tmp_path):
        tmux.shows("▌5Run▐", "● TRAINING", "slow", deadline_s=GENEROUS_S)
        tmux.comes(lambda screen: step_on(screen) > before, GENEROUS_S)
        extend(tmux)
        fetch(tmux, tmp_path)
        end(world, tmux)
        tmux.keys("1")
        tmux.shows("─ rentals ─", "nothing is rented")
        tmux.keys("q")
        wait_until(lambda: not tmux.is_open, "the interface to close")

    assert world.num_living() == 0
    assert [rental.proven_gone for rental in world.rentals()] == [True]
    assert world.cli.run("rentals").lines == ["nothing is rented"]


def open_and_check(tmux: Tmux, job: Path) -> None:
    """Open the pictures and the config; nothing is wrong with either."""
    tmux.shows("▌1Home▐", "There is no run yet", "nothing is rented", "IDLE (nothing billing)")
    # As fast as a slow line brings them.
    tmux.keys("o", "C-u")
    tmux.type(str(job.parent / "picture"))
    tmux.keys("x", "BSpace", "s", "Enter")
    tmux.shows("▌2Data▐", "pictures  16", "OK, no warnings", deadline_s=GENEROUS_S)
    tmux.keys("3", "o")
    tmux.shows("▌3Config▐", " open ")
    tmux.type(str(job))
    tmux.keys("Enter")
    tmux.shows("config  job.toml", "20000 in 2500 epochs", "OK, no warnings", deadline_s=GENEROUS_S)


def rent(tmux: Tmux) -> None:
    """Choose an offer of the market whose lines can be cut, agree to its price, and see it train."""
    tmux.keys("t")
    answer(tmux, "o", "TRAIN tiny", "o Offers…")
    tmux.shows("▌4Offers▐", "offers for job.toml", deadline_s=GENEROUS_S)
    tmux.keys("/", "v", "a", "s", "t", "Enter")
    tmux.shows("/ vast ", "> RTX 3090            24 vast", deadline_s=GENEROUS_S)
    # What is typed ahead of a question is no answer to it, and neither Enter nor the space bar ever is.
    tmux.keys("Enter", "m", "y")
    answer(tmux, "Enter", "RIGHTS before pictures leave this machine")
    tmux.keys("Space", "m", "y")
    answer(tmux, "Enter", "RENT RTX 3090 at vast, $0.17/h")
    tmux.keys("Space", "b")
    screen = tmux.shows("at most, in dollars: ")
    assert "◐ RENTING" not in screen
    tmux.keys("C-u", "2", "Enter")
    answer(tmux, "y", "RENT RTX 3090", "cap $2.00", "auto-stop")
    tmux.shows("◐ RENTING")
    # The run comes into sight by itself as soon as there is one.
    screen = tmux.shows("▌5Run▐", "● TRAINING", "link up", "$0.17/h", "AUTO-STOP", deadline_s=GENEROUS_S)
    tmux.comes(lambda later: step_on(later) > max(5, step_on(screen)), GENEROUS_S)


def lose_the_link(world: World, tmux: Tmux) -> None:
    """Cut the only way to the machine for a while: the screen says so, and goes on when it is back."""
    [way] = world.vast_machines.proxies
    way.set(refuses=True)
    assert way.cut() > 0
    screen = tmux.comes(lambda screen: re.search(r"! LINK DOWN 0:\d\d", screen), GENEROUS_S)
    assert "AUTO-STOP ≈" in screen
    assert re.search(r"as of \d\d:\d\d:\d\d", screen), screen
    tmux.shows("^t Terminate… r Reconnect (p Pause)", deadline_s=GENEROUS_S)
    tmux.keys("F8")
    tmux.shows("30 minutes more: not now, no link to the agent")
    tmux.keys("C-t")
    answer(tmux, "Escape", "TERMINATE vast", "There is no link to the agent", "LOST", "to go on:", "LINK DOWN")
    tmux.comes(lambda screen: "to go on:" not in screen)
    way.set(refuses=False)
    tmux.keys("r")
    back = tmux.shows("● TRAINING", "link up", deadline_s=GENEROUS_S)
    assert "LINK DOWN" not in back
    tmux.comes(lambda later: step_on(later) > step_on(screen), GENEROUS_S)


@contextlib.contextmanager
def terminal_through_ssh(world: World, tmux: Tmux, folder: Path) -> Iterator[None]:
    """Open a terminal on the laptop from elsewhere, and start the interface there again."""
    key = folder / "t" / "id"
    made = asyncssh.generate_private_key("ssh-ed25519")
    made.write_private_key(str(key))
    key.chmod(0o600)
    with sshd(folder / "l") as laptop:
        laptop.authorize(made)
        environ = (f"{name}={text}" for name, text in world.cli.environment.items() if name.startswith(OWN))
        there = shlex.join(["env", *environ, *LORATUI])
        options = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={folder / 't' / 'known'}", "LogLevel=ERROR"]
        tmux.open(
            ["ssh", "-tt", "-F", "/dev/null", "-i", str(key), "-p", str(laptop.port)]
            + [word for option in options for word in ("-o", option)]
            + [f"{USER}@127.0.0.1", there]
        )
        yield


def extend(tmux: Tmux) -> None:
    """Ask for half an hour more: the price is said, and the countdown has it."""
    before = minutes_left(tmux.shows("AUTO-STOP"))
    tmux.keys("F8")
    tmux.shows("extend: +30 min, up to +$0.0")
    tmux.comes(lambda screen: "AUTO-STOP" in screen and minutes_left(screen) >= before + 28, GENEROUS_S)


def fetch(tmux: Tmux, folder: Path) -> None:
    """Have a file made, which comes here while the run goes on."""
    tmux.keys("c")
    tmux.comes(lambda screen: re.search(r"ckpt +\d+ saved +↓ here", screen), GENEROUS_S)
    tmux.keys("7")
    screen = tmux.shows("▌7Files▐", "> tiny-step", "● here", "here, verified", deadline_s=GENEROUS_S)
    assert "● TRAINING" in screen
    assert list((folder / "out").glob("tiny-step*.safetensors"))
    tmux.keys("5")
    tmux.shows("▌5Run▐")


def end(world: World, tmux: Tmux) -> None:
    """End the rental: taken back once, and then for good, which is said when its provider has shown it."""
    [rental] = world.rentals()
    label = f"vast {rental.instance_id}"
    lose(tmux, label, rental.instance_id)
    tmux.keys("u")
    tmux.shows(f"kept, and billing: {label}", "● TRAINING")
    assert world.vast.num_requests("destroy") == 0
    world.vast.cling(rental.instance_id, 1)
    lose(tmux, label, rental.instance_id)

    def is_said(screen: str) -> bool:
        assert "billing stopped" not in screen or not world.num_living(), screen
        state, money, *_ = screen.splitlines()
        gone = "! MACHINE GONE" in state and "was ● TRAINING" in state
        return gone and bool(re.search(r"spent in all +billing stopped \d\d:\d\d \(provider confirmed\)", money))

    tmux.comes(is_said, GENEROUS_S)


def lose(tmux: Tmux, label: str, instance_id: str) -> None:
    """Have a rental terminated with what is on it; its id is asked for."""
    tmux.keys("C-t")
    answer(tmux, "Enter", f"TERMINATE {label}", "y Save and fetch", "n Now, and lose it…", "$0.17/h")
    tmux.keys("Space", "n")
    answer(tmux, "Enter", f"Type {instance_id} to go on:")
    tmux.type(instance_id)
    tmux.shows(f"! TERMINATING {label} in ", "u keeps it")


def answer(tmux: Tmux, key: str, *texts: str) -> None:
    """Press a key once the question is there, and has been for so long that it takes an answer."""
    tmux.shows(*texts, "Enter does nothing here", deadline_s=GENEROUS_S)
    from_s = time.monotonic() + GUARD_S
    tmux.comes(lambda _: time.monotonic() > from_s)
    tmux.keys(key)
