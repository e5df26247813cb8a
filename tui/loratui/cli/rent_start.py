"""From a rented machine to runs on it: armed first, then what it is and takes, then the runs, one after the other."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from loratui.cli.arguments import Arguments
from loratui.cli.following import announce, say
from loratui.cli.hosts import hand_over_token, preparing
from loratui.cli.rental_end import wait
from loratui.cli.terms import check_upload, tell_terms
from loratui.domain import formatting
from loratui.domain.base_kinds import NOTHING_KNOWN, KnownBase
from loratui.domain.transfer_cost import is_far_under_plan
from loratui.sessions.checking import Checked
from loratui.sessions.host import SessionHost
from loratui.sessions.judging import feature_sources
from loratui.sessions.model_source import token_source
from loratui.sessions.prepare import Prepared
from loratui.sessions.rented import rental_target
from loratui.sessions.rented_box import arm
from loratui.sessions.renting_course import Rental
from loratui.sessions.renting_end import noted
from loratui.sessions.start_run import start_run
from loratui.sessions.steady_clock import steady_ts
from loratui.sessions.supply import SLOW_CODE
from loratui.settings import Settings
from loratui.store.rentals import Rentals
from loratui_protocol.config_file import to_toml
from loratui_protocol.errors import HostError, UsageError
from loratui_protocol.inputs import ModelSource

NO_DEADMAN = "deadman.none"
"""Under which a machine that can't end its own rental is accepted."""
_LOOK_AT_UPLOAD_S = 20.0
SHORTEST_RUN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRun:
    """A run that is to be on the machine. ``model`` None: its base model travels from here."""

    checked: Checked
    model: ModelSource | None
    base: KnownBase = NOTHING_KNOWN
    rights: str = ""
    """What was said of the rights to its pictures."""


def model_bytes(runs: Iterable[WantedRun]) -> int | None:
    """Return what a machine downloads of models for these runs, each once; None where nobody knows."""
    listed = list(runs)
    sizes = {run.model: run.base.num_bytes for run in listed if run.model is not None}
    sizes |= {each.source: each.num_bytes for run in listed for each in run.base.features}
    known = [size for size in sizes.values() if size is not None]
    return sum(known) if len(known) == len(sizes) else None


@dataclass(kw_only=True)
class Line:
    """What is known of the way from here to machines; bytes a second.

    One machine that takes files in slowly may be to blame for it; when the next is hardly better, this end is.
    """

    planned_bytes_per_s: float
    fastest_bytes_per_s: float = 0.0

    def blames_machine(self, num_bytes: int, bytes_per_s: float) -> bool:
        """Return whether another machine is worth a try, as far as so many bytes at this speed tell."""
        planned = self.planned_bytes_per_s
        if self.fastest_bytes_per_s:
            planned = min(planned, self.fastest_bytes_per_s)
        self.fastest_bytes_per_s = max(self.fastest_bytes_per_s, 2 * bytes_per_s)
        return is_far_under_plan(num_bytes, bytes_per_s, planned)


