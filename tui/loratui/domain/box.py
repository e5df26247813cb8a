"""What one probe learned about a machine: everything that decides whether and how it can train."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A folder that files can be put below, and the bytes free there."""

    path: str
    free_bytes: int
    is_writable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU; ``compute_capability`` as NVIDIA writes it, (8, 9) for 8.9."""

    name: str
    vram_mib: int
    compute_capability: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxPython:
    """A Python interpreter. ``torch`` is the version it would import, empty where there is none."""

    path: str
    version: tuple[int, int, int]
    is_virtual: bool
    """It is a venv: an environment made from it does not see its packages."""
    torch: str = ""
    torch_folder: str = ""
    """The folder that holds the torch package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundHome:
    """An agent's home that is there already."""

    path: str
    bundles: tuple[str, ...] = ()
    """Complete bundles, by the name of their folder."""
    environments: tuple[str, ...] = ()
    num_jobs: int = 0
    running_pid: int | None = None
    """Of the agent that holds the home's lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxFacts:
    """A machine as the probe found it. ``driver`` is NVIDIA's ("550.54"), empty where there is none."""

    system: str
    machine: str
    libc: str
    user: str
    home_folder: str
    cpus: int
    ram_bytes: int
    disks: tuple[Disk, ...] = ()
    driver: str = ""
    gpus: tuple[Gpu, ...] = ()
    pythons: tuple[BoxPython, ...] = ()
    """In the order in which they are preferred."""
    uv: str = ""
    """Path of a uv that is there; empty: none."""
    uv_version: str = ""
    homes: tuple[FoundHome, ...] = ()
    has_tar: bool = True
