"""A client in a process of its own, which follows a run until it is killed.

    python following_client.py STATE_DIR RUN_ID [TARGET HOME]

With a target it is on a laptop that may sign in there, and that met the agent of HOME there before.
"""

import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loratui import settings
from loratui.sessions.host import SessionHost


def main() -> None:
    state_dir, run_id, *known = sys.argv[1:]
    here = settings.load({"state_dir": state_dir}, {"LORATUI_CONFIG_DIR": state_dir})
    if known:
        from support.known_host import remember_agent

        target, home = known
        remember_agent(here, target, Path(home))
    host = SessionHost(here)
    host.start()
    host.follow(run_id)
    print("following", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