def start_on(
    host: SessionHost,
    preferences: Settings,
    rental: Rental,
    runs: list[WantedRun],
    arguments: Arguments,
    *,
    token: str,
    line: Line,
    may_move: bool,
) -> list[str]:
    """Have the machine armed, then bring the runs there; return their ids.

    ``may_move``: there is another offer that could be taken.

    Raises:
        HostError: this machine does not serve, another one may.
        LoratuiError: no machine would.
    """
    target, deadline_ts = rental_target(rental.provider, rental.label), rental.deadline_ts or steady_ts()
    with Rentals(preferences.database) as ledger:
        stored = ledger.rental(rental.label)
    armed = wait(
        host, lambda targets: arm(targets.machine(target), stored, rental.scoped_key, preferences, deadline_ts)
    )
    with Rentals(preferences.database) as ledger:
        noted(lambda: ledger.note(rental.label, armed=armed.how))
    say(f"dead-man: {armed.sentence}")
    if armed.how != "end" and NO_DEADMAN not in arguments.accept:
        raise HostError(
            f"this machine can't end its own rental ({armed.why}); nothing was sent there, and it is ended",
            fix=f"take another offer, or accept that a lost laptop may cost up to the cap: --accept {NO_DEADMAN}",
            code=NO_DEADMAN,
        )
    # A run that fails at once must not have the machine ended while the next one is prepared.
    host.expect_runs(rental.label)
    started: list[str] = []
    for run in runs:
        prepared = wait(host, preparing(target, run.checked, preferences, token))
        left_s = deadline_ts - steady_ts()
        if left_s < stored.save_s + SHORTEST_RUN_S:
            raise UsageError(
                f"of what was agreed to {formatting.duration(max(0.0, left_s))} are left, too little to train and to "
                "bring the results home; nothing of yours was sent there, and it is ended",
                fix="give a larger budget, or a later deadline",
                code="rental.cap",
            )
        if not started:
            tell_terms(prepared, rental.price_microusd_per_h, left_s)
            _judge_line(prepared, line, may_move=may_move)
            check_upload(prepared, rental.price_microusd_per_h, arguments.accept)
        config = run.checked.config
        owner = token_source(run.model, feature_sources(config, preferences.remote_hub_url))
        if token and owner is not None:
            hand_over_token(host, target, owner, token)
        run_id = start_run(
            host,
            name=config.output_name,
            target=target,
            config_toml=to_toml(config),
            home=Path(prepared.home),
            price_microusd_per_h=rental.price_microusd_per_h,
            max_runtime_s=left_s - stored.save_s,
            supply=prepared.supply,
            on_done=_after(run, runs) if armed.how == "end" and arguments.keep is None else "",
            # Results that are nowhere else are kept until the deadline, whoever comes for them.
            keep_s=None,
            accepted=arguments.accept,
            resumed=run.checked.resumed,
            gpu=stored.offer.gpu_name,
            rights=run.rights,
        )
        with Rentals(preferences.database) as ledger:
            # A ledger that can't be written ends no run: the run itself is stored with its target.
            noted(lambda run_id=run_id, ledger=ledger: ledger.note_run(rental.label, run_id))  # type: ignore[misc]
        if not started:
            _watch_upload(host, preferences, rental.label, run_id, line, may_move=may_move)
        started.append(run_id)
        announce(run_id, run.checked, target, arguments)
    host.hand_over(rental.label, rental.folder)
    return started


def _after(run: WantedRun, runs: list[WantedRun]) -> str:
    """Return what the machine does once a run is over and fetched: it ends itself after the last one.

    After another it would do so in the middle of a preparation that takes its time. One that is kept, or whose client
    is lost before the last run has begun, ends with its lease, or at its deadline.
    """
    return "end" if run is runs[-1] else ""


def _judge_line(prepared: Prepared, line: Line, *, may_move: bool) -> None:
    speed = prepared.upload_bytes_per_s
    if speed is not None and may_move and line.blames_machine(prepared.supply.size, speed):
        raise _too_slow(speed, line)


def _watch_upload(
    host: SessionHost, preferences: Settings, label: str, run_id: str, line: Line, *, may_move: bool
) -> None:
    """Look at the first seconds of the upload, and write down how fast it is.

    Raises:
        HostError: it is far slower than planned, and another machine may do better; the run was given up.
    """
    end_s = time.monotonic() + _LOOK_AT_UPLOAD_S
    speed, left = None, 0
    view = host.view(run_id)
    while time.monotonic() < end_s and view.may_need_supply and view.given_up is None:
        if view.supply is not None:
            if view.supply.is_complete or view.supply.error is not None:
                break
            speed, left = view.supply.bytes_per_s or speed, view.supply.total - view.supply.done
        view = host.wait(run_id, view.version, 1.0)
    if speed is None:
        return
    with Rentals(preferences.database) as ledger:
        ledger.note(label, uplink_bytes_per_s=speed)
    if may_move and line.blames_machine(left, speed):
        host.unfollow(run_id, forget=True, is_lost=True)
        raise _too_slow(speed, line)


def _too_slow(bytes_per_s: float, line: Line) -> HostError:
    return HostError(
        f"files arrive there with {formatting.size(round(bytes_per_s))}/s, planned was "
        f"{formatting.size(round(line.planned_bytes_per_s))}/s",
        fix="the next offer is taken",
        code=SLOW_CODE,
    )
