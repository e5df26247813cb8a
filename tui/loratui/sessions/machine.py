"""Another machine: what is remembered of it here, the one connection to it, its agent."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui.remote.box_python import PythonSource
from loratui.remote.ssh import Instance, SshBox, SshTarget, host_folder
from loratui.remote.ssh_agent import SshAgent
from loratui.settings import Settings


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
        self,
        target: SshTarget,
        settings: Settings,
        options: HostOptions,
        *,
        may_start: bool,
        say: Callable[[str], None],
        rental_folder: Path | None = None,
    ) -> None:
        """``rental_folder`` has the keys of a rented machine: addresses are given to others when a rental ends."""
        self.target = target
        self.instance = Instance(rental_folder or host_folder(settings.state_dir, target))
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
            home="" if rental_folder else settings.ssh_home,
            may_start=may_start,
            python_source=PythonSource.of(settings.state_dir / "cache", settings.remote_index_url),
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
