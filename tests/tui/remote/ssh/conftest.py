from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui.remote.ssh import Instance
from support.sshd import Sshd, sshd


@pytest.fixture(scope="package")
def plain_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server that nobody breaks: for tests that only use it."""
    with sshd(tmp_path_factory.mktemp("sshd"), config=["AcceptEnv LC_*"]) as server:
        yield server


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path / "hosts" / "box")
