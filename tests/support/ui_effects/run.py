"""What the keys of the run screen must bring about."""

from support.ui_effects.effect import Effect, sent, shows
from support.ui_pilot import Shown


def column_of(label: str, shown: Shown) -> int:
    """Return where on the x axis the label stands."""
    axis = next(index for index, row in enumerate(shown.rows()) if row.startswith("      └"))
    return shown.rows()[axis + 1].index(label)


RUN = {
    "pause": Effect(sent(("pause", 0))),
    "checkpoint": Effect(sent(("checkpoint", 0))),
    "sample": Effect(sent(("sample", 0))),
    "extend": Effect(sent(("extend", 1800))),
    "undo": Effect(shows("taken back as soon as it is through"), ("e",)),
    "stop": Effect(shows("STOP my-style-v3", "f Finish the step, save, stop", "Enter does nothing here")),
    "stop_finish": Effect(sent(("stop", 0)), ("x",)),
    "stop_cancel": Effect(lambda shown: "Enter does nothing" not in shown.text(), ("x",)),
    "log_scale": Effect(shows("log · L m")),
    "smooth": Effect(shows("ema 200 steps")),
    "zoom_in": Effect(lambda shown: "   500   " not in shown.text() and "1000" in shown.text()),
    "zoom_out": Effect(shows("   500   ", "2000"), ("+",)),
    "zoom_all": Effect(shows("   500   ", "2000"), ("+", "+")),
    "pan_left": Effect(lambda shown: column_of("1200", shown) > 45, ("+", "+", "+")),
    "pan_right": Effect(lambda shown: column_of("1200", shown) < 40, ("+", "+", "+", "left")),
    "log_up": Effect(shows("scrolled · G follows")),
    "log_down": Effect(shows("─ follow ─"), ("pageup",)),
    "log_end": Effect(shows("─ follow ─"), ("pageup", "pageup")),
    "pictures": Effect(shows("samples  step 1200  (2 of 2)", "a red zog", "▀▀")),
}
