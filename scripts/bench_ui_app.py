"""The run screen on a scripted run, for ``bench_ui.py`` and for looking at it by hand: no agent, no network.

python scripts/bench_ui_app.py [--gpu] [--slow] [--ascii] [--stock] [--name NAME]
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from loratui.ui.clock import SystemClock
from loratui.ui.environment import UiOptions, prepare
from support.scripted_source import ScriptedSource


def main() -> int:
    """Show the screen until it is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="my-style-v3")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--ascii", action="store_true")
    parser.add_argument("--stock", action="store_true", help="leave the frames to Textual")
    arguments = parser.parse_args()
    options = prepare(UiOptions(slow=arguments.slow, ascii=arguments.ascii, frame_diff=not arguments.stock), os.environ)
    source = ScriptedSource(SystemClock(), name=arguments.name, gpu=arguments.gpu)
    # After prepare: Textual reads its environment when it is imported.
    from loratui.ui.app import run_app

    return run_app(source, options=options)


if __name__ == "__main__":
    sys.exit(main())
