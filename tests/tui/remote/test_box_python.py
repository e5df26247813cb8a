import hashlib
import json
import os
import platform
import shutil
import sys
import sysconfig
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.domain.box import BoxFacts
from loratui.remote.agent_client import connected
from loratui.remote.box_python import PythonSource, bring_python
from loratui.remote.uv_binary import wheel_for
from loratui_protocol.errors import HostError
from support.boxes import agent_of, box_of
from support.local_box import LocalBox
from support.sshd import needs_sshd, sshd
from support.wheel_index import WHEELS

pytestmark = needs_sshd
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_LEFT_OUT = {"test", "site-packages", "idlelib", "tkinter", "turtledemo", "ensurepip", "__pycache__"}


def system_pythons() -> list[str]:
    """Return every interpreter that a login would find."""
    folders = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin")
    found = {str(path.resolve()) for folder in folders for path in Path(folder).glob("python3*") if os.access(path, 1)}
    return sorted(path for path in found if "config" not in path)


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a list of downloads, as uv reads it, whose one build is the interpreter that runs this test."""
    folder = tmp_path_factory.mktemp("builds")
    archive = folder / "python.tar.gz"
    base = Path(sys.base_prefix)

    def needed(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        parts = member.name.split("/")
        is_left_out = _LEFT_OUT.intersection(parts) or any(part.startswith("config-") for part in parts)
        return None if is_left_out or member.name.endswith(".a") else member

    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(Path("/proc/self/exe").resolve(), f"python/bin/python{VERSION}")
        for name in ("python", "python3"):
            link = tarfile.TarInfo(f"python/bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, f"python{VERSION}"
            tar.addfile(link)
        tar.add(base / "lib" / f"python{VERSION}", f"python/lib/python{VERSION}", filter=needed)
        for library in base.glob("lib/libpython*.so*"):
            tar.add(library, f"python/lib/{library.name}")
    machine = platform.machine()
    build = {
        "name": "cpython",
        "arch": {"family": machine, "variant": None},
        "os": "linux",
        "libc": "gnu",
        "major": sys.version_info.major,
        "minor": sys.version_info.minor,
        "patch": sys.version_info.micro,
        "prerelease": "",
        "url": archive.as_uri(),
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "variant": None,
        "build": None,
    }
    listing = folder / "downloads.json"
    listing.write_text(json.dumps({f"cpython-{platform.python_version()}-linux-{machine}-gnu": build}))
    return listing


FACTS = BoxFacts(
    system="Linux", machine=platform.machine(), libc="glibc", user="", home_folder="/", cpus=1, ram_bytes=1 << 30
)  # fmt: skip


def ignore(*_: object) -> None:
    pass


def source(cache: Path, listing: str) -> PythonSource:
    wheel = WHEELS / wheel_for(platform.machine(), "glibc").name
    if not wheel.exists():
        pytest.skip("uv's wheel was not fetched: scripts/setup_venv.sh does it")
    if "musl" in sysconfig.get_platform():
        pytest.skip("the build would be one for another C library")
    cache.mkdir(exist_ok=True)
    shutil.copy(wheel, cache)
    environ = {"UV_PYTHON_DOWNLOADS_JSON_URL": listing, "HF_TOKEN": "canary"}
    return PythonSource.of(cache, "http://127.0.0.1:9/simple", environ, VERSION)


async def test_a_machine_without_a_python_gets_one_and_keeps_it(tmp_path: Path, builds: Path) -> None:
    python_source = source(tmp_path / "cache", str(builds))
    said: list[str] = []
    with sshd(tmp_path / "server", hide=system_pythons()) as server:
        for expected in (["probe", "python", "python", "agent"], ["probe", "agent"]):
            options = {"python_source": python_source, "say": lambda phase, *_: said.append(phase)}
            async with agent_of(server, tmp_path / f"laptop{len(expected)}", **options) as agent:
                async with connected(agent, "client"):
                    pass
                address = await agent.address()
                facts = agent.facts()
            assert said == expected
            said.clear()
            assert address.python.startswith(f"{server.home}/.loratui/python/")
        # The second laptop finds what the first one brought, the installer included.
        assert facts is not None
        assert facts.uv == f"{server.home}/.loratui/tools/uv"


async def test_a_folder_with_other_things_is_left_as_it_is(tmp_path: Path) -> None:
    python_source = source(tmp_path / "cache", str(tmp_path / "missing.json"))
    with sshd(tmp_path / "server", hide=system_pythons()) as server:
        data = server.home / "data"
        data.mkdir()
        (data / "precious").touch()
        async with agent_of(server, tmp_path / "laptop", python_source=python_source, home=str(data)) as agent:
            with pytest.raises(HostError, match="holds other things") as refused:
                await agent.token()
        assert refused.value.code == "host.home"
        # The marker alone would have "clean" remove all of it.
        assert [path.name for path in data.iterdir()] == ["precious"]


@pytest.mark.parametrize("name", ["new/folder", "empty", "marked", ".loratui"])
async def test_a_folder_that_may_be_an_agents_home_is_taken(tmp_path: Path, builds: Path, name: str) -> None:
    home = tmp_path / name
    if name != "new/folder":
        home.mkdir()
    if name in ("marked", ".loratui"):
        (home / "something").touch()
    if name == "marked":
        (home / ".loratui-home").touch()
    python = await bring_python(LocalBox(), FACTS, str(home), source(tmp_path / "cache", str(builds)), ignore)
    assert python.startswith(f"{home}/python/")
    assert (home / ".loratui-home").exists()


@pytest.mark.parametrize("version", ["0.5.1", "0.4.30"])
async def test_a_uv_of_the_host_that_is_too_old_is_replaced_by_ours(tmp_path: Path, builds: Path, version: str) -> None:
    old, asked = tmp_path / "uv", tmp_path / "asked"
    old.write_text(f"#!/bin/sh\necho \"$@\" >>{asked}\necho 'error: unexpected argument --no-bin' >&2\nexit 2\n")
    old.chmod(0o755)
    facts = replace(FACTS, uv=str(old), uv_version=version)
    with sshd(tmp_path / "server") as server:
        home = server.home / ".loratui"
        async with box_of(server, tmp_path / "laptop") as (box, _):
            python = await bring_python(box, facts, str(home), source(tmp_path / "cache", str(builds)), ignore)
        assert python.startswith(f"{home}/python/")
    assert asked.exists() == (version == "0.5.1")


async def test_where_none_can_be_fetched_it_is_said_why(tmp_path: Path) -> None:
    python_source = source(tmp_path / "cache", str(tmp_path / "missing.json"))
    with sshd(tmp_path / "server", hide=system_pythons()) as server:
        async with agent_of(server, tmp_path / "laptop", python_source=python_source) as agent:
            with pytest.raises(HostError, match=r"missing\.json") as refused:
                await agent.token()
    assert refused.value.code == "host.python"


async def test_one_that_is_too_old_is_as_good_as_none(tmp_path: Path) -> None:
    with sshd(tmp_path / "server", hide=system_pythons()) as server:
        old = server.home / "venv" / "bin" / "python"
        old.parent.mkdir(parents=True)
        # -I -c PROGRAM NONCE ORDER PATH, as the probe calls every interpreter.
        row = '{"row": ["=python", "=%s", "=%s", "=3.10.12", "=", "=", "="]}'
        old.write_text(f'#!/bin/sh\nprintf \'\\n@@loratui %s {row}\\n\' "$4" "$5" "$6"\n')
        old.chmod(0o755)
        async with agent_of(server, tmp_path / "laptop") as agent:
            with pytest.raises(HostError, match=r"no Python 3\.11") as refused:
                await agent.token()
            facts = agent.facts()
    assert facts is not None
    assert [python.version for python in facts.pythons] == [(3, 10, 12)]
    assert refused.value.code == "host.python"
