"""What the keys of all screens must bring about."""

from support.ui_effects.effect import Effect, exits_with, lacks, shows

EVERYWHERE = {
    "go_home": Effect(shows("▌1Home▐", "─ runs")),
    "go_data": Effect(shows("▌2Data▐", "No folder is open")),
    "go_config": Effect(shows("▌3Config▐", "No config is open")),
    "go_run": Effect(shows("▌5Run▐", "─ loss"), ("1",)),
    "go_queue": Effect(shows("▌6Queue▐", "─ queue")),
    "go_files": Effect(shows("▌7Files▐", "─ LoRAs")),
    "go_log": Effect(shows("▌9Log▐", "─ log  my-style-v3")),
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
