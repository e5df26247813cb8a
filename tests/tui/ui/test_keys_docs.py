"""docs/keys.md says what the registry says, and the commands that it names are there."""

import argparse
import runpy
from pathlib import Path

from loratui.cli.arguments import build_parser
from loratui.ui.actions import ACTIONS

ROOT = Path(__file__).parents[3]
WRITER = runpy.run_path(str(ROOT / "scripts" / "write_keys_docs.py"))


def test_the_document_is_up_to_date() -> None:
    written = WRITER["DOCUMENT"].read_text(encoding="utf-8")

    assert written == WRITER["document"](), "run scripts/write_keys_docs.py"


def test_every_command_that_an_action_names_is_one() -> None:
    [commands] = [each for each in build_parser()._actions if isinstance(each, argparse._SubParsersAction)]
    for action in ACTIONS:
        for command in filter(None, action.command.split("; ")):
            program, name, *_ = command.split()
            assert (program, name in commands.choices) == ("loratui", True), command
