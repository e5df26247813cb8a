import threading
from pathlib import Path

import asyncssh
import pytest

from loratui.remote.ssh import Instance, SshTarget, host_folder
from loratui_protocol.errors import HostError, StorageError


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path / "hosts" / "box")


def test_key_is_made_once_for_this_host_and_nobody_else_can_read_it(instance: Instance) -> None:
    key = instance.key()
    assert key.get_algorithm() == "ssh-ed25519"
    assert instance.key().public_data == key.public_data
    assert instance.key_path.stat().st_mode & 0o777 == 0o600
    assert instance.folder.stat().st_mode & 0o777 == 0o700
    assert Instance(instance.folder.with_name("other")).key().public_data != key.public_data


def test_public_key_says_nothing_about_this_machine(instance: Instance) -> None:
    instance.key()
    kind, _, comment = (instance.folder / "key.pub").read_text().split()
    assert (kind, comment) == ("ssh-ed25519", "loratui")


def test_processes_that_need_a_key_at_once_get_the_same_one(instance: Instance) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(instance.key().public_data)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert sorted(path.name for path in instance.folder.iterdir()) == ["key", "key.pub"]


def test_damaged_key_is_an_error_and_is_not_replaced(instance: Instance) -> None:
    instance.key()
    instance.key_path.write_text("torn")
    with pytest.raises(StorageError, match="can't be read"):
        instance.key()
    assert instance.key_path.read_text() == "torn"


def test_host_key_is_remembered(instance: Instance) -> None:
    assert instance.host_key() is None
    host_key = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    instance.pin_host_key(host_key)
    pinned = Instance(instance.folder).host_key()
    assert pinned is not None
    assert pinned.get_fingerprint() == host_key.get_fingerprint()
    assert b"PRIVATE" not in (instance.folder / "known_host").read_bytes()


def test_damaged_host_key_is_not_taken_for_a_first_visit(instance: Instance) -> None:
    instance.pin_host_key(asyncssh.generate_private_key("ssh-ed25519"))
    (instance.folder / "known_host").write_text("")
    with pytest.raises(HostError) as caught:
        instance.host_key()
    assert caught.value.code == "ssh.host_key"


def test_facts_are_kept_beside_each_other_and_can_be_taken_away(instance: Instance) -> None:
    instance.remember({"agent": {"home": "/root"}, "other": 1})
    instance.remember({"agent": {"home": "/workspace"}, "other": None})
    assert Instance(instance.folder).recall() == {"agent": {"home": "/workspace"}}
    assert (instance.folder / "host.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000])
def test_damaged_facts_are_as_good_as_none(instance: Instance, content: bytes) -> None:
    instance.remember({"x": 1})
    (instance.folder / "host.json").write_bytes(content)
    assert instance.recall() == {}


def test_folder_that_can_not_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("a file")
    with pytest.raises(StorageError, match="can't be"):
        Instance(tmp_path / "hosts" / "box").remember({})


def test_every_host_has_a_folder_of_its_own_whatever_its_name(tmp_path: Path) -> None:
    targets = [
        SshTarget("root", "host"),
        SshTarget("root", "host", 2222),
        SshTarget("Root", "host"),
        SshTarget("root", "2001:db8::1"),
        SshTarget("root", "h" * 250),
        SshTarget("a\\b", ".."),
    ]
    names = {host_folder(tmp_path, target).name.lower() for target in targets}
    assert len(names) == len(targets)
    assert all(len(name) < 80 and ":" not in name and "\\" not in name for name in names)
    assert host_folder(tmp_path, SshTarget("root", "host", 22)) == host_folder(tmp_path, SshTarget("root", "host"))
