import asyncio
import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.domain.environment_choice import Lock
from loratui.remote.environment_files import lock_path
from loratui_agent.environment.ensure import ensure
from loratui_agent.process import is_locked
from loratui_protocol.errors import JobError, StorageError
from loratui_protocol.inputs import EnvironmentKind, EnvironmentSpec
from loratui_protocol.paths import AgentHome
from support import environments
from support.agent_process import wait_until
from support.environments import (
    PYTHON,
    SITE,
    Reports,
    put_blob,
    system_with_torch,
    torch_of_this_venv,
    torch_without_driver,
)
from support.wheel_index import WheelIndex, lock_line, locked_wheels, make_wheel, wheel_index

pytestmark = [pytest.mark.torch, pytest.mark.skipif(sys.platform != "linux", reason="boxes are Linux machines")]
LOOK = (
    "import sys; from importlib.util import find_spec; from pathlib import Path;"
    "print(*(Path(find_spec(name).origin).parents[1] for name in ('torch', 'diffusers')), sys.prefix)"
)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def home(tmp_path) -> AgentHome:
    return AgentHome(tmp_path / "home")


@pytest.fixture
def index(tmp_path) -> Iterator[WheelIndex]:
    torch_of_this_venv(tmp_path / "torch")
    with wheel_index(locked_wheels(), tmp_path / "torch") as running:
        yield running


@pytest.fixture
def spec(home, index) -> EnvironmentSpec:
    """Return an overlay over the torch of this venv, as a client asks for it."""
    return EnvironmentSpec(
        kind=EnvironmentKind.OVERLAY,
        python=PYTHON,
        torch="2.13.0",
        torch_folder=str(SITE),
        backend="cpu",
        uv=f"sha256:{put_blob(home, next(locked_wheels().glob('uv-*.whl')))}",
        lock_sha256s=[put_blob(home, lock_path(Lock.TRAIN))],
        index_url=index.url,
    )


def small(home: AgentHome, spec: EnvironmentSpec, folder: Path, *modules: str) -> EnvironmentSpec:
    """Return the specification with a lock of one small package, which holds ``modules`` that fail when imported."""
    wheel = make_wheel(folder, "small", "1.0", {f"{name}.py": "raise ImportError('it is broken')" for name in modules})
    lock = folder / "lock.txt"
    lock.write_text(lock_line(wheel), "utf-8")
    return replace(spec, lock_sha256s=[put_blob(home, lock)])


