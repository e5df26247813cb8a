"""Which saved state of a run is fetched, and when: last of all, and seldom enough to leave the line to others. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from loratui_protocol.messages import Artifact
from loratui_protocol.state_files import MAX_JSON_BYTES, STATE_PARTS, parse_state_file_id

NUM_OFFERED = 2
"""States that a box keeps."""
EVERY_S = 60.0
SHARE = 4
"""After a state has come, the line is left to others for so many times as long as that took."""


def offer(offered: dict[str, Artifact], part: Artifact) -> None:
    """Note a part of a state. The newest is what came last: a resumed run may go back."""
    offered.pop(part.id, None)
    offered[part.id] = part
    while len(offered) > NUM_OFFERED * len(STATE_PARTS):
        del offered[next(iter(offered))]


def newest_offered(offered: Mapping[str, Artifact]) -> tuple[int, dict[str, Artifact]] | None:
    """Return step and parts of the newest state that was announced whole, None where there is none.

    The order is that of ``STATE_PARTS``: with the last one everything is here. What can't be a part of a state counts
    as not announced: an id of another form, a step that the id does not say, JSON that is too long.
    """
    steps = dict.fromkeys(reversed([part.step for part in offered.values()]))
    for step in steps:
        parts = {}
        for part in offered.values():
            named = parse_state_file_id(part.id)
            if named is not None and named[0] == step == part.step and 0 <= part.size <= _most(named[1]):
                parts[named[1]] = part
        if len(parts) == len(STATE_PARTS):
            return step, {name: parts[name] for name in STATE_PARTS}
    return None


def _most(part: str) -> int:
    return MAX_JSON_BYTES if part.endswith(".json") else 1 << 62


@dataclass(slots=True, kw_only=True)
class Rhythm:
    """When the next state may be begun; monotonic seconds."""

    every_s: float = EVERY_S
    _next_s: float = field(default=0.0, init=False)

    def wait_s(self, now_s: float) -> float:
        """Return how long to wait before a state is begun."""
        return max(0.0, self._next_s - now_s)

    def came(self, began_s: float, now_s: float) -> None:
        """Note that a state has come, or could not be had."""
        self._next_s = max(began_s + self.every_s, now_s + SHARE * (now_s - began_s))
