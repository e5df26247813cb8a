"""Memory that runs out for real, in a control group with a small limit."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui_agent.oom import counters
from support.agent_process import client_of, running_agent, wait_until

LIMIT_BYTES = 200 << 20
# With swap, too: what may be swapped out runs out more slowly, if ever. That of v1 must not be below the other.
LIMITS = ("memory.max", "memory.swap.max", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
ENTER = ["/bin/sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"']


def own_counters() -> list[Path]:
    return counters(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())


@contextlib.contextmanager
def small_memory() -> Iterator[Path]:
    """Lend a control group below our own whose processes may take ``LIMIT_BYTES`` together."""
    group = next(filter(is_made, (path.with_name(f"loratui-test-{os.getpid()}") for path in own_counters())), None)
    if group is None:
        pytest.skip("no control group with a memory limit can be made here")
    try:
        yield group
    finally:
        # The kernel takes a moment to let go of the last process.
        wait_until(lambda: is_removed(group), "the control group to be empty")


def is_made(group: Path) -> bool:
    """Make the group with its limit; return whether that was possible."""
    try:
        group.mkdir()
    except OSError:
        return False
    files = [group / name for name in LIMITS if (group / name).exists()]
    for path in files:
        path.write_text("0" if path.name == "memory.swap.max" else str(LIMIT_BYTES))
    return bool(files) or not is_removed(group)


def is_removed(group: Path) -> bool:
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


async def test_a_run_that_takes_all_memory_fails_with_the_reason_and_the_agent_lives_on(tmp_path):
    with small_memory() as group, running_agent(tmp_path / "home", prefix=[*ENTER, str(group)]) as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 1000\neat_mb = 20")
            await client.until_state(job, "failed")
            assert agent.state(job)["reason"] == "oom_ram"
            assert agent.state(job)["attempt"] == 1, "it would only happen again"
            assert "resuming" not in client.states(job)
            assert agent.process.poll() is None
            # The next one is not blamed for it.
            modest = await client.start("steps = 10")
            await client.until_state(modest, "done")


V1 = """\
9:name=systemd:/
4:memory:/docker/3f
3:cpu,cpuacct:/docker/3f
0::/docker/3f
"""


@pytest.mark.parametrize(
    ("cgroup", "mountinfo", "expected"),
    [
        (
            "0::/user.slice/user-0.slice/session-4.scope\n",
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
            ["/sys/fs/cgroup/user.slice/user-0.slice/session-4.scope/memory.events"],
        ),
        (
            "0::/\n",
            "30 23 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n",
            ["/sys/fs/cgroup/memory.events"],
        ),
        (
            V1,
            "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
            "34 31 0:31 /docker/3f /sys/fs/cgroup/cpu ro master:2 - cgroup cgroup rw,cpu,cpuacct\n"
            "35 31 0:32 /docker/3f /sys/fs/cgroup/memory ro master:3 - cgroup cgroup rw,memory\n",
            ["/sys/fs/cgroup/memory/memory.oom_control"],
        ),
        (
            V1,
            "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup  rw,memory\n"
            "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
            ["/sys/fs/cgroup/memory/docker/3f/memory.oom_control", "/sys/fs/cgroup/unified/docker/3f/memory.events"],
        ),
        (V1, "22 27 0:21 / /proc rw,relatime - proc proc rw\n", []),
        ("", "", []),
    ],
    ids=["v2 of a host", "v2 of a container", "v1 of a container", "both on a host", "not mounted", "no groups"],
)
def test_the_file_that_counts_is_found_however_the_groups_are_mounted(cgroup, mountinfo, expected):
    assert [str(path) for path in counters(cgroup, mountinfo)] == expected
