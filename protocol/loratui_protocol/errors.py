"""The tree of deliberate errors. Each says what happened and what to do, and has a stable code and an exit status.

    LoratuiError               1
     ├── UsageError            2   the command line is wrong
     ├── ConfigError           3   the config is refused
     ├── DatasetError          3   the dataset is refused
     ├── ModelError            3   the base model is missing or of the wrong kind
     ├── ProtocolError         4   the other end sent something that is not our protocol
     ├── AgentUnreachableError 4   no agent answers; nothing is billing through it
     ├── AgentRefusedError     4   the agent answered no (token, version, a second agent on the same home)
     ├── HostError             4   another machine can't be reached through SSH, or can't train
     ├── JobError              1   a run failed, or a command for it can't be carried out
     ├── StorageError          1   a disk is full, a file is damaged
     └── ExtraMissingError    69   a needed extra is not installed

An error that is none of these is our bug and is shown with its traceback.
"""

from typing import ClassVar


class LoratuiError(Exception):
    """A failure that the user can understand and act on.

    ``what`` says what happened, to what, and what it means for money or files; ``fix`` says what to do. ``code`` is
    stable across releases and may be refined per instance (``config.unknown_key``).
    """

    default_code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1

    def __init__(self, what: str, *, fix: str = "", code: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix
        self.code = code or self.default_code

    def __str__(self) -> str:
        """Return the whole message: code, what happened, what to do."""
        return f"[{self.code}] {self.what}" + (f"\n  fix: {self.fix}" if self.fix else "")


class UsageError(LoratuiError):
    """The command line asks for something impossible."""

    default_code = "usage"
    exit_status = 2


class ConfigError(LoratuiError):
    """The config is refused; nothing was started."""

    default_code = "config.invalid"
    exit_status = 3


class DatasetError(LoratuiError):
    """The dataset is refused; nothing was started."""

    default_code = "dataset.invalid"
    exit_status = 3


class ModelError(LoratuiError):
    """The base model is missing, unreadable or of a kind that is not supported."""

    default_code = "model.invalid"
    exit_status = 3


class ProtocolError(LoratuiError):
    """The other end sent something that this protocol does not allow."""

    default_code = "protocol.garbage"
    exit_status = 4


class AgentUnreachableError(LoratuiError):
    """Nothing answers at the agent's socket."""

    default_code = "agent.unreachable"
    exit_status = 4


class AgentRefusedError(LoratuiError):
    """The agent answered, and the answer is no."""

    default_code = "agent.refused"
    exit_status = 4


class HostError(LoratuiError):
    """Another machine can't be reached through SSH, or is not one that can train. ``what`` says if something was sent.

    Codes: ``ssh.unreachable``, ``ssh.auth``, ``ssh.host_key``, ``ssh.host_key_changed``,
    ``ssh.algorithms``, ``ssh.refused`` (no programs), ``ssh.command`` (a program failed), ``ssh.forwarding``,
    ``ssh.lost``, ``ssh.noise``, ``host.python``, ``host.disk``, ``host.driver``, ``host.torch``, ``host.system``.
    """

    default_code = "ssh.unreachable"
    exit_status = 4


class JobError(LoratuiError):
    """A run failed, or a command for a run can't be carried out."""

    default_code = "job.failed"


class StorageError(LoratuiError):
    """A disk is full or a file of ours is damaged."""

    default_code = "disk.full"


class ExtraMissingError(LoratuiError):
    """A part of loratui that is installed separately is needed."""

    default_code = "extra.missing"
    exit_status = 69
