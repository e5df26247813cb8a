"""Decides what a machine trains in: an environment over its own torch, one with a torch of ours, or neither and why."""

import re
from dataclasses import dataclass
from enum import StrEnum

from loratui.domain.box import BoxFacts, BoxPython
from loratui_protocol.errors import HostError
from loratui_protocol.inputs import EnvironmentKind, EnvironmentSpec

OLDEST_PYTHON = (3, 11)
NEWEST_PYTHON = (3, 14)
"""The locks hold for these and all between."""
BROUGHT_PYTHON = "3.12"
OLDEST_TORCH = (2, 6)
"""transformers and diffusers switch themselves off below."""
NEWEST_TORCH = (2, 15)
TORCH = "2.13.0"
MACHINES = ("x86_64", "aarch64")
_OLDEST_GLIBC = (2, 28)
_OLDEST_UV = (0, 5)
_NEWEST_UV = (0, 99)
_OLDEST_FOR_EIGHT_BIT = (7, 5)
_GIB = 1 << 30
_OVERLAY_BYTES = 1 * _GIB
_CLEAN_CPU_BYTES = 3 * _GIB
CLEAN_CUDA_BYTES = 12 * _GIB
"""What the largest of them takes."""
_DRIVER_FOR_CUDA = {11: 450, 12: 525, 13: 580}
"""A driver runs every CUDA of these major versions from this release of its own on."""


class Preference(StrEnum):
    """What the user wants; ``AUTO`` takes the image's torch where it can be used."""

    AUTO = "auto"
    OVERLAY = "overlay"
    CLEAN = "clean"


class Lock(StrEnum):
    """The lists of packages, by the name of their file."""

    TRAIN = "train"
    TRAIN_CUDA = "train-cuda"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSettings:
    """Where packages come from, and what the user wants. ``torch_index_url`` has a folder for each build of torch."""

    preference: Preference = Preference.AUTO
    index_url: str
    torch_index_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentChoice:
    """What was decided. ``spec`` lacks the locks' hashes, and uv where the box has none, until the files are known."""

    spec: EnvironmentSpec
    locks: tuple[Lock, ...]
    why: str
    """In a sentence, for people."""
    disk_bytes: int
    """What it takes on the box, about."""

    @property
    def is_on_gpu(self) -> bool:
        """Return whether training will use a GPU."""
        return self.spec.backend != "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Build:
    """A build of torch on its own index, and the GPUs it has kernels for, first and last capability."""

    backend: str
    torch: str
    on_x86: tuple[tuple[int, int], tuple[int, int]]
    on_arm: tuple[tuple[int, int], tuple[int, int]]

    @property
    def cuda(self) -> tuple[int, int]:
        return _cuda_of(self.backend)

    def fits(self, machine: str, gpus: tuple[tuple[int, int], ...]) -> bool:
        oldest, newest = self.on_x86 if machine == "x86_64" else self.on_arm
        return all(oldest <= capability <= newest for capability in gpus)


_ANY = (99, 9)
_BUILDS = (
    _Build(backend="cu130", torch=TORCH, on_x86=((7, 5), _ANY), on_arm=((8, 0), _ANY)),
    _Build(backend="cu126", torch=TORCH, on_x86=((5, 0), (9, 0)), on_arm=((8, 0), (9, 0))),
    # The last with a CUDA 12 that knows Blackwell, whose first drivers know no CUDA 13.
    _Build(backend="cu128", torch="2.11.0", on_x86=((7, 5), (12, 9)), on_arm=((8, 0), (12, 9))),
)
"""In the order in which they are preferred."""


def choose_environment(facts: BoxFacts, settings: EnvironmentSettings) -> EnvironmentChoice:
    """Return what the machine trains in.

    Raises:
        HostError: ``host.system``, ``host.driver`` or ``host.torch``: it can't train; nothing was sent to it.
    """
    if facts.system != "Linux" or facts.machine not in MACHINES:
        raise _refused(
            f"the host is {facts.system} on {facts.machine}; training needs Linux on {' or '.join(MACHINES)}",
            "take another host",
            "host.system",
        )
    refusals = []
    if settings.preference is not Preference.CLEAN:
        for python in facts.pythons:
            refusal = image_torch_refusal(python, facts)
            if not refusal:
                return _overlay(python, facts, settings)
            if python.torch:
                refusals.append(f"torch {python.torch} of {python.path}: {refusal}")
    if settings.preference is Preference.OVERLAY:
        found = "; ".join(refusals) or "it has none"
        raise _refused(
            f"the host's own torch can't be used ({found})", 'set remote.environment = "clean"', "host.torch"
        )
    return _clean(facts, settings, refusals)


