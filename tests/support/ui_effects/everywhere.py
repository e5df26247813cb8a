"""What the keys of all screens must bring about."""

from loratui.ui.yank import FILE_NAME
from support.ui_effects.effect import Check, Effect, exits_with, lacks, shows
from support.ui_effects.home import on_home
from support.ui_pilot import Shown


def yanked(text: str) -> Check:
    """Return a check of what was copied into the file."""

    def check(shown: Shown) -> bool:
        path = shown.screen.desk.preferences.state_dir / FILE_NAME
        return path.exists() and path.read_text() == f"{text}\n" and "copied to" in shown.text()

    return check


def kept(shown: Shown, line: str) -> bool:
    """Return whether a line was written into the settings file, and that was said."""
    path = shown.screen.desk.preferences.config_file
    return path.exists() and line in path.read_text() and "kept as ui." in shown.text()


EVERYWHERE = {
    "go_home": Effect(shows("▌1Home▐", "─ runs")),
    "go_data": Effect(shows("▌2Data▐", "No folder is open")),
    "go_config": Effect(shows("▌3Config▐", "No config is open")),
    "go_offers": Effect(shows("▌4Offers▐", "No config is open.")),
    "go_run": Effect(shows("▌5Run▐", "─ loss"), ("1",)),
    "go_queue": Effect(shows("▌6Queue▐", "─ queue")),
    "go_files": Effect(shows("▌7Files▐", "─ LoRAs")),
    "go_log": Effect(shows("▌9Log▐", "─ log  my-style-v3")),
    "go_samples": Effect(shows("▌8Samples▐", "samples  step 1200")),
    "yank": Effect(yanked("loratui attach style-0"), start=on_home),
    "jump": Effect(shows("▌tRun▐", " qHome  wData ", "a loss", "any other key stays")),
    "maximise": Effect(lacks("─ log")),
    "theme": Effect(lambda shown: shown.app.theme == "loratui-light" and kept(shown, 'theme = "light"')),
    "go_events": Effect(shows("─ events  1", "14:22:07  theme light"), ("f3",)),
    "go_settings": Effect(shows("─ settings", "ui.theme", "now dark")),
    "setting_change": Effect(lambda shown: kept(shown, 'theme = "dark"'), (",",)),
    "aside_close": Effect(shows("▌5Run▐", "─ loss"), (",",)),
    "mouse": Effect(shows("mouse: ")),
    "leave": Effect(shows("LEAVE my-style-v3", "d Detach", "auto-stop")),
    "leave_detach": Effect(exits_with(0), ("q",)),
    "leave_stop": Effect(shows("STOP my-style-v3"), ("q",)),
    "leave_cancel": Effect(lacks("Enter does nothing"), ("q",)),
    "detach": Effect(exits_with(0)),
    "interrupt": Effect(exits_with(130)),
    "redraw": Effect(shows("TRAINING")),
    "help": Effect(shows("─ keys", "Pause or resume")),
    "help_close": Effect(shows("─ loss", "─ log"), ("?",)),
    "help_further": Effect(shows("page 2 of 2", "Detach at once"), ("?",)),
    "help_before": Effect(shows("page 1 of 2", "Pause or resume"), ("?", "pagedown")),
    "palette": Effect(shows("commands  >", "enter does it")),
}
