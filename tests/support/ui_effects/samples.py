"""What the keys of the samples screen must bring about."""

from support.ui_effects.effect import Effect, shows

SAMPLES = {
    "earlier": Effect(shows("samples  step 1000  (1 of 2)"), ("8",)),
    "later": Effect(shows("samples  step 1200  (2 of 2)"), ("8", "[")),
    "samples_close": Effect(shows("─ loss", "─ log"), ("8",)),
}