def agent_that_makes(home: AgentHome, spec: EnvironmentSpec, *seconds: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([PYTHON, environments.__file__, str(home.path), environments.as_json(spec), *seconds])


@contextlib.contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def look(python: Path) -> tuple[Path, Path, Path]:
    """Return where an environment has torch and diffusers from, and its own folder."""
    done = subprocess.run([python, "-c", LOOK], capture_output=True, text=True, check=True)
    torch, diffusers, prefix = done.stdout.split()
    return Path(torch), Path(diffusers), Path(prefix)


async def test_torch_of_a_venv_is_used_through_a_pth_line_and_the_rest_is_installed_once_for_all_who_ask(home, spec):
    first, second, third = Reports(), Reports(), Reports()
    async with asyncio.TaskGroup() as group:
        one = group.create_task(ensure(home, spec, first.append))
        other = group.create_task(ensure(home, spec, second.append))
    python = one.result()
    assert python == other.result()
    torch, diffusers, prefix = look(python)
    assert torch == SITE
    assert diffusers.is_relative_to(home.environments)
    assert prefix == python.parents[1]
    assert "another installation is under way" in first.messages + second.messages
    assert ("installing 46 packages" in first.messages) != ("installing 46 packages" in second.messages)
    for reports in (first, second):
        assert {setup.phase for setup in reports} == {"environment"}
        assert [setup.done == setup.total for setup in reports] == [False] * (len(reports) - 1) + [True]
    assert await ensure(home, spec, third.append) == python
    assert third.messages == ["the environment is there already"]


async def test_torch_of_the_system_is_used_through_its_site_packages(home, spec, tmp_path):
    image = system_with_torch(tmp_path / "image")
    python = await ensure(home, replace(spec, python=str(image), torch_folder=""), Reports().append)
    torch, diffusers, _ = look(python)
    assert torch == SITE
    assert diffusers.is_relative_to(home.environments)
    assert not list(python.parents[1].rglob("zz_loratui_image.pth"))


async def test_an_agent_killed_while_it_installs_a_torch_of_our_own_leaves_nothing_in_the_way(home, spec, index):
    clean = replace(
        spec, kind=EnvironmentKind.CLEAN, python=sys.base_prefix + "/bin/python3", torch_folder="",
        torch_index_url=f"{index.url}/cpu",
    )  # fmt: skip
    index.is_open.clear()
    agent = agent_that_makes(home, clean)
    lock = home.environments / "lock"
    wait_until(lambda: any("torch-2.13.0" in path and path.endswith(".whl") for path in index.asked), "the download")
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    assert is_locked(lock), "the installer lives on and must not meet another"
    reports = Reports()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ensure(home, clean, reports.append))
        await asyncio.to_thread(wait_until, lambda: reports, "the next agent to wait")
        assert reports.messages == ["another installation is under way"]
        index.is_open.set()
        python = await task
    assert not is_locked(lock)
    assert look(python)[1].is_relative_to(home.environments)
    assert "installing torch 2.13.0 (cpu)" in reports.messages
    assert "/simple/cpu/torch/" in index.asked


async def test_who_gives_up_leaves_no_installer_and_no_lock_behind(home, spec, index):
    index.is_open.clear()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ensure(home, spec, Reports().append))
        await asyncio.to_thread(wait_until, lambda: any(path.endswith(".whl") for path in index.asked), "the download")
        task.cancel()
    assert task.cancelled()
    assert not is_locked(home.environments / "lock")


async def test_an_environment_whose_python_has_gone_is_made_anew(home, spec, tmp_path):
    made = small(home, spec, tmp_path / "small")
    with wheel_index(tmp_path / "small") as other:
        made = replace(made, index_url=other.url)
        python = await ensure(home, made, Reports().append)
        # As a new container does, which has another Python elsewhere.
        python.unlink()
        python.symlink_to("/nowhere/python")
        assert await ensure(home, made, Reports().append) == python
    assert look(python)[0] == SITE


async def test_a_trial_that_hangs_and_whose_agent_was_killed_is_ended_when_it_has_had_its_time(home, spec, tmp_path):
    folder, hangs = torch_without_driver(tmp_path / "image", "no driver"), tmp_path / "hangs"
    hang = (
        f"import os, time\nif not os.path.exists({str(hangs)!r}):\n    os.mkdir({str(hangs)!r})\n    time.sleep(600)\n"
    )
    (folder / "torch.py").write_text(hang + (folder / "torch.py").read_text())
    hanging = replace(small(home, spec, tmp_path / "small"), torch_folder=str(folder), backend="cu130")
    with wheel_index(tmp_path / "small") as other:
        hanging = replace(hanging, index_url=other.url)
        agent = agent_that_makes(home, hanging, "2.0")
        wait_until(hangs.exists, "the trial")
        agent.send_signal(signal.SIGKILL)
        agent.wait()
        assert is_locked(home.environments / "lock")
        async with asyncio.timeout(30):
            # It is the next agent's turn, whose own trial says what the matter is.
            with pytest.raises(JobError, match="no driver"):
                await ensure(home, hanging, Reports().append)


