"""Taking off another machine what we left there: named first, ended and removed, and looked for once more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loratui.domain.box import BoxFacts
from loratui.domain.formatting import size
from loratui.remote.bootstrap import REMOVE_TIMEOUT_S, run_program
from loratui.remote.box import Box
from loratui.remote.probe import probe
from loratui_protocol.codec import clean as cleaned
from loratui_protocol.errors import HostError, ProtocolError

_MAX_NAME_CHARS = 80
_MAX_RUNS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RunThere:
    """A run in an agent's home. ``num_unfetched`` finished files are on no laptop yet."""

    id: str
    name: str
    state: str
    num_unfetched: int
    unfetched_bytes: int

    @property
    def is_over(self) -> bool:
        """Return whether it has ended."""
        return self.state in ("done", "stopped", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """An agent's home on a machine, with everything that goes when it is removed."""

    home: str
    num_bytes: int
    num_processes: int
    runs: tuple[RunThere, ...]

    def sentences(self) -> list[str]:
        """Return what is there, a line each; what would be lost for good comes last."""
        lines = [f"{self.home}: {size(self.num_bytes)}, {self.num_processes} processes, {len(self.runs)} runs"]
        for run in self.runs:
            if not run.is_over:
                lines.append(f"run {run.id} ({run.name}) is {run.state}: it would end without its result")
            if run.num_unfetched:
                lines.append(
                    f"run {run.id} ({run.name}): {run.num_unfetched} files ({size(run.unfetched_bytes)}) were fetched "
                    "by no laptop and would be lost"
                )
        return lines

    @property
    def loses_results(self) -> bool:
        """Return whether something would be lost that is nowhere else."""
        return any(run.num_unfetched or not run.is_over for run in self.runs)


async def look(box: Box, extra_homes: Sequence[str] = ()) -> tuple[BoxFacts, list[Remains]]:
    """Return the machine, and every home of an agent there with what is in it.

    Raises:
        HostError: it can't be reached, or has no Python that could look.
        ProtocolError: its answer can't be read.
    """
    facts = await probe(box, extra_homes)
    return facts, [_remains(found.path, await run_program(box, facts, found.path, "purge")) for found in facts.homes]


async def clean(box: Box, facts: BoxFacts, home: str) -> int:
    """End everything of the agent at ``home`` and remove that folder; return how many processes were ended.

    Raises:
        HostError: ``clean.left``: something is still there afterwards, by the answer of a new probe.
    """
    told = await run_program(box, facts, home, "purge", "--remove", timeout_s=REMOVE_TIMEOUT_S)
    again = await probe(box, (home,))
    if told.get("exists") is not False or any(found.path == home for found in again.homes):
        left = told.get("left")
        named = [cleaned(str(path), 200) for path in left[:3]] if isinstance(left, list) else []
        raise HostError(
            f"{home} on {box.name} is still there" + (f" ({', '.join(named)})" if named else ""),
            fix="do it once more; remove by hand what is left then",
            code="clean.left",
        )
    return _count(told, "ended")


def _remains(home: str, told: Mapping[str, Any]) -> Remains:
    runs = told.get("runs")
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        raise ProtocolError("the host's list of runs can't be read", fix="is that host yours?", code="clean.survey")
    return Remains(
        home=home,
        num_bytes=_count(told, "bytes"),
        num_processes=_count(told, "processes"),
        runs=tuple(_run(run) for run in runs[:_MAX_RUNS]),
    )


def _run(fields: Mapping[str, Any]) -> RunThere:
    names = {name: cleaned(str(fields.get(name, "")), _MAX_NAME_CHARS) for name in ("run", "name", "state")}
    return RunThere(
        id=names["run"],
        name=names["name"],
        state=names["state"],
        num_unfetched=_count(fields, "unfetched"),
        unfetched_bytes=_count(fields, "unfetched_bytes"),
    )


def _count(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
