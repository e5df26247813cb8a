"""From a run's target, as the command line has it, to the way to its agent: one connection for each machine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui.remote.address import agent_argv
from loratui.remote.agent_client import Transport
from loratui.remote.local_agent import LocalAgent
from loratui.remote.ssh import Instance, SshBox, SshTarget, host_folder, parse_target
from loratui.remote.ssh_agent import SshAgent
from loratui.sessions.session import Supplier
from loratui.sessions.supply import Supply, bring
from loratui.settings import Settings
from loratui.store import StoredRun

LOCAL = "local"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """How a host is reached. What is None was not said: then what was said for that host before counts."""

    identity: Path | None = None
    ssh_config: bool | None = None
    host_key: str | None = None
    passphrase: Callable[[Path], str] | None = None


class Machine:
    """Another machine: its folder here, the connection to it, its agent."""

    def __init__(
        self, target: SshTarget, settings: Settings, options: HostOptions, *, may_start: bool, say: Say
    ) -> None:
        self.target = target
        self.instance = Instance(host_folder(settings.state_dir, target))
        self._options = options
        known = self.instance.recall()
        identity = options.identity or (Path(known["identity"]) if isinstance(known.get("identity"), str) else None)
        ssh_config = options.ssh_config if options.ssh_config is not None else known.get("ssh_config") is True
        self.box = SshBox(
            target,
            self.instance,
            identity=identity,
            use_ssh_config=ssh_config,
            expected_fingerprint=options.host_key,
            say=say,
            passphrase=options.passphrase,
        )
        self.agent = SshAgent(
            self.box,
            self.instance,
            home=settings.ssh_home,
            may_start=may_start,
            say=lambda _phase, text, seconds: say(f"{self.target.name}: {text} ({seconds:.1f} s)"),
        )

    def remember_options(self) -> None:
        """Keep how this host was reached, now that it was."""
        facts: dict[str, Any] = {}
        if self._options.identity is not None:
            facts["identity"] = str(self._options.identity.expanduser().absolute())
        if self._options.ssh_config is not None:
            facts["ssh_config"] = self._options.ssh_config
        if facts:
            self.instance.remember(facts)


class Targets:
    """The machines of one process. Used within one event loop."""

    def __init__(self, settings: Settings, *, may_start: bool = True, say: Say = lambda _: None) -> None:
        self._settings = settings
        self._may_start = may_start
        self._say = say
        self._machines: dict[str, Machine] = {}

    def machine(self, target: str, options: HostOptions | None = None) -> Machine:
        """Return the machine that ``target`` names; ``options`` count when it is first asked for.

        Raises:
            UsageError: it is no such target.
            StorageError: its folder can't be read.
        """
        parsed = parse_target(target)
        if str(parsed) not in self._machines:
            self._machines[str(parsed)] = Machine(
                parsed, self._settings, options or HostOptions(), may_start=self._may_start, say=self._say
            )
        return self._machines[str(parsed)]

    def way_to(self, run: StoredRun) -> Transport:
        """Return the way to the agent of a run; unless ``may_start`` is false one is started where none answers.

        Raises:
            UsageError: this version knows no such target.
        """
        if run.target == LOCAL:
            return LocalAgent(run.home, may_start=self._may_start)
        return self.machine(run.target).agent

    def supplier(self, run: StoredRun) -> Supplier | None:
        """Return what brings the run's files to its machine, None where nothing has to travel."""
        if not run.supply:
            return None
        machine = self.machine(run.target)

        async def supply(tell: Callable[[int, int, float | None], None], warn: Callable[[str], None]) -> None:
            planned = Supply.from_json(run.supply)
            await bring(
                machine.box,
                agent_argv(await machine.agent.address(), "receive"),
                planned,
                view=lambda uploaded: tell(uploaded.done, uploaded.total, uploaded.bytes_per_s),
                warn=warn,
                price_microusd_per_h=run.price_microusd_per_h,
                accepted=frozenset(run.accepted.split()),
            )

        return supply

    async def close(self) -> None:
        """Let go of all machines; what runs there goes on."""
        for machine in self._machines.values():
            await machine.box.close()