def image_torch_refusal(python: BoxPython, facts: BoxFacts) -> str:
    """Return why the torch of an interpreter can't be trained with on this machine, empty when it can."""
    version, _, local = python.torch.partition("+")
    release = re.fullmatch(r"(\d+)\.(\d+)(?:\.(\d+))?(?:\.post\d+)?", version)
    if not python.torch:
        return "there is none"
    if not OLDEST_PYTHON <= python.version[:2] <= NEWEST_PYTHON:
        return (
            f"Python {_dotted(python.version[:2])} is not between {_dotted(OLDEST_PYTHON)} and {_dotted(NEWEST_PYTHON)}"
        )
    if release is None:
        return "it is no release"
    if not OLDEST_TORCH <= (int(release[1]), int(release[2])) <= NEWEST_TORCH:
        return f"it is not between {_dotted(OLDEST_TORCH)} and {_dotted(NEWEST_TORCH)}"
    if not facts.gpus:
        return ""
    return _cuda_refusal(local, facts)


def usable_uv(facts: BoxFacts) -> str:
    """Return the path of the machine's own uv, empty where it has none of a version that is known to serve."""
    found = re.search(r"(\d+)\.(\d+)", facts.uv_version)
    fits = found is not None and _OLDEST_UV <= (int(found[1]), int(found[2])) <= _NEWEST_UV
    return facts.uv if fits and facts.uv.startswith("/") else ""


def _cuda_refusal(local: str, facts: BoxFacts) -> str:
    """Return why a build does not run on the GPUs. ``local`` is what follows the plus in torch's version."""
    if not re.match(r"cu\d{3}", local):
        # The probe names the CUDA of every build that says it; what is none of these is a vendor's own.
        is_for_others = not local or local.startswith(("cpu", "rocm", "xpu"))
        return "it is built without CUDA" if is_for_others else ""
    cuda = _cuda_of(local)
    if not _driver_runs(facts.driver, cuda):
        return f"its CUDA {_dotted(cuda)} needs a newer driver than {facts.driver or 'none'}"
    for gpu in facts.gpus:
        if not _has_kernels(cuda, gpu.compute_capability):
            return f"its CUDA {_dotted(cuda)} has no kernels for {gpu.name} ({_dotted(gpu.compute_capability)})"
    return ""


def _overlay(python: BoxPython, facts: BoxFacts, settings: EnvironmentSettings) -> EnvironmentChoice:
    version, _, local = python.torch.partition("+")
    # Packages of a venv, or of a user, are not those that an environment over the same interpreter would see.
    is_apart = python.is_virtual or "/.local/" in python.torch_folder
    backend = (local if re.fullmatch(r"cu\d{3}", local) else "cuda") if facts.gpus else "cpu"
    spec = EnvironmentSpec(
        kind=EnvironmentKind.OVERLAY,
        python=python.path,
        torch=version,
        torch_folder=python.torch_folder if is_apart else "",
        backend=backend,
        uv=usable_uv(facts),
        index_url=settings.index_url,
    )
    why = f"the host's own torch {python.torch} ({python.path}) is used: {_on_what(facts)}"
    return EnvironmentChoice(spec=spec, locks=_locks(facts), why=why, disk_bytes=_OVERLAY_BYTES)


