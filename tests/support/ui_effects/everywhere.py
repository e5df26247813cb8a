"""What the keys of all screens must bring about."""

from support.ui_effects.effect import Effect, exits_with, lacks, shows

EVERYWHERE = {
    "go_home": Effect(shows("▌1Home▐", "─ runs")),
    "go_offers": Effect(shows("▌4Offers▐", "No config is open.")),
    "go_run": Effect(shows("▌5Run▐", "─ loss"), ("1",)),
    "go_samples": Effect(shows("▌8Samples▐", "samples  step 1200")),
    "leave": Effect(shows("LEAVE my-style-v3", "d Detach", "auto-stop")),
    "leave_detach": Effect(exits_with(0), ("q",)),
    "leave_stop": Effect(shows("STOP my-style-v3"), ("q",)),
    "leave_cancel": Effect(lacks("Enter does nothing"), ("q",)),
    "detach": Effect(exits_with(0)),
    "interrupt": Effect(exits_with(130)),
    "redraw": Effect(shows("TRAINING")),
    "help": Effect(shows("─ keys", "Pause or resume")),
    "help_close": Effect(shows("─ loss", "─ log"), ("?",)),
    "palette": Effect(shows("commands  >", "enter does it")),
}
