"""``report``, and what is written where a run has ended: a report, and contact sheets of files that were tried out."""

import time
from pathlib import Path

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.runs import choose
from loratui.domain.local_names import report_name
from loratui.domain.run import RunView
from loratui.headless.json_lines import to_json
from loratui.report.page import write, write_contact_sheets
from loratui.sessions.export import output_folder
from loratui.sessions.recalled import recalled
from loratui.settings import Settings
from loratui.store import Store
from loratui.store.ratings import ratings_of
from loratui_protocol.errors import UsageError


def write_again(arguments: Arguments) -> int:
    """Write the report of a run anew, from what is on this machine."""
    preferences = settings.load()
    with Store(preferences.database) as store:
        run = choose(store.runs(), arguments.run)
    path = arguments.to_file or report_path(preferences, run.id, run.name)
    if path.is_dir():
        raise UsageError(f"{path} is a folder", fix=f"--out {path / report_name(run.name)}")
    written = write_report(recalled(preferences, run), preferences, path, pictures=arguments.with_pictures)
    if arguments.json:
        print(to_json({"run": run.id, "report": written[0], "contact_sheets": written[1:]}))
    else:
        # The report comes last, as what one looks for.
        for each in (*written[1:], written[0]):
            print(each)
    return 0


def report_path(preferences: Settings, run_id: str, name: str) -> Path:
    """Return where a run's report is: beside the copies that its config asks for, or else among its own files."""
    with Store(preferences.database) as store:
        config_toml = store.run(run_id).config_toml
    return (output_folder(config_toml) or preferences.run_folder(run_id)) / report_name(name)


def write_report(view: RunView, preferences: Settings, path: Path, *, pictures: bool = False) -> list[Path]:
    """Write the report, and contact sheets into a folder beside it; return the report's path, then theirs.

    Raises:
        StorageError: they can't be written.
    """
    with Store(preferences.database) as store:
        config_toml = store.run(view.run_id).config_toml
    stars = ratings_of(preferences.database, view.run_id)
    write(view, path, config_toml=config_toml, now_s=time.monotonic(), pictures=pictures, stars=stars)
    return [path, *write_contact_sheets(view, sheets_folder(path))]


def sheets_folder(path: Path) -> Path:
    """Return where the contact sheets are that belong to a report."""
    return path.with_name(f"{path.stem}-sheets")
