"""Starting a run: written down first, then asked for, so that a client killed in between finds it again."""

import time
from collections.abc import Iterable
from pathlib import Path

from loratui.sessions.host import START_TIMEOUT_S, SessionHost
from loratui.sessions.resumed import Resumed
from loratui.sessions.supply import Supply, state_below
from loratui.store import StoredRun
from loratui_protocol.errors import LoratuiError
from loratui_protocol.ids import new_id


def start_run(
    host: SessionHost,
    *,
    name: str,
    target: str,
    config_toml: str,
    home: Path,
    price_microusd_per_h: int = 0,
    max_runtime_s: float | None = None,
    evaluate_concept: str = "",
    supply: Supply | None = None,
    on_done: str = "",
    keep_s: float | None = None,
    accepted: Iterable[str] = (),
    resumed: Resumed | None = None,
    gpu: str = "",
    rights: str = "",
) -> str:
    """Start a run, follow it, and return its id.

    ``config_toml`` is the resolved config with absolute paths, ``supply`` what another machine needs of this one, the
    state of ``resumed`` included. ``gpu`` is as an offer names it; else the agent says what there is. ``rights`` is
    what was said of those to the pictures.
    Where the agent may have taken the run but its answer was lost, the run is followed all the same and shows itself
    when the agent is reached again.

    Raises:
        LoratuiError: the agent can't be reached or refuses the run; then there is no run.
    """
    run = StoredRun(
        id=new_id(),
        name=name,
        target=target,
        created_ts=time.time(),
        config_toml=config_toml,
        home=home,
        price_microusd_per_h=price_microusd_per_h,
        max_runtime_s=max_runtime_s,
        evaluate_concept=resumed.evaluate_concept if resumed else evaluate_concept,
        supply=supply.to_json() if supply else "",
        on_done=on_done,
        keep_s=keep_s,
        accepted=" ".join(accepted),
        resumed_from=resumed.run_id if resumed else "",
        state_dir=_state_dir(resumed, supply),
        gpu=gpu,
        rights=rights,
    )
    answered = host.begin(run)
    try:
        answered.result(START_TIMEOUT_S)
    except TimeoutError:
        pass
    except LoratuiError:
        host.unfollow(run.id, forget=True)
        raise
    return run.id


def _state_dir(resumed: Resumed | None, supply: Supply | None) -> str:
    """Return where the agent finds the state: among what it is sent, or on this machine."""
    if resumed is None:
        return ""
    return f"inputs/{state_below(resumed.state)}" if supply else str(resumed.state.folder.absolute())
