"""The reaper's hand at the power switch: asks once, and again a few times where the machine agrees and stays on.

Standard library only.
"""

import logging
from pathlib import Path

from loratui_agent.clock import Moment, now
from loratui_agent.deadman import PowerVerdict, power_verdict
from loratui_agent.deeds import deeds_of, note
from loratui_agent.power import power_off

log = logging.getLogger("loratui_agent.reaper")
POWER_OFF = "poweroff"
_REASON = "lease"


class PowerSwitch:
    """Powers the machine off, and tries again a few times where it agrees and stays on."""

    def __init__(self) -> None:
        self._tries: dict[Path, tuple[int, Moment]] = {}

    def due_s(self, folder: Path, seconds: float) -> float | None:
        """Return the seconds until it is to be tried for a job whose leave to do so begins in ``seconds``; None: never.

        A machine that comes back shall not go off again before anyone can look.
        """
        if folder not in self._tries:
            earlier = [deed for deed in deeds_of(folder) if deed.get("action") == POWER_OFF]
            if not earlier:
                return seconds
            if earlier[-1].get("boot") != now().boot:
                return None
            self._tries[folder] = 1, now()
        num_tries, last = self._tries[folder]
        match power_verdict(num_tries, last.seconds_until(now())):
            case PowerVerdict.WAIT:
                return 1.0
            case PowerVerdict.TRY:
                return seconds
            case PowerVerdict.GIVE_UP:
                return None

    def switch_off(self, folder: Path) -> None:
        """Ask the machine to go off, for the sake of the job in ``folder``."""
        num_tries, _ = self._tries.get(folder, (0, None))
        if num_tries:
            note(folder, POWER_OFF, _REASON, "the machine stays on: it is asked again", ok=False)
        else:
            note(folder, POWER_OFF, _REASON, "nobody came for the results, and no agent could be started")
        complaint = power_off()
        self._tries[folder] = (num_tries + 1, now())
        if complaint:
            log.error("job=%s the machine stays on: %s", folder.name, complaint)
            note(folder, POWER_OFF, _REASON, complaint, ok=False)
