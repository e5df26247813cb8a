"""Providers on loopback."""

from collections.abc import Iterator

import pytest

from support.fake_runpod import FakeRunPod, fake_runpod
from support.fake_vast import FakeVast, fake_vast


@pytest.fixture
def vast() -> Iterator[FakeVast]:
    with fake_vast() as fake:
        yield fake


@pytest.fixture
def runpod() -> Iterator[FakeRunPod]:
    with fake_runpod() as fake:
        yield fake
