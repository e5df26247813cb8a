"""Where on a box the agent's home goes. Pure."""

from loratui.domain.box import BoxFacts, Disk, FoundHome
from loratui.domain.formatting import size
from loratui_protocol.errors import HostError

FOLDER = ".loratui"
NEEDED_BYTES = 2 << 30
"""Below this nothing that trains fits: an environment over a torch that is there, and a few checkpoints."""
ROOMY_BYTES = 20 << 30
"""A torch of our own and a base model fit, with checkpoints beside them."""


def choose_home(facts: BoxFacts, needed_bytes: int = NEEDED_BYTES) -> str:
    """Return the folder of the agent's home: the one that is in use, else on a disk that is roomy.

    The user's own folder is preferred; where it is small, the disk with the most room is taken.

    Raises:
        HostError: ``host.disk``: no disk can be written and has ``needed_bytes`` free.
    """
    by_use = sorted(facts.homes, key=_use, reverse=True)
    if by_use and _use(by_use[0]) > (False, 0):
        return by_use[0].path
    fit = [disk for disk in facts.disks if disk.is_writable and disk.free_bytes >= needed_bytes]
    if not fit:
        raise _refused(facts, needed_bytes)
    roomy = [disk for disk in fit if disk.free_bytes >= ROOMY_BYTES]
    own = [disk for disk in roomy if disk.path == facts.home_folder]
    chosen = own[0] if own else max(roomy or fit, key=lambda disk: (disk.free_bytes, disk.path == facts.home_folder))
    earlier = [home.path for home in facts.homes if home.path == _home_on(chosen)]
    return earlier[0] if earlier else _home_on(chosen)


def _use(home: FoundHome) -> tuple[bool, int]:
    return home.running_pid is not None, home.num_jobs


def _home_on(disk: Disk) -> str:
    return f"{disk.path.rstrip('/')}/{FOLDER}"


def _refused(facts: BoxFacts, needed_bytes: int) -> HostError:
    told = [
        f"{disk.path} has {size(disk.free_bytes)} free" + ("" if disk.is_writable else " and can't be written")
        for disk in facts.disks
    ]
    return HostError(
        f"no folder of {facts.user} there can hold a run, which takes {size(needed_bytes)}: "
        + ("; ".join(told) or "no disk was found")
        + ". Nothing was sent",
        fix="free some space there, or name a folder on a larger disk (setting ssh.home)",
        code="host.disk",
    )
