import pytest

from loratui.remote.address import AgentAddress

FIELDS = {"home": "/h", "python": "/p", "bundle": "/h/agent/b", "socket": "/h/run/agent.sock", "token": "t"}


def test_address_is_read_back_as_it_was_remembered() -> None:
    address = AgentAddress.from_dict(FIELDS | {"agent_bundle": "b", "later": "x"})
    assert address is not None
    assert AgentAddress.from_dict(address.to_dict()) == address


@pytest.mark.parametrize("path", ["/it's", "/a\\b", "/a\nb", "/a!b", "/\ud800", 7, None])
def test_path_that_can_not_be_said_to_every_shell_makes_no_address(path: object) -> None:
    for name in ("home", "python", "bundle", "socket"):
        assert AgentAddress.from_dict(FIELDS | {name: path}) is None
