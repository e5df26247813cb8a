"""What a machine is, learned in one command: the script beside this module says it in rows, here they are read.

What comes back is a stranger's word: texts are cleaned, numbers checked, lists bounded.
"""

import asyncio
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from loratui.domain.box import BoxFacts, BoxPython, Disk, FoundHome, Gpu
from loratui.remote.address import is_sayable
from loratui.remote.box import Box
from loratui_protocol.codec import clean
from loratui_protocol.errors import HostError, ProtocolError
from loratui_protocol.framing import new_nonce

PROBE_TIMEOUT_S = 60.0
SCRIPT = Path(__file__).with_name("probe.sh")
_MAX_ROWS = 256
_MAX_TEXT_CHARS = 1024
_MAX_LISTED = 64
_MAX_INT_CHARS = 18
_DRIVER = re.compile(r"\d{2,4}(\.\d{1,4}){1,3}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")


async def probe(box: Box, extra_homes: Sequence[str] = ()) -> BoxFacts:
    """Return what the box is; ``extra_homes`` are folders that may be an agent's home, besides the usual ones.

    Raises:
        HostError: it can't be reached, or answers nothing (``host.probe``).
        ProtocolError: it answers what no probe says.
    """
    nonce = new_nonce()
    rows: list[Any] = []
    script = await asyncio.to_thread(SCRIPT.read_bytes)
    try:
        async with (
            asyncio.timeout(PROBE_TIMEOUT_S),
            box.process(["/bin/sh", "-s", nonce, *extra_homes], nonce) as process,
        ):
            await process.write(script)
            await process.write_eof()
            while not rows or rows[-1] != ["=end"]:
                rows.append((await process.frame()).get("row"))
                if len(rows) > _MAX_ROWS:
                    raise _refused("it says too much")
    except TimeoutError as error:
        raise HostError(
            f"{box.name} did not say within {PROBE_TIMEOUT_S:.0f} s what it is; nothing was sent there",
            fix="does its shell start? Try: ssh " + shlex.quote(box.name) + " true",
            code="host.probe",
        ) from error
    except HostError as error:
        if error.code != "ssh.command":
            raise
        raise HostError(
            f"{box.name} runs something else than it is asked to, so it can't be used; no file was sent there "
            f"({error.what})",
            fix="that may be a provider's proxy, or ForceCommand in its sshd_config: use the machine's own SSH server "
            "(a public address with port 22 mapped)",
            code="host.probe",
        ) from error
    return parse_rows(rows)


def parse_rows(rows: Iterable[Any]) -> BoxFacts:
    """Return the facts in the rows of a probe; rows of a kind that is not known are ignored.

    Raises:
        ProtocolError: a row is no list of texts, the machine's own is missing, or a number is none.
    """
    found: dict[str, list[list[str]]] = {}
    for row in rows:
        kind, *fields = _texts(row)
        found.setdefault(kind, []).append(fields)
    try:
        system, machine, libc, user, home_folder, cpus, ram, tar = _one(found, "machine", 8)
    except LookupError as error:
        raise _refused("the machine itself is missing") from error
    driver, gpus = _gpus(found)
    uv, uv_version = next(iter(_every(found, "uv", 2)), ("", ""))
    return BoxFacts(
        system=system,
        machine=machine,
        libc=libc,
        user=user,
        home_folder=_folder(home_folder),
        cpus=max(1, _number(cpus)),
        ram_bytes=_number(ram),
        disks=tuple(_disks(found)),
        driver=driver,
        gpus=gpus,
        pythons=tuple(_pythons(found)),
        uv=uv if uv.startswith("/") and is_sayable({"uv": uv}) else "",
        uv_version=uv_version.removeprefix("uv ").partition(" ")[0],
        homes=tuple(_homes(found)),
        has_tar=tar == "1",
    )


def _disks(found: Mapping[str, list[list[str]]]) -> Iterable[Disk]:
    seen = set()
    for path, free, writable in _every(found, "disk", 3):
        if path not in seen and path.startswith("/") and is_sayable({"path": path}):
            seen.add(path)
            yield Disk(path=path, free_bytes=_number(free), is_writable=writable == "1")


