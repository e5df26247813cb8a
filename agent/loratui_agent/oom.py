"""Asks the kernel whether it killed a process of our control group for memory. Linux, control groups v1 and v2."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_PROC = Path("/proc/self")


def count_oom_kills() -> int:
    """Return how many processes were killed for memory so far; 0 where the system doesn't say."""
    try:
        paths = counters((_PROC / "cgroup").read_text("utf-8"), (_PROC / "mountinfo").read_text("utf-8"))
    except OSError:
        return 0
    return sum(_count(path) for path in paths)


def counters(cgroup: str, mountinfo: str) -> list[Path]:
    """Return the files in which kills may be counted, one for each kind of control groups that is mounted.

    ``cgroup`` and ``mountinfo`` are what the kernel says of our process in the files of these names.
    """
    groups = dict(_groups(cgroup))
    found = {}
    for line in mountinfo.splitlines():
        mount, _, kind = line.partition(" - ")
        root, mounted_at = mount.split()[3:5]
        file_system, _, options = kind.split(" ")[:3]
        if file_system == "cgroup2" and "" in groups:
            found["v2"] = _below(groups[""], root, mounted_at) / "memory.events"
        elif file_system == "cgroup" and "memory" in options.split(",") and "memory" in groups:
            found["v1"] = _below(groups["memory"], root, mounted_at) / "memory.oom_control"
    return list(found.values())


def _groups(cgroup: str) -> Iterator[tuple[str, str]]:
    """Yield the path of our group for each controller of v1, and of v2 under the empty name."""
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _below(group: str, root: str, mounted_at: str) -> Path:
    """Return the folder of a group, of which a container may see only the mount of its own."""
    path = PurePosixPath(group)
    return Path(mounted_at, path.relative_to(root)) if path.is_relative_to(root) else Path(mounted_at)


def _count(path: Path) -> int:
    try:
        lines = path.read_text("ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