async def test_packages_of_the_image_that_break_ours_are_named_and_nothing_counts_as_made(home, spec, tmp_path, index):
    index_folder = tmp_path / "broken"
    broken = small(home, spec, index_folder, "numpy")
    with wheel_index(index_folder) as other, pytest.raises(JobError, match="it is broken") as caught:
        await ensure(home, replace(broken, index_url=other.url), Reports().append)
    assert caught.value.code == "env_failed"
    assert "clean" in caught.value.fix
    assert not list(home.environments.glob("*/.ok"))


async def test_a_torch_that_the_driver_does_not_run_is_a_mismatch_and_not_a_broken_installation(home, spec, tmp_path):
    folder = torch_without_driver(tmp_path / "image", "The NVIDIA driver on your system is too old")
    mismatch = replace(small(home, spec, tmp_path / "small"), torch_folder=str(folder), backend="cu130")
    with wheel_index(tmp_path / "small") as other, pytest.raises(JobError, match="driver on your system is") as caught:
        await ensure(home, replace(mismatch, index_url=other.url), Reports().append)
    assert caught.value.code == "driver_mismatch"
    assert not list(home.environments.glob("*/.ok"))


async def test_a_package_that_is_not_what_was_locked_is_not_installed(home, spec, tmp_path):
    folder = tmp_path / "small"
    locked = small(home, spec, folder, "small")
    make_wheel(folder, "small", "1.0", {"small.py": "print('something else')"})
    with wheel_index(folder) as other, pytest.raises(JobError) as caught:
        await ensure(home, replace(locked, index_url=other.url), Reports().append)
    assert caught.value.code == "env_failed"
    assert "does not serve what was locked" in caught.value.fix
    assert not list(home.environments.rglob("small.py"))


async def test_a_locked_package_that_the_index_lacks_says_which_and_where(home, spec, tmp_path):
    locked = small(home, spec, tmp_path / "small", "small")
    with pytest.raises(JobError, match="small") as caught:
        await ensure(home, locked, Reports().append)
    assert locked.index_url in caught.value.fix


async def test_blobs_are_waited_for(home, spec, tmp_path):
    sha256 = spec.lock_sha256s[0]
    (home.blobs / sha256).rename(tmp_path / "lock")
    reports = Reports()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ensure(home, spec, reports.append))
        await asyncio.to_thread(wait_until, lambda: reports, "the wait to be reported")
        assert reports.messages == ["waiting for the list of packages and the installer"]
        (tmp_path / "lock").rename(home.blobs / sha256)
        await asyncio.to_thread(wait_until, lambda: len(reports) > 1, "the start")
        task.cancel()
    assert reports.messages[1] == "preparing"


async def test_an_installer_that_is_not_what_its_name_says_is_never_run(home, spec):
    blob = home.blobs / spec.uv.removeprefix("sha256:")
    blob.write_bytes(b"#!/bin/sh\ntouch /tmp/never\n")
    with pytest.raises(JobError, match="damaged"):
        await ensure(home, spec, Reports().append)


@pytest.mark.parametrize(
    "change", [{"uv": ""}, {"uv": "sha256:../../x"}, {"lock_sha256s": ["../x"]}, {"python": "--help"}, {"python": ""}]
)
async def test_a_specification_that_makes_no_sense_is_refused_before_anything_is_made(home, spec, change):
    with pytest.raises(JobError, match="incomplete"):
        await ensure(home, replace(spec, **change), Reports().append)
    assert not home.environments.exists()


async def test_a_full_disk_is_called_that(home, spec, tmp_path):
    with small_disk(tmp_path / "disk", 60) as disk:
        small_home = AgentHome(disk / "home")
        shutil.copytree(home.blobs, small_home.blobs)
        with pytest.raises(StorageError) as caught:
            await ensure(small_home, spec, Reports().append)
    assert caught.value.code == "disk.full"
    assert "MiB are free" in caught.value.what


async def test_this_machine_trains_with_the_agents_own_python(home):
    assert await ensure(home, EnvironmentSpec(kind=EnvironmentKind.AGENT), Reports().append) == Path(sys.executable)
