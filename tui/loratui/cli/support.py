"""``support``: one file with what helps others to find out what went wrong with a run, without anyone's secrets."""

import contextlib
import getpass
import json
import os
import platform
import re
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.following import hosting
from loratui.cli.runs import choose
from loratui.domain.redaction import SECRET_NAME, Redactor
from loratui.headless.follow import catch_up
from loratui.headless.json_lines import record_line
from loratui.sessions.support import fetch_logs
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui_protocol.codec import clean
from loratui_protocol.config_file import parse_config, to_toml
from loratui_protocol.errors import ConfigError, LoratuiError, StorageError
from loratui_protocol.messages import Record, Sample
from loratui_protocol.support import SUPPORT_FILES

REACH_TIMEOUT_S = 20.0
FETCH_TIMEOUT_S = 60.0
_MAX_FILE_CHARS = 16 << 20
_MAX_CRASH_BYTES = 256 << 10
_PACKAGES = ("loratui", "textual", "websockets", "asyncssh", "msgpack", "cattrs", "torch", "diffusers", "peft")
_EVERYBODYS = ("", "root", "ubuntu")
"""Such a user name says nothing, and stands in many a path that should be read."""
_README = """\
What loratui knows about one run, for finding out what went wrong with it.

  about.json      versions, the run's state and figures, what could not be had
  config.toml     the training config
  settings.txt    the settings of loratui
  journal.jsonl   everything that happened, one event a line
  box/            what agent, trainer and reaper wrote
  crash.log       faults of the client, if there were any

Taken out: keys and tokens, prompts and trigger word, captions (they are never logged), the command of --on-done,
addresses of hosts, names of users.
Left in: names of files and folders, figures, and whatever programs wrote that looks like none of the above.
Read it before you pass it on.
"""


def support(arguments: Arguments) -> int:
    """Write the file and print its name."""
    preferences = settings.load()
    with Store(preferences.database) as store:
        run = choose(store.runs(), arguments.run)
    logs: dict[str, bytes | None] = {}
    missing: list[str] = []
    with hosting(preferences) as host:
        try:
            # What is stored here is worth having, too: nobody waits long for a box that may be gone.
            host.follow(run.id).result(REACH_TIMEOUT_S)
            catch_up(host, run.id)
            host.perform(lambda targets: fetch_logs(targets.way_to(run), run.id, logs)).result(FETCH_TIMEOUT_S)
        except (LoratuiError, TimeoutError) as error:
            why = error.what if isinstance(error, LoratuiError) else "the agent does not answer"
            names = [f"box/{name}" for name in map(_name_on_the_box, SUPPORT_FILES) if name not in logs]
            missing.append(f"{', '.join(names)}: {why}")
            print(f"logs of the box are not in it: {missing[-1]}", file=sys.stderr)
    with Store(preferences.database) as store:
        run = store.run(run.id)
        files = dict(_files(preferences, run, store.records(run.id), logs, missing))
        files["about.json"] = json.dumps(_about(run, missing), indent=1)
    path = arguments.out or Path(f"loratui-support-{run.id}.zip")
    _write(path, files, _redactor(run))
    print(path)
    return 0


def _files(
    preferences: Settings,
    run: StoredRun,
    records: Iterator[Record],
    logs: Mapping[str, bytes | None],
    missing: list[str],
) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of the files; what can't be had is added to ``missing``."""
    yield "README.txt", _README
    try:
        yield "config.toml", _without_prompts(run)
    except ConfigError as error:
        # Not what it says of the config: that may be what is to be left out.
        why = "its prompts can't be taken out" if run.is_ours else "the machine that started this run has it"
        missing.append(f"config.toml: {why} [{error.code}]")
    yield "settings.txt", "".join(f"{each.key} = {each.value}    ({each.origin})\n" for each in preferences.shown)
    yield "journal.jsonl", "".join(f"{record_line(_without_prompt(record))}\n" for record in records)
    for name, content in logs.items():
        if content is not None:
            yield f"box/{name}", content.decode("utf-8", "replace")
    crash_log = preferences.state_dir / "crash.log"
    if crash_log.exists():
        yield "crash.log", crash_log.read_bytes()[-_MAX_CRASH_BYTES:].decode("utf-8", "replace")


def _name_on_the_box(name: str) -> str:
    return name.partition(":")[2]


def _without_prompts(run: StoredRun) -> str:
    """Return the config without what is said in it about pictures.

    Raises:
        ConfigError: it can't be told where that stands, or there is none.
    """
    config = parse_config(run.config_toml, Path("/")).config
    datasets = tuple(
        replace(dataset, subsets=tuple(replace(subset, class_tokens="") for subset in dataset.subsets))
        for dataset in config.datasets
    )
    untold = replace(
        config,
        sample_prompts=(),
        trigger_word=None,
        training_comment=None,
        metadata_title=None,
        metadata_author=None,
        metadata_description=None,
        metadata_license=None,
        metadata_tags=None,
        rights_statement=None,
        datasets=datasets,
    )
    return to_toml(untold)


def _about(run: StoredRun, missing: list[str]) -> dict[str, object]:
    return {
        "written_ts": time.time(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "run": run.id,
        "on": run.target.partition("://")[0],
        "state": run.state,
        "step": run.step,
        "total": run.total,
        "created_ts": run.created_ts,
        "ended_ts": run.ended_ts,
        "spent_microusd": run.spent_microusd,
        "on_done": run.on_done.partition(":")[0],
        "records": run.head,
        "missing": missing,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _without_prompt(record: Record) -> Record:
    if not isinstance(record.event, Sample):
        return record
    fields = {name: getattr(record.event, name) for name in Sample.__dataclass_fields__}
    hidden = Sample(**{**fields, "prompt": f"[{len(record.event.prompt)} characters]"})
    return Record(seq=record.seq, ts=record.ts, event=hidden, origin=record.origin)


def _redactor(run: StoredRun) -> Redactor:
    secrets = [value for name, value in os.environ.items() if SECRET_NAME.fullmatch(name)]
    words, users = [(str(Path.home()), "~")], []
    if "://" in run.target:
        address = run.target.partition("://")[2]
        user, _, rest = address.rpartition("@")
        host = rest.rpartition(":")[0] if re.search(r":\d+$", rest) else rest
        words += [(address, "[host]"), (host.strip("[]"), "[host]"), (f"{user}@", "[user]@" if user else "")]
        users.append(user)
    with contextlib.suppress(KeyError, OSError, ImportError):
        users.append(getpass.getuser())
    command = run.on_done.partition(":")[2]
    words += [(each, "[command]") for each in (command, json.dumps(command)[1:-1])]
    words += [(user, "[user]") for user in users if user not in _EVERYBODYS]
    return Redactor(secrets, words)


def _write(path: Path, files: Mapping[str, str], redactor: Redactor) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(name, redactor.clean(clean(text, _MAX_FILE_CHARS)))
        temporary.chmod(0o600)
        temporary.replace(path)
    except OSError as error:
        raise StorageError(
            f"{path} can't be written: {error.strerror}", fix="give another file with --out", code="disk.write"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
