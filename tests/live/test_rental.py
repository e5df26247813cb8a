"""What costs cents: one machine that we end, and one that ends itself. Each is ended whatever happens."""

import asyncio
import time

import pytest

from loratui.domain import formatting
from support.live import CAP_MICROUSD, DEADLINE_S, Live, observed, output_of

pytestmark = [pytest.mark.live, pytest.mark.timeout(DEADLINE_S + 600)]
SELF_END_S = 10.0
SELF_END_PATIENCE_S = 240.0
# Names alone: some of the values are keys.
_LOOK = """
python3 --version
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
df -h / | tail -1
for file in /proc/1/environ /etc/environment /etc/rp_environment; do
  echo "$file: $(tr '\\0' '\\n' < $file | grep -oE '(CONTAINER|RUNPOD)_[A-Z_]+=' | tr -d '\\n')"
done
echo "in this shell: $(env | grep -oE '^(CONTAINER|RUNPOD)_[A-Z_]+=' | tr -d '\\n')"
"""


async def test_a_machine_is_reached_armed_ended_and_shown_gone(live: Live) -> None:
    async with live.rented() as rented:
        rental, ssh = rented.rental, rented.instance.ssh
        assert ssh is not None
        observed(f"{rental.provider}: {rental.offer.id} has an address of its own, port {ssh.port}")
        facts = await rented.machine.agent.probe()
        observed(f"{facts.user} on {facts.system} {facts.machine}, {facts.cpus} CPUs, {[g.name for g in facts.gpus]}")
        observed(f"on the machine:\n{await output_of(rented.machine.box, _LOOK)}")
        armed = await rented.arm(rented.deadline_ts)
        observed(f"{rental.provider}: {armed.sentence}; {armed.deadline_left_s:.0f} s are left {armed.why}")
        assert armed.how == "end", armed.why
        assert armed.is_verified, f"its own key could not be tried: {armed.why}"
        assert 0 < armed.deadline_left_s <= DEADLINE_S
    assert await live.provider.get(rental.instance_id) is None
    assert await live.ours() == []
    stored = live.ledger.rental(rental.label)
    assert (stored.proven_gone, stored.is_tidy) == (True, True), "our key is off the account"
    assert live.spent_microusd <= CAP_MICROUSD
    print(f"{rental.provider}: {formatting.money(live.spent_microusd)} in all, by our ledger", flush=True)


async def test_a_machine_ends_its_own_rental_at_its_deadline(live: Live) -> None:
    async with live.rented() as rented:
        rental = rented.rental
        began_s, gone = time.monotonic(), 0
        armed = await rented.arm(time.time() + SELF_END_S)
        assert armed.how == "end", armed.why
        async with asyncio.timeout(SELF_END_PATIENCE_S):
            while gone < 2:
                gone = gone + 1 if await live.provider.get(rental.instance_id) is None else 0
                await asyncio.sleep(0.5)
        took_s = time.monotonic() - began_s
        observed(
            f"{rental.provider}: its own key ended it; gone {took_s:.0f} s after it was armed for {SELF_END_S:.0f}"
        )
        assert took_s >= SELF_END_S - 1
    assert await live.ours() == []
    print(f"{rental.provider}: {formatting.money(live.spent_microusd)} in all, by our ledger", flush=True)
