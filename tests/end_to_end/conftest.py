"""A user who rents, and machines that need not make the same training environment again in every test."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.rented_world import World, rented_world


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Making one takes ten seconds; on machines with nothing of the kind test_on_a_host.py and others have it made."""
    return tmp_path_factory.mktemp("environments")


@pytest.fixture
def world(tmp_path: Path, environments: Path) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        yield rented_world(stack, tmp_path, environments)
