"""What is measured and looked at on a host before a run goes there, on a real SSH server."""

from pathlib import Path

import pytest

from loratui.sessions.prepare import may_power_off, upload_speed
from support.boxes import box_of
from support.delay_proxy import delay_proxy
from support.sshd import SLOW_AND_NOISY_RC, needs_sshd, sshd

pytestmark = needs_sshd
CONTAINER = "container" if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists() else ""


async def test_a_slow_line_is_measured_with_little_and_a_fast_one_with_more(tmp_path: Path) -> None:
    with sshd(tmp_path / "s", rc=SLOW_AND_NOISY_RC) as server, delay_proxy(server.port) as way:
        server.port = way.port
        async with box_of(server, tmp_path / "one") as (box, _):
            assert await upload_speed(box) > 2e6
            before = way.passed().to_target
            way.set(bytes_per_s=200_000)
            assert 100_000 < await upload_speed(box) < 400_000
            assert way.passed().to_target - before < 300_000


@pytest.mark.parametrize(
    ("programs", "why"),
    [
        ({"poweroff": "exit 0"}, CONTAINER),
        ({"poweroff": "exit 0", "id": "echo 1000", "sudo": "exit 1"}, "sudo"),
        ({}, "has no"),
    ],
)
async def test_whether_a_machine_can_be_switched_off_is_known_before_the_start(
    tmp_path: Path, programs: dict[str, str], why: str
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, line in {"id": "echo 0", **programs}.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    with sshd(tmp_path / "s", environment={"PATH": str(folder)}) as server:
        async with box_of(server, tmp_path / "one") as (box, _):
            told = await may_power_off(box)
    assert (why in told) if why else not told, told
