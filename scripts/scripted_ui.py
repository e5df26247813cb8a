"""The run screen on a scripted run: for ``bench_terminal.py``, for tests on a pty, and for looking at it by hand.

No agent, no network; the run trains by the clock of this machine.
"""

import argparse
import asyncio
import gc
import os
import signal
import sys
import tempfile
from concurrent.futures import Future
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from loratui import settings
from loratui.domain.run import CommandKind, RunView
from loratui.settings import Settings
from loratui.ui.clock import SystemClock
from loratui.ui.environment import UiOptions, prepare
from loratui_protocol.messages import CommandResult, Log, Warn
from support.scripted_source import HandClock, ScriptedSource


class TellingSource(ScriptedSource):
    """Writes down what is sent, so that another process can see it."""

    told: Path | None = None
    burst = 0
    """Lines of log that are still to come, a tenth with every look."""
    _num_lines = 0

    def view(self) -> RunView:
        """Say the next part of what is to be said, and return the newest snapshot."""
        if self.sent and self._num_lines < self.burst:
            for _ in range(self.burst // 10):
                self._num_lines += 1
                self.add(Log(level="INFO", line=f"line {self._num_lines} of a trainer that says a lot"))
        return super().view()

    def send(self, command_kind: CommandKind, seconds: float = 0) -> "Future[CommandResult]":
        """Send, and add a line to the file."""
        if self.told is not None:
            with self.told.open("a") as told:
                told.write(f"{command_kind}\n")
        return super().send(command_kind, seconds)


def run_paced(
    source: ScriptedSource, clock: HandClock, preferences: Settings, arguments: argparse.Namespace, options: UiOptions
) -> int:
    """Show the screen with a clock that stands still.

    SIGUSR1 lets some seconds pass, each painted before the next, and SIGUSR2 none: what was asked for is painted then.
    """
    from loratui.ui import app as ui
    from loratui.ui.desk import SoleRun

    ui.TICK_S = 1e9

    class PacedApp(ui.LoratuiApp):
        def on_mount(self) -> None:
            super().on_mount()
            loop = asyncio.get_running_loop()
            for number, seconds in ((signal.SIGUSR1, arguments.seconds), (signal.SIGUSR2, 0)):
                loop.add_signal_handler(number, lambda seconds=seconds: self.run_worker(self.let_pass(seconds)))

        async def let_pass(self, seconds: int) -> None:
            await self.painted()
            for _ in range(seconds):
                clock.advance(1)
                self._tick()
                await self.painted()
            with arguments.paced.open("a") as told:
                told.write(".")

        async def painted(self) -> None:
            is_painted = asyncio.Event()
            self.shell.call_after_refresh(is_painted.set)
            await is_painted.wait()
            while self._retries or self._is_terminal_behind():  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.005)

    desk, opened = SoleRun(source, preferences), None if arguments.home else source
    app = PacedApp(desk, options=options, clock=clock, source=opened)
    return app.run(mouse=options.mouse) or 0


def main() -> int:
    """Show the screen until it is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="my-style-v3")
    parser.add_argument("--say", default="", help="a line that the run writes into its log and warns of")
    parser.add_argument("--tell", type=Path, help="a file that gets a line for every command sent")
    parser.add_argument("--state", type=Path, help="a folder to keep the session in; without it none is kept")
    parser.add_argument("--theme", default="auto")
    parser.add_argument("--notify", default="off")
    parser.add_argument("--steps", type=int, default=1240, help="how many steps lie behind the run")
    parser.add_argument("--still", action="store_true", help="the run makes no step, and says nothing new")
    parser.add_argument("--home", action="store_true", help="open no run")
    parser.add_argument("--burst", type=int, default=0, help="how many lines the run logs after its first command")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--ascii", action="store_true")
    parser.add_argument("--paced", type=Path, help="count the seconds here, and add to this file when they have passed")
    parser.add_argument("--seconds", type=int, default=20, help="how many pass then at a time")
    parser.add_argument("--stock", action="store_true", help="leave the frames to Textual")
    arguments = parser.parse_args()
    options = prepare(
        UiOptions(
            slow=arguments.slow,
            ascii=arguments.ascii,
            frame_diff=not arguments.stock,
            theme=arguments.theme,
            notify=arguments.notify,
            keeps_session=arguments.state is not None,
        ),
        os.environ,
        sys.stdout.encoding,
    )
    by_hand = HandClock()
    source = TellingSource(
        by_hand if arguments.still or arguments.paced else SystemClock(),
        name=arguments.name,
        gpu=arguments.gpu,
        step=arguments.steps,
        total=max(2500, arguments.steps * 5 // 4),
    )
    source.told, source.burst = arguments.tell, arguments.burst
    if arguments.say:
        source.add(Log(level="ERROR", line=arguments.say))
        source.add(Warn(code="said", message=arguments.say))
    gc.disable()
    # After prepare: Textual reads its environment when it is imported.
    from loratui.ui.app import run_app
    from loratui.ui.desk import SoleRun

    with tempfile.TemporaryDirectory() as folder:
        # The settings of whoever runs this play no part.
        state = str(arguments.state or folder)
        preferences = settings.load({"state_dir": state}, {"LORATUI_CONFIG_DIR": state})
        if arguments.paced:
            return run_paced(source, by_hand, preferences, arguments, options)
        return run_app(SoleRun(source, preferences), options=options, source=None if arguments.home else source).status


if __name__ == "__main__":
    sys.exit(main())
