"""Programs of ours on a box that do not answer, or answer with an error; what they do otherwise: test_ssh_agent.py."""

import sys
from pathlib import Path

import pytest

from loratui.domain.box import BoxFacts, BoxPython, FoundHome
from loratui.remote import bootstrap
from loratui.remote.bundle import bundle
from loratui_protocol.errors import HostError, LoratuiError, ModelError
from support.local_box import LocalBox


@pytest.fixture
def silent(tmp_path: Path) -> BoxFacts:
    """A box whose home has our bundle, with an interpreter that says nothing."""
    interpreter = tmp_path / "python"
    interpreter.write_text("#!/bin/sh\nexec sleep 600\n")
    interpreter.chmod(0o755)
    home = FoundHome(path=str(tmp_path / "home"), bundles=(bundle().name,), environments=(), num_jobs=0)
    return BoxFacts(
        system="Linux",
        machine="x86_64",
        libc="",
        user="root",
        home_folder=str(tmp_path),
        cpus=1,
        ram_bytes=1,
        disks=(),
        driver="",
        gpus=(),
        pythons=(BoxPython(path=str(interpreter), version=sys.version_info[:3], is_virtual=False),),
        homes=(home,),
    )


async def test_program_that_does_not_answer_is_called_by_its_name(silent: BoxFacts) -> None:
    home = silent.homes[0].path
    with pytest.raises(HostError) as caught:
        await bootstrap.run_program(LocalBox(), silent, home, "purge", "--remove", timeout_s=0.3)
    assert caught.value.code == "host.agent"
    assert "'purge' did not answer within" in caught.value.what
    assert "start" not in caught.value.what


@pytest.mark.parametrize(
    ("told", "kind", "code"),
    [
        ({"code": "host.disk", "what": "full"}, HostError, "host.disk"),
        ({"code": "model.gated", "what": "no"}, ModelError, "model.gated"),
        ({"code": "ssh.host_key_changed", "what": "no"}, HostError, "host.agent"),
        ({"code": 7, "what": None}, HostError, "host.agent"),
        ("broken", HostError, "host.agent"),
    ],
)
def test_error_of_a_program_is_of_a_family_that_it_has(told: object, kind: type[LoratuiError], code: str) -> None:
    with pytest.raises(kind) as caught:
        bootstrap.raise_if_error(LocalBox(), {"error": told})
    assert caught.value.code == code
