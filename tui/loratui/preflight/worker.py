"""A process that measures pictures: paths come in on stdin, facts go out on stdout, a JSON object a line.

A decoder that crashes or hangs on a file takes this process with it, and not the check. It ends with its parent,
however that ends: then stdin ends.
"""

import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue

from loratui.preflight.measure import measure


def main() -> None:
    """Answer until stdin ends."""
    # Ctrl-C reaches every process of the terminal; whoever asked decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_hear, args=(asked,), daemon=True).start()
    while True:
        request = json.loads(asked.get())
        facts = measure(Path(request["path"]), is_mask=request["is_mask"])
        sys.stdout.write(json.dumps(asdict(facts)) + "\n")
        sys.stdout.flush()


def _hear(asked: "SimpleQueue[str]") -> None:
    for line in sys.stdin:
        asked.put(line)
    # In the midst of a picture, too: nobody waits for it any more.
    os._exit(0)


if __name__ == "__main__":
    main()
