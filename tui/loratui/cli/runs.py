"""Which run is meant: a name, the beginning of an id, or nothing at all."""

from collections.abc import Sequence

from loratui.store import StoredRun
from loratui_protocol.errors import UsageError


def choose(runs: Sequence[StoredRun], meant: str | None) -> StoredRun:
    """Return the run that is meant; ``runs`` newest first. Without a name: the only active one, else the newest.

    Of several runs of one name the newest is meant: the others have their ids.

    Raises:
        UsageError: there is none, or more than one could be meant.
    """
    if not runs:
        raise UsageError(
            "there is no run yet",
            fix="loratui demo starts one; loratui new writes a config for your own pictures",
            code="run.none",
        )
    if meant is None:
        # One that goes on as another is over, though nobody has heard of its end.
        gone_on = {run.resumed_from for run in runs}
        active = [run for run in runs if not run.state.is_final and run.id not in gone_on]
        return active[0] if len(active) == 1 else runs[0]
    named = [run for run in runs if run.name == meant]
    if named:
        return named[0]
    matching = [run for run in runs if run.id.startswith(meant.upper())] if meant else []
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise UsageError(
            f"{meant!r} is the beginning of {len(matching)} ids: {', '.join(run.id for run in matching[:4])}",
            fix="write more of the id",
            code="run.ambiguous",
        )
    raise UsageError(f"no run is called {meant!r}, and no id begins so", fix="loratui ls", code="run.unknown")
