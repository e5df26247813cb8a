import os
import stat
from pathlib import Path

import pytest

from loratui_protocol.errors import AgentUnreachableError
from loratui_protocol.paths import MAX_SOCKET_PATH_BYTES, AgentHome, default_home, make_socket_folder, socket_path


@pytest.fixture
def deep(tmp_path):
    """A home whose path is too long for socket addresses; its folder of sockets goes at the end."""
    home = tmp_path / ("ä" * 50)
    yield home
    pointer = home / "run" / "sockets"
    if pointer.exists():
        Path(pointer.read_text("utf-8")).rmdir()


def test_sockets_lie_in_the_home_where_their_path_is_short_enough(tmp_path):
    make_socket_folder(tmp_path / "h")
    assert socket_path(tmp_path / "h", "agent.sock") == tmp_path / "h" / "run" / "agent.sock"
    assert not (tmp_path / "h" / "run" / "sockets").exists()


def test_sockets_of_a_deep_home_lie_in_a_private_folder_that_both_ends_find(deep):
    make_socket_folder(deep)
    paths = [socket_path(deep, name) for name in ("agent.sock", "trainer.sock")]
    assert all(len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES for path in paths)
    [folder] = {path.parent for path in paths}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    make_socket_folder(deep)
    assert socket_path(deep, "agent.sock") == paths[0], "a restarted agent keeps the place: trainers know it"


def test_a_folder_that_others_can_write_to_is_not_used_again(deep):
    make_socket_folder(deep)
    first = socket_path(deep, "agent.sock").parent
    first.chmod(0o777)
    make_socket_folder(deep)
    assert socket_path(deep, "agent.sock").parent != first
    first.rmdir()


def test_a_deep_home_where_no_agent_ever_ran_is_unreachable(deep):
    with pytest.raises(AgentUnreachableError) as unreachable:
        socket_path(deep, "agent.sock")
    assert unreachable.value.code == "agent.unreachable"


def test_the_home_is_what_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    assert default_home() == tmp_path
    monkeypatch.delenv("LORATUI_HOME")
    assert default_home().name == ".loratui"
    assert AgentHome(tmp_path).job("X") == tmp_path / "jobs" / "X"
