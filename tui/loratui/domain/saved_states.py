"""Which saved state of a run is fetched, and when: last of all, and seldom enough to leave the line to others. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from loratui_protocol.messages import Artifact
from loratui_protocol.state_files import MAX_JSON_BYTES, STATE_PARTS, parse_state_file_id

NUM_OFFERED = 2
"""States that a box keeps."""
EVERY_S = 60.0
SHARE = 4
"""After a state has come, the line is left to others for so many times as long as that took."""
COST_SHARE = 20
"""On a rented machine a twentieth of what its time costs may go into bringing states home."""
AHEAD_H, LAST_AHEAD_H = 2, 4
"""As if it had lasted so many hours longer: the first state is to come soon, and the last one of a run that was
stopped, or has failed, though others came just before."""
_S_PER_H = 3600
_BYTES_PER_GB = 1_000_000_000


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


def pays_in_s(
    so_far_microusd: int, next_microusd: int, time_microusd: int, microusd_per_h: int, *, is_last: bool
) -> float:
    """Return how much longer a rental has to last until the next state is within the share."""
    ahead = (LAST_AHEAD_H if is_last else AHEAD_H) * microusd_per_h
    lacks = (so_far_microusd + next_microusd) * COST_SHARE - time_microusd - ahead
    if lacks <= 0:
        return 0.0
    return lacks * _S_PER_H / microusd_per_h if microusd_per_h > 0 else math.inf


def most_states(
    training_s: int, rental_s: int, state_bytes: int, microusd_per_gb: int, microusd_per_h: int, *, is_last: bool
) -> int:
    """Return how many states come at most, of those that a box has, while a rental lasts for so long."""
    most = training_s // math.ceil(EVERY_S) + (2 if is_last else 1)
    exact = state_bytes * microusd_per_gb * COST_SHARE * _S_PER_H
    if exact <= 0:
        return most
    ahead_s = (LAST_AHEAD_H if is_last else AHEAD_H) * _S_PER_H
    return min(most, microusd_per_h * (rental_s + ahead_s) * _BYTES_PER_GB // exact)


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
