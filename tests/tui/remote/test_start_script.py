"""The shell that ends a rental at its deadline, run by real shells against providers on loopback."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest

from loratui.domain.offers import OfferQuery
from loratui.providers.vast import Vast
from loratui.remote.start_script import MAX_BYTES, start_script
from support.agent_process import wait_until
from support.fake_vast import FakeVast, fake_vast
from tui.providers.contract import order

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]


def rented(fake: FakeVast) -> tuple[str, str]:
    """Return an instance's id and the key that may end it alone."""

    async def go() -> tuple[str, str]:
        provider = Vast(fake.key, url=fake.url, retry_first_s=1e-4)
        [offer, *_] = await provider.offers(OfferQuery())
        created = await provider.create(order(offer))
        await provider.close()
        return created.instance_id, created.scoped_key

    return asyncio.run(go())


@contextmanager
def started(
    folder: Path,
    shell: str,
    script: str,
    environment: dict[str, str],
    programs: tuple[str, ...],
    scripts: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[None]:
    """Start the script as a machine does, with these programs alone; end what it left in the background.

    ``scripts`` are programs by their text.
    """
    tools = folder / "bin"
    tools.mkdir()
    for name in ("sh", "mkdir", "touch", "cat", "date", "sleep", *programs):
        # What a version manager puts in its place needs more than there is here.
        found = f"{sys.base_prefix}/bin/python3" if name == "python3" else shutil.which(name)
        (tools / name).symlink_to(found or "/nowhere")
    for name, text in scripts.items():
        (tools / name).unlink(missing_ok=True)
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    path = folder / "start.sh"
    path.write_text(script)
    argv = [shutil.which(shell) or shell, *(["sh"] if shell == "busybox" else []), str(path)]
    process = subprocess.Popen(
        argv, env={"PATH": str(tools), "HOME": str(folder), **environment}, start_new_session=True
    )
    try:
        assert process.wait(10) == 0, "it returns at once"
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("program", ["curl", "python3", "wget"])
def test_at_the_deadline_the_machine_ends_itself_with_its_own_key(tmp_path: Path, shell: str, program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    with fake_vast() as fake:
        instance, key = rented(fake)
        script = start_script("vast", fake.url, int(time.time()) - 1, folder=str(tmp_path / "state"))
        with started(tmp_path, shell, script, {"CONTAINER_ID": instance, "CONTAINER_API_KEY": key}, (program,)):
            wait_until(lambda: fake.num_living() == 0, "the end")
    assert key not in (tmp_path / "state" / "log").read_text()


def test_before_it_nothing_ends_and_a_later_one_that_was_written_down_counts(tmp_path: Path) -> None:
    with fake_vast() as fake:
        instance, key = rented(fake)
        state = tmp_path / "state"
        state.mkdir()
        (state / "deadline").write_text(f"{int(time.time()) + 4}\n")
        script = start_script("vast", fake.url, int(time.time()) - 100, folder=str(state))
        began_s = time.monotonic()
        with started(tmp_path, "sh", script, {"CONTAINER_ID": instance, "CONTAINER_API_KEY": key}, ("curl",)):
            wait_until(lambda: fake.num_living() == 0, "the end")
        assert time.monotonic() - began_s > 2, "a restart brings no earlier deadline back"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_clock_that_is_set_forward_ends_nothing_early(tmp_path: Path, shell: str) -> None:
    with fake_vast() as fake:
        instance, key = rented(fake)
        script = start_script("vast", fake.url, int(time.time()) + 4, folder=str(tmp_path / "state"))
        asked = tmp_path / "asked"
        date, sleep = shutil.which("date"), shutil.which("sleep")
        programs = {
            "date": f'ahead=0; [ -e "{asked}" ] && ahead=3600; : >"{asked}"; echo $(($({date} +%s) + ahead))',
            "sleep": f"exec {sleep} 0.1",
        }
        began_s = time.monotonic()
        key_there = {"CONTAINER_ID": instance, "CONTAINER_API_KEY": key}
        with started(tmp_path, shell, script, key_there, ("curl",), programs):
            wait_until(lambda: fake.num_living() == 0, "the end")
        assert time.monotonic() - began_s > 2


@pytest.mark.parametrize("provider", ["vast", "runpod"])
def test_it_fits_what_providers_take_and_holds_no_key(provider: str) -> None:
    script = start_script(provider, "https://console.example/" + "x" * 200, 2_000_000_000)
    assert len(script.encode()) < MAX_BYTES
    for bad in ('https://x/"', "https://x/$(reboot)", "https://x/`id`"):
        with pytest.raises(ValueError, match="script"):
            start_script(provider, bad, 1)


def test_after_a_restart_what_the_agent_has_left_is_run_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "again").write_text(f"touch {tmp_path}/came-back\n")
    script = start_script("vast", "https://console.example", int(time.time()) + 1000, folder=str(state))
    with started(tmp_path, "sh", script, {}, ()):
        assert (tmp_path / "came-back").exists()
