"""A request is answered when it is met, not before, and none is lost to another that is being met."""

import queue

import pytest

from loratui_agent.train.controls import Controls
from loratui_protocol import messages
from loratui_protocol.messages import JobState

pytestmark = pytest.mark.torch


class Line:
    """The reporter's two ends that the controls use."""

    def __init__(self) -> None:
        self.commands: queue.SimpleQueue[messages.Message] = queue.SimpleQueue()
        self.answers: list[messages.CommandResult] = []

    def emit(self, event: messages.Event) -> None:
        assert isinstance(event, messages.CommandResult)
        self.answers.append(event)

    def answered(self) -> list[tuple[str, bool]]:
        return [(answer.id, answer.ok) for answer in self.answers]


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def controls(line: Line) -> Controls:
    return Controls(line)


def test_what_is_asked_for_during_a_pause_is_answered_once_it_is_done(line: Line, controls: Controls):
    line.commands.put(messages.Pause(id="P", author="me", job="job"))
    controls.read()

    def on_change(state: JobState) -> None:
        if state is JobState.PAUSED:
            for command in (messages.CheckpointNow, messages.SampleNow, messages.Resume):
                line.commands.put(command(id=command.__name__, author="me", job="job"))

    controls.wait_while_paused(on_change, lambda: None)
    assert line.answered() == [("P", True), ("Resume", True)]
    assert controls.wants_checkpoint
    assert controls.wants_samples
    controls.wants_checkpoint = controls.wants_samples = False
    controls.answer()
    assert line.answered()[2:] == [("CheckpointNow", True), ("SampleNow", True)]


def test_a_pause_that_the_end_of_the_run_overtakes_was_none(line: Line, controls: Controls):
    line.commands.put(messages.Pause(id="P", author="me", job="job"))
    controls.read()
    controls.answer_all(saved=True)
    assert line.answered() == [("P", False)]


def test_a_request_that_the_end_of_the_run_overtakes_is_refused(line: Line, controls: Controls):
    line.commands.put(messages.CheckpointNow(id="C", author="me", job="job"))
    line.commands.put(messages.SampleNow(id="S", author="me", job="job"))
    line.commands.put(messages.Stop(id="X", author="me", job="job"))
    assert controls.stopping
    controls.answer_all(saved=True)
    assert line.answered() == [("C", True), ("X", True), ("S", False)]
