import hashlib
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from loratui.domain.box import BoxFacts
from loratui.domain.environment_choice import EnvironmentSettings, Lock, choose_environment
from loratui.remote import uv_binary as uv_module
from loratui.remote.environment_files import environment_files, lock_path
from loratui.remote.uv_binary import uv_binary, uv_wheel, wheel_for
from loratui_protocol.errors import HostError
from support.wheel_index import locked_wheels, wheel_index

ROOT = Path(__file__).resolve().parents[3]
GLIBC = "glibc 2.36"
BOX = BoxFacts(
    system="Linux", machine="x86_64", libc=GLIBC, user="root", home_folder="/root", cpus=8, ram_bytes=32 << 30
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def only_uv(tmp_path) -> Path:
    """Return a folder with nothing but uv's wheel for x86_64."""
    folder = tmp_path / "uv"
    folder.mkdir()
    found = locked_wheels() / wheel_for("x86_64", GLIBC).name
    if not found.exists():
        pytest.skip("uv was fetched for another machine")
    shutil.copy(found, folder)
    return folder


def pins(path: Path) -> dict[str, str]:
    """Return the versions that a file pins, by normal name."""
    found = re.findall(r"^([\w.-]+)==([\w.]+)", path.read_text("utf-8"), re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in found}


def test_the_locks_hold_what_constraints_pin_and_nothing_that_belongs_to_torch():
    constraints = pins(ROOT / "constraints.txt")
    for lock in Lock:
        locked = pins(lock_path(lock))
        assert {name: constraints.get(name, version) for name, version in locked.items()} == locked
        assert not {name for name in locked if re.match(r"torch|triton|cuda|nvidia(?!-ml-py)", name)}
        text = lock_path(lock).read_text("utf-8")
        assert "--hash=sha256:" in text
        assert "://" not in text
    train = pins(lock_path(Lock.TRAIN))
    assert {"diffusers", "transformers", "peft", "accelerate", "nvidia-ml-py"} <= train.keys()
    assert pins(lock_path(Lock.TRAIN_CUDA)).keys() == {"bitsandbytes"}


async def test_uv_is_fetched_once_and_kept(tmp_path, only_uv):
    cache = tmp_path / "cache"
    with wheel_index(only_uv) as index:
        wheel = await uv_wheel("x86_64", GLIBC, cache, index.url)
        assert len(index.asked) == 2
        assert await uv_wheel("x86_64", GLIBC, cache, index.url) == wheel
        assert len(index.asked) == 2
        program = await uv_binary("x86_64", GLIBC, cache, index.url)
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)  # noqa: ASYNC221
    assert said.stdout.startswith(f"uv {uv_module.VERSION} ")
    assert stat.S_IMODE(program.stat().st_mode) == 0o700
    assert {path.name for path in cache.iterdir()} == {wheel.name, program.name}


async def test_what_is_not_the_published_file_is_not_kept(tmp_path, only_uv):
    cache = tmp_path / "cache"
    with wheel_index(only_uv) as index:
        index.spoiled.add(wheel_for("x86_64", GLIBC).name)
        with pytest.raises(HostError, match="not the file that was published") as caught:
            await uv_wheel("x86_64", GLIBC, cache, index.url)
    assert caught.value.code == "host.uv"
    assert not list(cache.iterdir())


async def test_a_damaged_file_in_the_cache_is_fetched_again(tmp_path, only_uv):
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / wheel_for("x86_64", GLIBC).name).write_bytes(b"half")
    with wheel_index(only_uv) as index:
        wheel = await uv_wheel("x86_64", GLIBC, cache, index.url)
        program = await uv_binary("x86_64", GLIBC, cache, index.url)
        whole = program.read_bytes()
        for damaged in (whole[:1000], bytes(len(whole))):
            program.write_bytes(damaged)
            assert await uv_binary("x86_64", GLIBC, cache, index.url) == program
            assert program.read_bytes() == whole
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == wheel_for("x86_64", GLIBC).sha256


async def test_an_index_that_cannot_be_reached_or_has_no_uv_is_named(tmp_path):
    with wheel_index() as index, pytest.raises(HostError, match=re.escape(index.url)):
        await uv_wheel("x86_64", GLIBC, tmp_path, index.url)
    with pytest.raises(HostError, match=re.escape(index.url)) as caught:
        await uv_wheel("x86_64", GLIBC, tmp_path, index.url)
    assert caught.value.code == "host.uv"


def test_machines_that_uv_is_not_brought_to_are_refused():
    with pytest.raises(HostError) as caught:
        wheel_for("riscv64", GLIBC)
    assert caught.value.code == "host.system"


async def test_every_file_of_an_environment_travels_under_its_hash(tmp_path, only_uv):
    with wheel_index(only_uv) as index:
        settings = EnvironmentSettings(index_url=index.url, torch_index_url="https://torch.example")
        files = await environment_files(choose_environment(BOX, settings), BOX, tmp_path / "cache")
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files.blobs]
    assert [*files.spec.lock_sha256s, files.spec.uv.removeprefix("sha256:")] == hashes
    assert files.blobs[0] == lock_path(Lock.TRAIN)
