"""The run screen on a scripted run: for ``bench_ui.py``, for tests on a pty, and for looking at it by hand.

No agent, no network; the run trains by the clock of this machine.
"""

import argparse
import os
import sys
from concurrent.futures import Future
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from loratui.domain.run import CommandKind
from loratui.ui.clock import SystemClock
from loratui.ui.environment import UiOptions, prepare
from loratui_protocol.messages import CommandResult, Log, Warn
from support.scripted_source import ScriptedSource


class TellingSource(ScriptedSource):
    """Writes down what is sent, so that another process can see it."""

    told: Path | None = None

    def send(self, command_kind: CommandKind, seconds: float = 0) -> "Future[CommandResult]":
        """Send, and add a line to the file."""
        if self.told is not None:
            with self.told.open("a") as told:
                told.write(f"{command_kind}\n")
        return super().send(command_kind, seconds)


def main() -> int:
    """Show the screen until it is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="my-style-v3")
    parser.add_argument("--say", default="", help="a line that the run writes into its log and warns of")
    parser.add_argument("--tell", type=Path, help="a file that gets a line for every command sent")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--ascii", action="store_true")
    parser.add_argument("--stock", action="store_true", help="leave the frames to Textual")
    arguments = parser.parse_args()
    options = prepare(UiOptions(slow=arguments.slow, ascii=arguments.ascii, frame_diff=not arguments.stock), os.environ)
    source = TellingSource(SystemClock(), name=arguments.name, gpu=arguments.gpu)
    source.told = arguments.tell
    if arguments.say:
        source.add(Log(level="ERROR", line=arguments.say))
        source.add(Warn(code="said", message=arguments.say))
    # After prepare: Textual reads its environment when it is imported.
    from loratui.ui.app import run_app
    from loratui.ui.desk import SoleRun

    return run_app(SoleRun(source), options=options, source=source).status


if __name__ == "__main__":
    sys.exit(main())
