"""``pause``, ``resume``, ``checkpoint``, ``sample``, ``stop``, ``extend``: one command and what came of it."""

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.following import hosting, take_up
from loratui.cli.runs import choose
from loratui.store import Store
from loratui_protocol.errors import JobError


def send(arguments: Arguments) -> int:
    """Send the command and wait until the run has carried it out or refused it."""
    preferences = settings.load()
    with Store(preferences.database) as store:
        run = choose(store.runs(), arguments.run)
    with hosting(preferences) as host:
        refusal = take_up(host, run.id)
        if refusal is not None:
            raise refusal
        result = host.send(run.id, arguments.command_kind, arguments.duration).result()
    if not result.ok:
        raise JobError(
            f"{run.name}: {result.message or 'refused'}", fix="loratui status says how it is", code=result.code
        )
    print(f"{run.name}: {arguments.command_kind} done" + (f", {result.message}" if result.message else ""))
    return 0
