"""Asks once, before pictures leave this machine, whether they may be trained on; the answer is kept with the run."""

import sys
from collections.abc import Sequence

from loratui.cli.check import print_findings
from loratui.sessions.rights import Rights, answer_rights, rights_of
from loratui.settings import Settings
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import UsageError
from loratui_protocol.findings import Finding

UNSTATED, REFUSED = "rights.unstated", "rights.refused"


def agreed_rights(
    preferences: Settings, configs: Sequence[TrainingConfig], *, asks: bool, otherwise: str
) -> list[str] | None:
    """Return what is said of the rights to each config's pictures, for the records of their runs.

    Who sits at a terminal is asked, once for a dataset and a base model; with ``asks`` False, or where nobody sits,
    a warning is printed instead. None: they may not be trained on; ``otherwise`` was said.

    Raises:
        UsageError: it was answered before that they may not, and nobody is asked now.
    """
    said = []
    for config in configs:
        rights = rights_of(config, preferences)
        if not rights.are_given and asks and sys.stdin.isatty() and sys.stderr.isatty():
            if not _ask(preferences, rights):
                print(otherwise, file=sys.stderr)
                return None
            rights = rights_of(config, preferences)
        elif not rights.are_given:
            _tell(rights)
        said.append(rights.sentence)
    return said


def _ask(preferences: Settings, rights: Rights) -> bool:
    print(rights.license_sentence, file=sys.stderr)
    print(f"pictures: {rights.folders}", file=sys.stderr)
    print("Are you allowed to train on these pictures? (yes/no) ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip().lower()
    if answer not in ("y", "yes", "n", "no"):
        return False
    may_train = answer.startswith("y")
    answer_rights(preferences, rights, may_train=may_train)
    return may_train


def _tell(rights: Rights) -> None:
    """Warn that nobody has said that the pictures may be trained on.

    Raises:
        UsageError: somebody has said that they may not.
    """
    fix = 'say so in the config: rights_statement = "All pictures are mine", or start it once from a terminal'
    if rights.answer is not None:
        raise UsageError(f"{rights.sentence}. Nothing was started", fix=f"if that is no longer so {fix}", code=REFUSED)
    what = f"nobody has said that the pictures in {rights.folders} may be trained on"
    print_findings([Finding(code=UNSTATED, severity="warning", what=f"{what}; {rights.license_sentence}", fix=fix)])
