"""Lines for programs: what names a file waits until the file is here, however much waits."""

import json
import time
from pathlib import Path

import pytest

from loratui.domain.run import RunView
from loratui.headless.follow import JsonPrinter
from loratui_protocol.messages import Artifact, ArtifactKind, Event, Log, Record


def artifact(number: int) -> Artifact:
    return Artifact(id=f"a{number}", kind=ArtifactKind.SAMPLE, name="x.png", size=1, sha256="0")


def feed(printer: JsonPrinter, view: RunView, seq: int, event: Event) -> None:
    record = Record(seq=seq, ts=1.0, event=event)
    view.apply(record)
    printer.record(record, view)


def printed(capsys: pytest.CaptureFixture[str]) -> list[tuple[int, str | None]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [(line["seq"], line.get("path")) for line in lines]


def test_file_is_told_of_once_it_is_here_and_at_the_end_if_it_never_comes(capsys: pytest.CaptureFixture[str]) -> None:
    printer, view = JsonPrinter(), RunView(run_id="r", name="n", target="local")
    feed(printer, view, 1, artifact(1))
    feed(printer, view, 2, artifact(2))
    assert printed(capsys) == []
    view.downloaded["a2"] = Path("x-2.png")
    feed(printer, view.snapshot(), 3, Log(level="INFO", line="x"))
    assert printed(capsys) == [(2, "x-2.png"), (3, None)]
    printer.end(view)
    assert printed(capsys) == [(1, None)]


def test_many_files_that_wait_cost_no_more_for_each_than_few(capsys: pytest.CaptureFixture[str]) -> None:
    printer, view = JsonPrinter(), RunView(run_id="r", name="n", target="local")
    began_s = time.process_time()
    for seq in range(1, 30_001):
        printer.record(Record(seq=seq, ts=1.0, event=artifact(seq)), view)
    # Looking through all that wait, for each record, took over ten seconds.
    assert time.process_time() - began_s < 3
    assert printed(capsys) == []
