"""What the keys of the samples screen must bring about."""

from support.ui_effects.effect import Effect, shows

SAMPLES = {
    "earlier": Effect(shows("samples  step 1000  (1 of 2)"), ("8",)),
    "later": Effect(shows("samples  step 1200  (2 of 2)"), ("8", "[")),
    "sample_large": Effect(shows("weight 1  step 1200  seed 0  64x64", "▀▀"), ("8",)),
    "sample_compare": Effect(shows("step 1000 beside step 1200", "step 1000: a zog", "▀▀"), ("8",)),
    "sample_text": Effect(shows("step 1200         seed 0", "seed 3"), ("8",)),
    "sample_left": Effect(shows(">a zog "), ("8", "right")),
    "sample_right": Effect(shows(">a red zog"), ("8",)),
    "sample_up": Effect(shows(">a zog "), ("8", "down")),
    "sample_down": Effect(shows(">a zog at night"), ("8",)),
    "sample_page_up": Effect(shows(">a zog "), ("8", "right", "pagedown")),
    "sample_page_down": Effect(shows(">a zog in snow"), ("8",)),
    "samples_close": Effect(shows("─ loss", "─ log"), ("8",)),
}
