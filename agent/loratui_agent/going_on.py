"""The end of a run that goes on after it had ended: another one, or that of its plan."""

from pathlib import Path

from loratui_agent.files import write_text
from loratui_agent.worker import read_exit
from loratui_protocol.messages import RunEnd
from loratui_protocol.run_end import STOP_AT_EPOCH, toml_with_end


def set_end(folder: Path, end: RunEnd | None) -> None:
    """Have the job in ``folder`` end there. None: where it was to end, past the epoch that it has stopped at.

    Raises:
        ConfigError: it can't end there; nothing has changed.
        StorageError: the disk is full.
    """
    if end is None:
        ended = read_exit(folder / "exit.json")
        if ended is None or ended.code != STOP_AT_EPOCH:
            return
        end = RunEnd()
    path = folder / "job.toml"
    write_text(path, toml_with_end(path.read_text("utf-8"), folder, end))
