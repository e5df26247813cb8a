"""A client in a process of its own: ``python following_client.py STATE_DIR RUN_ID`` follows the run until killed."""

import sys
import threading
from pathlib import Path

from loratui import settings
from loratui.sessions.host import SessionHost


def main() -> None:
    here = settings.load({"state_dir": sys.argv[1]}, {"LORATUI_CONFIG_DIR": str(Path(sys.argv[1]))})
    host = SessionHost(here)
    host.start()
    host.follow(sys.argv[2])
    print("following", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
