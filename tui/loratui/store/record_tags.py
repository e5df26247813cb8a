"""What is told of a stored record without decoding all of it."""

import msgpack

from loratui.domain.past import StepNumbers
from loratui_protocol.harmless import MAX_INT, MAX_SECONDS
from loratui_protocol.messages import Step


def stored_tag(tag: str) -> bytes:
    """Return how the tag of an event is stored; something else in a record may look the same."""
    return packed("t") + packed(tag)


def packed(short: str) -> bytes:
    """Return a text of fewer than 32 letters as msgpack has it."""
    return bytes([0xA0 | len(short)]) + short.encode()


_STEP = stored_tag(Step.tag)


def step_numbers(stored: bytes) -> StepNumbers | None:
    """Return what curves keep of a record of a step; None: it is of something else, or has to be decoded to be refused.

    It takes a third of the time of decoding, which counts where a hundred thousand are read before a run is shown.
    """
    if _STEP not in stored:
        return None
    try:
        record = msgpack.unpackb(stored, strict_map_key=False)
        event = record["event"]
        if event["t"] != Step.tag:
            return None
        grad_norm = event.get("grad_norm")
        ts, step, epoch = record["ts"], event["step"], event["epoch"]
        loss, lr, it_s = event["loss"], event["lr"], event["it_s"]
    except (ValueError, LookupError, TypeError, AttributeError, msgpack.UnpackException):
        return None
    is_sound = (
        type(ts) is type(loss) is type(lr) is type(it_s) is float
        and type(step) is type(epoch) is int
        and (grad_norm is None or type(grad_norm) is float)
        and 0 <= ts <= MAX_SECONDS
        and 0 <= step <= MAX_INT
        and 0 <= epoch <= MAX_INT
    )
    return StepNumbers(ts, step, epoch, loss, lr, it_s, grad_norm) if is_sound else None
