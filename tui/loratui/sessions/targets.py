"""From a run's target, as the command line has it, to the way to its agent: one connection for each machine."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from loratui.domain.supplied import Supplied
from loratui.remote.address import agent_argv
from loratui.remote.local_agent import LocalAgent
from loratui.sessions.rented import NoWay, address_of, rental_label
from loratui.sessions.supplying import Supplier
from loratui.settings import Settings
from loratui.store import StoredRun
from loratui_protocol.errors import HostError

if TYPE_CHECKING:
    from loratui.remote.agent_client import Transport
    from loratui.sessions.machine import HostOptions, Machine

LOCAL = "local"
Say = Callable[[str], None]


class Targets:
    """The machines of one process. Used within one event loop."""

    def __init__(self, settings: Settings, *, may_start: bool = True, say: Say = lambda _: None) -> None:
        self._settings = settings
        self._may_start = may_start
        self._say = say
        self._machines: dict[str, Machine] = {}

    def machine(self, target: str, options: "HostOptions | None" = None) -> "Machine":
        """Return the machine that ``target`` names; ``options`` count when it is first asked for.

        Raises:
            UsageError: it is no such target.
            StorageError: its folder can't be read.
            HostError: it was rented, and is over.
        """
        # The SSH library takes a quarter of a second to load; runs on this machine never need it.
        from loratui.remote.ssh import parse_target
        from loratui.sessions.machine import HostOptions, Machine

        label = rental_label(target)
        address = address_of(label, self._settings) if label else None
        parsed = address.ssh if address else parse_target(target)
        name = label or str(parsed)
        if name not in self._machines:
            self._machines[name] = Machine(
                parsed,
                self._settings,
                options or HostOptions(),
                may_start=self._may_start,
                say=self._say,
                rental_folder=address.folder if address else None,
            )
        return self._machines[name]

    def way_to(self, run: StoredRun) -> "Transport":
        """Return the way to the agent of a run; unless ``may_start`` is false one is started where none answers.

        Raises:
            UsageError: this version knows no such target.
        """
        if run.target == LOCAL:
            return LocalAgent(run.home, may_start=self._may_start)
        try:
            return self.machine(run.target).agent
        except HostError as error:
            return NoWay(error)

    def supplier(self, run: StoredRun) -> Supplier | None:
        """Return what brings the run's files to its machine, None where nothing has to travel."""
        if not run.supply:
            return None
        try:
            machine = self.machine(run.target)
        except HostError:
            return None
        from loratui.sessions.supply import Supply, bring

        async def supply(tell: Callable[[Supplied], None], warn: Callable[[str], None]) -> None:
            planned = Supply.from_json(run.supply)
            await bring(
                machine.box,
                agent_argv(await machine.agent.address(), "receive"),
                planned,
                view=lambda uploaded: tell(
                    Supplied(
                        done=uploaded.done,
                        total=uploaded.total,
                        bytes_per_s=uploaded.bytes_per_s,
                        message=uploaded.message,
                    )
                ),
                warn=warn,
                price_microusd_per_h=run.price_microusd_per_h,
                accepted=frozenset(run.accepted.split()),
            )

        return supply

    async def close(self) -> None:
        """Let go of all machines; what runs there goes on."""
        for machine in self._machines.values():
            await machine.box.close()
