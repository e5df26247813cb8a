"""Take the README's pictures of the screens, each of something that goes on here and now.

The run screen shows the demo while it trains, the data screen the demo's pictures with what ``check`` finds in them.
The offers screen shows what the two providers on loopback of ``fake_provider.py`` offer: their prices are made up, what
is reckoned from them is not. Takes as long as the demo, some minutes.

python scripts/take_pictures.py [--only run|data|offers] [FOLDER]
"""

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from loratui import settings
from loratui.cli.following import hosting
from loratui.sessions.desk import HostDesk
from loratui.sessions.new_config import Wanted, make
from loratui.sessions.presets import default_model
from loratui.settings import Settings
from loratui.ui.clock import SystemClock
from loratui.ui.environment import UiOptions, prepare
from support.local_cli import LocalCli, local_cli
from support.market_here import market_here

Step = tuple[Callable[[str], bool], Sequence[str]]
STEP = 260
"""Of the 700 of the demo: there are samples by then."""
SIZE = (120, 36)
PATIENCE_S = 900.0
_SHOWN_STEP = re.compile(r"step +(\d+)/\d+")


def main() -> int:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs/pictures"))
    parser.add_argument("--only", choices=("run", "data", "offers"))
    arguments = parser.parse_args()
    prepare(UiOptions(), os.environ)
    wanted = (arguments.only,) if arguments.only else ("run", "data", "offers")
    with tempfile.TemporaryDirectory(prefix="pictures") as name, local_cli(Path(name) / "demo") as cli:
        demo = cli.start("demo", "--plain", "--out", "out")
        demo.wait_for(lambda line: line.startswith("run "), on_stderr=True)
        dataset = cli.folder / "out" / "dataset" / "train"
        if "data" in wanted:
            take(arguments.folder / "data-screen.svg", of_demo(cli), data_steps(dataset))
        if "offers" in wanted:
            take_offers(arguments.folder / "offers-screen.svg", Path(name) / "market", dataset)
        if "run" in wanted:
            take(arguments.folder / "run-screen.svg", of_demo(cli), run_steps())
    return 0


def of_demo(cli: LocalCli) -> Settings:
    """Return the settings of the user who has the demo run."""
    return settings.load(environ=cli.environment)


def run_steps() -> list[Step]:
    """Open the run, and wait until there is something to see."""
    return [(shows("zorbix", "TRAINING"), ("enter",)), (is_at_step, ())]


def data_steps(dataset: Path) -> list[Step]:
    """Open the pictures, and wait until each has been looked at."""
    return [
        (shows("IDLE"), ("2",)),
        (shows("No folder is open"), ("o",)),
        (shows("folder or config:"), ("ctrl+u", *str(dataset), "enter")),
        (lambda text: "checking" not in text and "tokens" in text and "n makes a config" in text, ("j", "j", "j")),
        (shows("▀▀▀"), ()),
    ]


def take_offers(path: Path, folder: Path, pictures: Path) -> None:
    """Show what a LoRA of the demo's pictures for SDXL would cost on the market on loopback."""
    with market_here(folder) as here:
        preferences = here.preferences
        target = folder / "zorbix-xl.toml"
        wanted = Wanted(
            preset="style",
            base="sdxl",
            model=default_model("sdxl"),
            data=pictures,
            trigger="zorbix",
            name="zorbix-xl",
        )
        target.write_text(make(wanted, target, preferences).text, "utf-8")
        steps: list[Step] = [
            (shows("IDLE"), ("3",)),
            (shows("No config is open"), ("o",)),
            (shows(" open "), ("ctrl+u", *str(target), "enter")),
            (shows("trains it"), ("4",)),
            (shows("s ago", "TOTAL"), ()),
        ]
        take(path, preferences, steps)


def shows(*texts: str) -> Callable[[str], bool]:
    """Return a check that all texts are on the screen."""
    return lambda text: all(each in text for each in texts)


def is_at_step(text: str) -> bool:
    """Return whether the run screen is at the step, or later."""
    found = _SHOWN_STEP.search(text)
    return found is not None and int(found[1]) >= STEP


def take(path: Path, preferences: Settings, steps: Sequence[Step]) -> None:
    """Open the interface of a user, do the steps, and write the picture."""
    # After prepare: Textual reads its environment when it is imported.
    from loratui.ui.app import LoratuiApp
    from loratui.ui.screenshot import save_svg

    with hosting(preferences) as host, HostDesk(host, preferences) as desk:
        host.hush()
        app = LoratuiApp(desk, options=UiOptions(), clock=SystemClock())
        save_svg(app, path, steps, SIZE, PATIENCE_S)
    print(path, flush=True)


if __name__ == "__main__":
    sys.exit(main())
