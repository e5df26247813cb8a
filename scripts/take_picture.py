"""Take the README's picture of the run screen: follow the run that is going on here and save what the screen shows.

python scripts/take_picture.py docs/pictures/run-screen.svg --step 420
"""

import argparse
import os
import sys
import time
from datetime import datetime
from pathlib import Path

from loratui import settings
from loratui.cli.following import hosting, take_up
from loratui.cli.runs import choose
from loratui.store import Store
from loratui.ui.environment import UiOptions, prepare

_TIMEOUT_S = 600.0


def main() -> int:
    """Wait for the step, then write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--step", type=int, default=1, help="wait for this step")
    parser.add_argument("--columns", type=int, default=120)
    parser.add_argument("--rows", type=int, default=40)
    arguments = parser.parse_args()
    prepare(UiOptions(), os.environ)
    # After prepare: Textual reads its environment when it is imported.
    from loratui.ui.screenshot import save_svg

    preferences = settings.load()
    with Store(preferences.database) as store:
        run_id = choose(store.runs(), None).id
    deadline_s = time.monotonic() + _TIMEOUT_S
    with hosting(preferences) as host:
        take_up(host, run_id)
        view = host.view(run_id)
        while (view.step < arguments.step or view.telemetry is None) and not view.is_settled:
            if time.monotonic() > deadline_s:
                raise SystemExit(f"step {arguments.step} did not come")
            view = host.wait(run_id, view.version, 1.0)
        moment = datetime.now().astimezone()
        save_svg(view, arguments.path, (arguments.columns, arguments.rows), now_s=time.monotonic(), wall=moment)
    return 0


if __name__ == "__main__":
    sys.exit(main())
