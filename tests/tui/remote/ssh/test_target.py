import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.remote.ssh import SshTarget, parse_target
from loratui_protocol.errors import UsageError


@pytest.mark.parametrize(
    ("text", "target", "name"),
    [
        ("ssh://root@203.0.113.7:40022", SshTarget("root", "203.0.113.7", 40022), "root@203.0.113.7:40022"),
        ("ssh://ann@gpu.example.org", SshTarget("ann", "gpu.example.org"), "ann@gpu.example.org"),
        ("ssh://ann@GPU.Example.org:22/", SshTarget("ann", "gpu.example.org", 22), "ann@gpu.example.org"),
        ("SSH://gpu-box", SshTarget("", "gpu-box"), "gpu-box"),
        ("ssh://root@[2001:DB8::1]:2222", SshTarget("root", "2001:db8::1", 2222), "root@[2001:db8::1]:2222"),
        ("ssh://[fe80::1%eth0]", SshTarget("", "fe80::1%eth0"), "[fe80::1%eth0]"),
        ("ssh://ann@example.com@host", SshTarget("ann@example.com", "host"), "ann@example.com@host"),
    ],
)
def test_targets_are_understood_and_named(text: str, target: SshTarget, name: str) -> None:
    assert parse_target(text) == target
    assert target.name == name
    assert parse_target(str(target)).name == name


@pytest.mark.parametrize("text", ["", "local", "root@host", "http://host", "ssh:host", "ssh:/host"])
def test_anything_else_is_no_target(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(text)
    assert caught.value.code == "target.unknown"
    assert "ssh://user@host" in caught.value.fix


@pytest.mark.parametrize(
    "text",
    [
        "ssh://",
        "ssh://root@",
        "ssh://root@host:",
        "ssh://root@host:0",
        "ssh://root@host:65536",
        "ssh://root@host:٢٢",
        "ssh://root@host:22x",
        "ssh://-oProxyCommand=x",
        "ssh://-lroot@host",
        "ssh://root@host/path",
        "ssh://root@host?x=1",
        "ssh://root@ho st",
        "ssh://root@host\n",
        "ssh://ro ot@host",
        "ssh://root@2001:db8::1",
        "ssh://root@[2001:db8::1",
        "ssh://root@[2001:db8::1]22",
        "ssh://root@[203.0.113.7]",
        "ssh://root@[fe80::1%$(x)]",
        "ssh://root@$(reboot)",
    ],
)
def test_broken_targets_are_refused_with_the_reason(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(text)
    assert caught.value.code == "target.syntax"


def test_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        parse_target("ssh://root:hunter2@host:22")
    assert caught.value.code == "target.syntax"
    assert "hunter2" not in str(caught.value)


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(text: str) -> None:
    for candidate in (text, "ssh://" + text, "ssh://u@" + text):
        try:
            target = parse_target(candidate)
        except UsageError:
            continue
        assert parse_target(str(target)).name == target.name
        assert not set(target.name) & set(" \n\t;&|$`'\"<>()")
