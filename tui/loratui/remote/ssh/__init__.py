"""Another machine through SSH: who it is, what is remembered of it, programs there, a way to its agent."""

from loratui.remote.ssh.connection import SshBox
from loratui.remote.ssh.instance import Instance, host_folder
from loratui.remote.ssh.target import SshTarget, parse_target

__all__ = ["Instance", "SshBox", "SshTarget", "host_folder", "parse_target"]