def _clean(facts: BoxFacts, settings: EnvironmentSettings, refusals: list[str]) -> EnvironmentChoice:
    glibc = re.fullmatch(r"glibc (\d+)\.(\d+)", facts.libc)
    if facts.libc.startswith("musl") or (glibc and (int(glibc[1]), int(glibc[2])) < _OLDEST_GLIBC):
        raise _refused(
            f"the host has {facts.libc}; torch is published for glibc {_dotted(_OLDEST_GLIBC)} or later"
            + _found(refusals),
            "take an image with a later system, or one with a torch of its own",
            "host.system",
        )
    build = _build_for(facts, refusals)
    backend, torch = (build.backend, build.torch) if build else ("cpu", TORCH)
    python = next((each.path for each in facts.pythons if _is_supported(each)), BROUGHT_PYTHON)
    spec = EnvironmentSpec(
        kind=EnvironmentKind.CLEAN,
        python=python,
        torch=torch,
        backend=backend,
        uv=usable_uv(facts),
        index_url=settings.index_url,
        torch_index_url=f"{settings.torch_index_url.rstrip('/')}/{backend}",
    )
    reason = _found(refusals) or ("" if settings.preference is Preference.CLEAN else ", as the host has none")
    why = f"torch {torch} ({backend}) is installed{reason}: {_on_what(facts)}"
    disk_bytes = CLEAN_CUDA_BYTES if build else _CLEAN_CPU_BYTES
    return EnvironmentChoice(spec=spec, locks=_locks(facts), why=why, disk_bytes=disk_bytes)


def _build_for(facts: BoxFacts, refusals: list[str]) -> _Build | None:
    """Return the build for the machine's GPUs, None for the CPU's."""
    if not facts.gpus:
        return None
    capabilities = tuple(gpu.compute_capability for gpu in facts.gpus if gpu.compute_capability != (0, 0))
    fit = [build for build in _BUILDS if build.fits(facts.machine, capabilities)]
    for build in fit:
        if _driver_runs(facts.driver, build.cuda):
            return build
    names = ", ".join(sorted({f"{gpu.name} ({_dotted(gpu.compute_capability)})" for gpu in facts.gpus}))
    if not fit:
        raise _refused(
            f"no build of torch has kernels for {names} on {facts.machine}{_found(refusals)}",
            "take a host with another GPU",
            "host.torch",
        )
    needed = min(_DRIVER_FOR_CUDA[build.cuda[0]] for build in fit)
    raise _refused(
        f"the NVIDIA driver is {facts.driver or 'missing'}; {names} needs {needed} or later{_found(refusals)}",
        "update the driver, or take another host",
        "host.driver",
    )


def _driver_runs(driver: str, cuda: tuple[int, int]) -> bool:
    release = re.match(r"\d+", driver)
    needed = _DRIVER_FOR_CUDA.get(cuda[0])
    return bool(release) and needed is not None and int(release[0] if release else 0) >= needed


def _has_kernels(cuda: tuple[int, int], capability: tuple[int, int]) -> bool:
    """Return whether torch's builds with this CUDA serve the GPU; one whose capability is unknown is given a try."""
    if capability == (0, 0):
        return True
    oldest = (7, 5) if cuda >= (12, 8) else (5, 0)
    newest = _ANY if cuda >= (13, 0) else (12, 9) if cuda >= (12, 8) else (9, 0)
    return oldest <= capability <= newest


def _locks(facts: BoxFacts) -> tuple[Lock, ...]:
    with_eight_bit = facts.gpus and all(gpu.compute_capability >= _OLDEST_FOR_EIGHT_BIT for gpu in facts.gpus)
    return (Lock.TRAIN, Lock.TRAIN_CUDA) if with_eight_bit else (Lock.TRAIN,)


def _is_supported(python: BoxPython) -> bool:
    return OLDEST_PYTHON <= python.version[:2] <= NEWEST_PYTHON


def _on_what(facts: BoxFacts) -> str:
    if facts.gpus:
        return f"driver {facts.driver}, {facts.gpus[0].name}"
    # In a container without the GPU, the driver of the machine around it can be seen all the same.
    return f"no GPU can be seen beside driver {facts.driver}, so the CPU trains" if facts.driver else "the CPU trains"


def _found(refusals: list[str]) -> str:
    return f" ({'; '.join(refusals)})" if refusals else ""


def _cuda_of(backend: str) -> tuple[int, int]:
    """Return (12, 8) for "cu128"."""
    digits = backend[2:5]
    return int(digits[:2]), int(digits[2])


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)


def _refused(what: str, fix: str, code: str) -> HostError:
    return HostError(f"{what}. Nothing was sent.", fix=fix, code=code)
