"""The home screen: before the first run, with runs and rentals, and when it asks what going on costs."""

from dataclasses import replace
from functools import partial

from loratui.domain.overview import Overview
from loratui_protocol.messages import JobState
from support.ui_effects.home import on_home, on_stopped, run_line
from support.ui_effects.money import LABEL, rental_line
from support.ui_states.state import LARGE, SMALL, USUAL, state

NOW_TS = 1_795_443_727.0
LINES = (
    run_line(
        1,
        name="char-anna",
        target=f"vast:{LABEL}",
        gpu="RTX 4090",
        state=JobState.RUNNING,
        step=1240,
        total=2500,
        is_live=True,
        loss=0.0871,
        eta_s=5000.0,
        price_microusd_per_h=360_000,
        heard_ts=NOW_TS,
    ),
    run_line(2, name="night-market", target=f"vast:{LABEL}", state=JobState.QUEUED, step=0, total=0, spent_microusd=0),
    run_line(3, name="ink-wash-v2", target="ssh://ana@box", state=JobState.PAUSED, step=300, heard_ts=NOW_TS - 3600),
    run_line(4, name="my-style-v3", is_lacking=True),
    run_line(5, name="my-style-v2", state=JobState.STOPPED, step=300),
    run_line(6, name="my-style-v1", state=JobState.FAILED, step=12),
    run_line(7, name="a-very-long-name-of-a-style-that-goes-on", target="ssh://ana@somewhere.example.org:2222"),
)
RUNS = tuple(replace(line, created_ts=NOW_TS - 1800 - 7200 * at) for at, line in enumerate(LINES))
BILLING = Overview(
    runs=RUNS,
    rentals=(
        rental_line(created_ts=NOW_TS - 1800, deadline_ts=NOW_TS + 3600),
        rental_line(
            label="loratui-y",
            provider="runpod",
            instance_id="k9x2m4",
            gpu="RTX 3090",
            price_microusd_per_h=220_000,
            created_ts=NOW_TS - 7200,
            deadline_ts=None,
            is_minded=False,
        ),
    ),
    month_microusd=4_310_000,
    is_read=True,
)
NOTHING = Overview(is_read=True)

HOME = {
    "home-first-start": state(
        partial(on_home, overview=NOTHING), "open a folder of pictures", sizes=(SMALL, USUAL, LARGE)
    ),
    "home-billing": state(partial(on_home, overview=BILLING), "2 RENTED, MAY BILL", sizes=(SMALL, USUAL, LARGE)),
    "home-filter": state(partial(on_home, overview=BILLING), "/ style", keys=("/", *"style")),
    "home-resume": state(on_stopped, "RESUME stopped-style", keys=("R",)),
    "home-unreadable": state(
        partial(on_home, overview=Overview(is_read=True, trouble="the disk fails")), "can't be read", sizes=(USUAL,)
    ),
}