def _gpus(found: Mapping[str, list[list[str]]]) -> tuple[str, tuple[Gpu, ...]]:
    """Return the driver and the GPUs, from what nvidia-smi lists: "550.54, 24564, 8.9, NVIDIA RTX 4090"."""
    drivers = [fields[0] for fields in _every(found, "driver", 1)]
    gpus = []
    for kind, num_fields in (("gpu", 4), ("oldgpu", 3)):
        for (line,) in _every(found, kind, 1):
            fields = [field.strip() for field in line.split(",", num_fields - 1)]
            if len(fields) != num_fields:
                continue
            drivers.append(fields[0])
            capability = fields[2] if kind == "gpu" else ""
            with suppress(ValueError):
                major, _, minor = capability.partition(".")
                pair = (int(major[:3]), int(minor[:3])) if capability else (0, 0)
                # A GPU that is cut in pieces says "[N/A]" of its memory.
                vram_mib = int(fields[1][:9]) if fields[1].isdecimal() else 0
                gpus.append(Gpu(name=fields[-1], vram_mib=vram_mib, compute_capability=pair))
    return next((driver for driver in drivers if _DRIVER.fullmatch(driver)), ""), tuple(gpus)


def _pythons(found: Mapping[str, list[list[str]]]) -> Iterable[BoxPython]:
    seen = set()
    for _order, path, version, is_virtual, torch, folder in sorted(_every(found, "python", 6)):
        parts = version.split(".")
        if path in seen or not path.startswith("/") or len(parts) != 3 or not is_sayable({"path": path}):
            continue
        seen.add(path)
        major, minor, micro = (_number(part) for part in parts)
        yield BoxPython(
            path=path, version=(major, minor, micro), is_virtual=is_virtual == "1", torch=torch, torch_folder=folder
        )


def _homes(found: Mapping[str, list[list[str]]]) -> Iterable[FoundHome]:
    seen = set()
    for path, bundles, environments, num_jobs, pid in _every(found, "home", 5):
        if path in seen or not path.startswith("/") or not is_sayable({"path": path}):
            continue
        seen.add(path)
        yield FoundHome(
            path=path,
            bundles=_names(bundles),
            environments=_names(environments),
            num_jobs=_number(num_jobs),
            running_pid=_number(pid) if pid else None,
        )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split() if _NAME.fullmatch(name))


def _one(found: Mapping[str, list[list[str]]], kind: str, num_fields: int) -> list[str]:
    return _every(found, kind, num_fields)[0]


def _every(found: Mapping[str, list[list[str]]], kind: str, num_fields: int) -> list[list[str]]:
    rows = found.get(kind, [])[:_MAX_LISTED]
    if any(len(row) != num_fields for row in rows):
        raise _refused(f"a row {kind!r} has not {num_fields} fields")
    return rows


def _texts(row: Any) -> list[str]:
    if not isinstance(row, list) or not row or len(row) > 16:
        raise _refused("a row is no short list")
    return [_text(field) for field in row]


def _text(field: Any) -> str:
    """Return a text of a row: "=" and the text itself, or "~" and its UTF-8 bytes in hex."""
    if not isinstance(field, str) or len(field) > 4 * _MAX_TEXT_CHARS:
        raise _refused("a field is no short text")
    if field.startswith("="):
        return clean(field[1:], _MAX_TEXT_CHARS)
    try:
        return clean(bytes.fromhex(field.removeprefix("~")).decode("utf-8", "replace"), _MAX_TEXT_CHARS)
    except ValueError as error:
        raise _refused("a field is neither plain nor hex") from error


def _folder(text: str) -> str:
    if not text.startswith("/"):
        raise _refused("the user's folder is no path")
    return text


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > _MAX_INT_CHARS:
        raise _refused(f"{text[:40]!r} is no number")
    return int(text)


def _refused(why: str) -> ProtocolError:
    return ProtocolError(
        f"the host's answer about itself can't be read: {why}", fix="is that host yours?", code="host.probe"
    )
