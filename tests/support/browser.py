"""A real headless browser, steered through its debugging protocol; what it says and asks for is kept."""

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
TIMEOUT_S = 60.0
_QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
_KEY_CODES = {"ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40, "Home": 36, "End": 35, "Space": 32}


class Tab:
    """One page. ``complaints`` are errors, warnings and what the page's policy has stopped."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._session = ""
        self._fired: list[str] = []
        self.complaints: list[str] = []
        self.requests: list[str] = []
        """Addresses that the page asked for, other than itself and what it has in it."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser for something and return its answer."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters, **session}))
        while (said := self._hear()).get("id") != self._number:
            pass
        assert "error" not in said, f"{method}: {said['error']}"
        result: dict[str, Any] = said["result"]
        return result

    def open(self, path: Path) -> None:
        """Open a file and wait until it has loaded."""
        self._fired.clear()
        self.call("Page.navigate", url=path.as_uri())
        while "Page.loadEventFired" not in self._fired:
            self._hear()

    def evaluate(self, expression: str) -> Any:
        """Return what an expression of JavaScript comes to."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key."""
        named = {"key": " " if key == "Space" else key, "code": key, "windowsVirtualKeyCode": _KEY_CODES[key]}
        text = {"text": " "} if key == "Space" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **named, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def _hear(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self._socket.recv(TIMEOUT_S))
        method, told = said.get("method", ""), said.get("params", {})
        self._fired.append(method)
        if method == "Log.entryAdded":
            self.complaints.append(told["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(told["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(told["args"]))
        elif method == "Network.requestWillBeSent":
            address = told["request"]["url"]
            is_itself = told.get("type") == "Document" and address.startswith("file:")
            if not (is_itself or address.startswith("data:")):
                self.requests.append(address)
        return said


@contextmanager
def browser_tab(folder: Path) -> Iterator[Tab]:
    """Start a browser whose own files are in ``folder``, and end it after the block."""
    assert CHROMIUM
    process = subprocess.Popen(
        [CHROMIUM, *_QUIET, "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr
    reader = threading.Thread(target=process.stderr.read, daemon=True)
    try:
        address = next(line.split()[-1] for line in process.stderr if line.startswith("DevTools listening on "))
        # One that nobody reads from would stand still in the end.
        reader.start()
        with connect(address, max_size=None, ping_interval=None, open_timeout=TIMEOUT_S) as socket:
            yield Tab(socket)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if reader.ident:
            reader.join()
        process.stderr.close()
