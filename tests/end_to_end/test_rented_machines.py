"""Machines that are rented for real from providers on loopback: reached through SSH, and gone at their deadline."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.domain.offers import OfferQuery
from loratui.providers.base import Instance as RentedInstance
from loratui.providers.base import Provider
from loratui.providers.runpod import RunPod
from loratui.providers.vast import Vast
from loratui.remote.ssh import Instance, SshBox, SshTarget
from loratui.remote.start_script import start_script
from support.rental_market import Machines, runpod_with_machines, vast_with_machines
from support.sshd import needs_sshd
from tui.providers.contract import order

pytestmark = needs_sshd
LEFT_S = 5


@contextlib.contextmanager
def market(name: str, folder: Path) -> Iterator[tuple[Provider, str, Machines]]:
    """Give a provider, where its API is, and its machines."""
    if name == "vast":
        with vast_with_machines(folder) as (vast, machines):
            yield Vast(vast.key, url=vast.url, retry_first_s=1e-3), vast.url, machines
    else:
        with runpod_with_machines(folder) as (runpod, machines):
            yield RunPod(runpod.key, runpod.url, runpod.graphql_url, 1e-3), runpod.url, machines


async def seen(provider: Provider, instance_id: str, *, gone: bool) -> RentedInstance | None:
    """Return the instance once it can be reached, or None once it is gone."""
    async with asyncio.timeout(30):
        while True:
            found = await provider.get(instance_id)
            if (found is None) if gone else (found is not None and found.ssh is not None):
                return found
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("name", ["vast", "runpod"])
async def test_a_machine_that_nobody_comes_back_to_ends_itself_at_its_deadline(tmp_path: Path, name: str) -> None:
    instance = Instance(tmp_path / "instance")
    public_key = instance.key().export_public_key().decode().strip()
    with market(name, tmp_path / "m") as (provider, url, machines):
        [offer, *_] = await provider.offers(OfferQuery())
        deadline_ts = int(time.time()) + LEFT_S
        script = start_script(name, url, deadline_ts, folder=str(tmp_path / "deadman"))
        rented = await provider.create(replace(order(offer), public_key=public_key, start_script=script))
        found = await seen(provider, rented.instance_id, gone=False)
        assert found is not None
        assert found.ssh is not None
        box = SshBox(SshTarget(found.ssh.user, found.ssh.host, found.ssh.port), instance)
        async with box.process(["/bin/sh", "-c", "exit 7"]) as process:
            assert await process.wait() == 7
        await box.close()
        await seen(provider, rented.instance_id, gone=True)
        assert time.time() >= deadline_ts
        assert not machines.running
        await provider.close()
