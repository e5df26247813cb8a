"""What a run goes on from that was begun on another machine, or in another rental."""

from dataclasses import dataclass

from loratui_protocol.state_files import SavedState


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """The run that is gone on from, and its saved state on this machine."""

    run_id: str
    state: SavedState
    evaluate_concept: str = ""
