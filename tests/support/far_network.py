"""A machine behind a real long line: a network namespace, with the kernel's own delay and loss. Needs root on Linux."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True)
class FarNetwork:
    """The namespace's name, the address of the machine in it, and the words that run a program there."""

    name: str
    address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    @property
    def near(self) -> str:
        """This machine's address on the line."""
        return self.address.removesuffix(".2") + ".1"

    def delay(self, *words: str) -> None:
        """Make the line a long one: words of tc-netem for both directions. Skips where the kernel has no such thing."""
        netem = ("root", "netem", *words)
        try:
            _run("tc", "qdisc", "replace", "dev", self.name, *netem)
            _run(*self.prefix, "tc", "qdisc", "replace", "dev", "far0", *netem)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this kernel can't delay packets: {error.stderr.decode().strip()}")

    def swallow(self) -> None:
        """Let everything that comes back get lost, without a word to anyone."""
        _run(*self.prefix, "ip", "route", "add", "blackhole", f"{self.near}/32")

    def mend(self) -> None:
        _run(*self.prefix, "ip", "route", "del", "blackhole", f"{self.near}/32")


@contextlib.contextmanager
def far_network() -> Iterator[FarNetwork]:
    """Make such a network for the block."""
    if os.name != "posix" or os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("tc")):
        pytest.skip("network namespaces need root, ip and tc")
    number = os.getpid() % 250
    network = FarNetwork(f"lora{os.getpid() % 100_000}", f"10.213.{number}.2")
    try:
        _run("ip", "netns", "add", network.name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    try:
        _run("ip", "link", "add", network.name, "type", "veth", "peer", "name", "far0", "netns", network.name)
        _run("ip", "addr", "add", f"{network.near}/24", "dev", network.name)
        _run("ip", "link", "set", network.name, "up")
        for device, address in (("far0", f"{network.address}/24"), ("lo", "127.0.0.1/8")):
            subprocess.run(
                [*network.prefix, "ip", "addr", "add", address, "dev", device], capture_output=True, check=False
            )
            _run(*network.prefix, "ip", "link", "set", device, "up")
        yield network
    finally:
        subprocess.run(["ip", "netns", "del", network.name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", network.name], capture_output=True, check=False)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
