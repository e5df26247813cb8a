"""``files``: all LoRAs made here: listed, verified anew, rated, deleted."""

from collections.abc import Iterable
from pathlib import Path

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.editing import is_somebody_there
from loratui.cli.following import say
from loratui.cli.limits import agrees
from loratui.cli.runs import choose
from loratui.domain import formatting, library
from loratui.domain.formatting import one_line
from loratui.domain.library import MOST_STARS, FileState, LibraryFile
from loratui.headless.json_lines import to_json
from loratui.sessions.library import Library, delete_local, verify
from loratui.settings import Settings
from loratui.store import Store
from loratui.store.ratings import rate
from loratui_protocol.errors import UsageError

_NAME_CHARS = 40
_RUN_CHARS = 24
_WHY_CHARS = 200
_SUM_CHARS = 7
_MOST_NAMED = 4


def show(arguments: Arguments) -> int:
    """List the files that match all words."""
    query = " ".join(arguments.words)
    files = [file for file in Library(settings.load()).files() if library.matches(file, query)]
    files = library.ordered(files, arguments.sort or "newest")
    if arguments.json:
        _print_json("files", map(_fields, files))
        return 0
    for file in files:
        print(_row(file))
    if not files:
        say("no LoRA matches that" if query else "no LoRA was made here yet: loratui demo makes one")
    return 0


def verify_files(arguments: Arguments) -> int:
    """Read the files that are meant, or all that are here; return 1 if one is not what was announced."""
    files = _here(_meant(settings.load(), arguments)) if arguments.files else _all_here(settings.load(), arguments)
    verified = []
    for file in files:
        problem = verify(file, lambda _: None, lambda: True)
        verified.append({**_fields(file), "problem": problem})
        if not arguments.json:
            print(f"{_said(file)}: {one_line(problem, _WHY_CHARS) or 'it is what was announced'}", flush=True)
    if arguments.json:
        _print_json("files", verified)
    elif not files:
        say("no LoRA of that is here")
    return 1 if any(each["problem"] for each in verified) else 0


def rate_files(arguments: Arguments) -> int:
    """Write down what the files are worth."""
    preferences = settings.load()
    files = _meant(preferences, arguments)
    for file in files:
        rate(preferences.database, file.run_id, file.artifact_id, file.sha256, arguments.stars)
        if not arguments.json:
            stars = f"{arguments.stars} of {MOST_STARS} stars" if arguments.stars else "not rated"
            print(f"{_said(file)}: {stars}")
    if arguments.json:
        _print_json("files", ({**_fields(file), "stars": arguments.stars} for file in files))
    return 0


def delete_files(arguments: Arguments) -> int:
    """Say what is lost with the files, ask, and delete them; copies in folders of configs stay."""
    preferences = settings.load()
    files = _here(_meant(preferences, arguments))
    for file in files:
        again = f"loratui download {file.run_id}"
        stays = one_line(library.what_stays(file, again))
        say(f"{_said(file)} ({formatting.size(file.size)}): {stays}")
    if not arguments.yes:
        if not is_somebody_there():
            raise UsageError(
                "there is nobody to ask whether this may go: nothing was deleted",
                fix="give --yes",
                code="files.unasked",
            )
        which = "this file" if len(files) == 1 else f"these {len(files)} files"
        if not agrees(f"Delete {which}? It can't be taken back.", otherwise="nothing was deleted"):
            return 0
    for file in files:
        delete_local(preferences, file)
        if not arguments.json:
            print(f"{_said(file)} is deleted")
    if arguments.json:
        _print_json("deleted", map(_fields, files))
    return 0


# --- which files are meant -------------------------------------------------------------------------------------------


def _known(preferences: Settings, run: str | None) -> list[LibraryFile]:
    files = Library(preferences).files()
    if run is None:
        return files
    with Store(preferences.database) as store:
        run_id = choose(store.runs(), run).id
    return [file for file in files if file.run_id == run_id]


def _all_here(preferences: Settings, arguments: Arguments) -> list[LibraryFile]:
    return [file for file in _known(preferences, arguments.run) if file.is_here]


def _meant(preferences: Settings, arguments: Arguments) -> list[LibraryFile]:
    """Return what is named, each file once.

    Raises:
        UsageError: a word names no file, or several.
    """
    known = _known(preferences, arguments.run)
    found = (_one(library.named(known, word, Path(word).absolute()), word) for word in arguments.files)
    return list({file.key: file for file in found}.values())


def _one(found: list[LibraryFile], word: str) -> LibraryFile:
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(f"no LoRA made here is called {word!r}", fix="loratui files", code="files.unknown")
    named = ", ".join(
        f"{file.sha256[:_SUM_CHARS]} of {one_line(file.run_name, _RUN_CHARS)}" for file in found[:_MOST_NAMED]
    )
    raise UsageError(
        f"{len(found)} LoRAs are called {word!r}: {named}",
        fix="name one by the beginning of its sha256, with --run RUN where that is the same",
        code="files.ambiguous",
    )


def _here(files: list[LibraryFile]) -> list[LibraryFile]:
    """Return the files if there is something on this machine of each.

    Raises:
        UsageError: there is not.
    """
    for file in files:
        if not file.is_here:
            raise UsageError(
                f"{_said(file)} is not on this machine: {_state(file)}",
                fix=f"loratui download {file.run_id}" if file.can_come else "leave it out",
                code="files.not_here",
            )
    return files


# --- how they are told -----------------------------------------------------------------------------------------------


def _said(file: LibraryFile) -> str:
    return one_line(f"{file.name} of {file.run_name}", _NAME_CHARS + _RUN_CHARS)


def _state(file: LibraryFile) -> str:
    return one_line(f"{file.state}, {file.why}" if file.why else file.state, _WHY_CHARS)


def _row(file: LibraryFile) -> str:
    parts = (
        file.sha256[:_SUM_CHARS],
        f"{one_line(file.name, _NAME_CHARS):<{_NAME_CHARS}}",
        f"{one_line(file.run_name, _RUN_CHARS):<{_RUN_CHARS}}",
        f"{'*' * file.stars:<{MOST_STARS}}",
        f"{f'step {file.step}' if file.step else '':>12}",
        f"{formatting.size(file.size):>8}",
        _state(file) if file.state is not FileState.HERE else one_line(str(file.copy or file.path)),
    )
    return "  ".join(parts).rstrip()


def _fields(file: LibraryFile) -> dict[str, object]:
    return {
        "run": file.run_id,
        "run_name": file.run_name,
        "name": file.name,
        "kind": file.kind,
        "step": file.step,
        "size": file.size,
        "sha256": file.sha256,
        "ts": file.ts,
        "base": file.base,
        "state": file.state.name.lower(),
        "why": file.why,
        "path": file.path,
        "copy": file.copy,
        "can_come": file.can_come,
        "stars": file.stars,
    }


def _print_json(name: str, entries: Iterable[dict[str, object]]) -> None:
    print(to_json({name: list(entries)}))
