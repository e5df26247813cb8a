"""What a user has brought to a rented machine goes before its rental ends; what ends the rental stays."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loratui_agent.process import is_locked
from loratui_agent.rental import END_WANTED
from loratui_agent.secrets import keep_secret, read_secret
from loratui_protocol.framing import FrameFinder, new_nonce
from loratui_protocol.paths import AgentHome
from support.agent_process import wait_until
from support.rented import arm, rented_at


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_ALLOW_LOOPBACK", "1")


def call(command: str, home: Path, *words: str) -> dict[str, Any]:
    nonce = new_nonce()
    argv = [sys.executable, "-m", "loratui_agent.cli", command, "--home", str(home), "--nonce", nonce, *words]
    printed = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout
    [frame] = FrameFinder(nonce).feed(printed)
    return frame


def bring_data(home: AgentHome) -> None:
    job = home.jobs / "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    for path in (
        job / "inputs" / "face.png",
        job / "artifacts" / "lora.safetensors",
        home.blobs / "0",
        home.models / "m",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"canary")
    (job / "state.json").write_text(json.dumps({"state": "done", "name": "canary", "acked": ["lora.safetensors"]}))
    keep_secret(home, "hub.example", "hf_canary")


@pytest.mark.parametrize("provider", ["vast", "runpod"])
def test_a_machine_without_its_data_asks_for_its_own_end_though_nobody_else_does(tmp_path: Path, provider: str) -> None:
    home = AgentHome(tmp_path / ".loratui")
    with rented_at(provider) as machine:
        call("start", home.path)
        try:
            assert arm(home.path, machine.asked())["armed"] == "end"
            bring_data(home)
            told = call("purge", home.path, "--data")
            assert (told["ended"], told["left"], told["exists"]) == (1, [], False), "the agent alone was ended"
            assert not is_locked(home.lock)
            assert is_locked(home.reaper_lock)
            left = [path for path in home.path.rglob("*") if path.is_file()]
            assert not [path for path in left if b"canary" in path.read_bytes()]
            assert read_secret(home, "hub.example") == ""
            wait_until(lambda: machine.is_gone, "its end")
        finally:
            call("purge", home.path, "--remove")


def test_who_arms_a_machine_anew_has_not_asked_for_its_end(tmp_path: Path) -> None:
    home = AgentHome(tmp_path / ".loratui")
    with rented_at("vast") as machine:
        call("start", home.path)
        try:
            (home.run / END_WANTED).touch()
            assert arm(home.path, machine.asked())["armed"] == "end"
            assert not (home.run / END_WANTED).exists()
            assert not machine.is_gone
        finally:
            call("purge", home.path, "--remove")
