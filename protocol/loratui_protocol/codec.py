"""Bytes to messages and back: msgpack frames, a size cap, strict types, text and numbers that are harmless.

Everything from the other end passes ``decode``: it returns one of our dataclasses, fully typed, or raises
``ProtocolError``. Strings lose control, escape and bidi characters here, and numbers that would overflow later are
refused, so no screen has to remember either.
"""

import typing
from collections.abc import Callable, Sequence
from typing import Any

import cattrs
import msgpack

from loratui_protocol import harmless, inputs, messages
from loratui_protocol.errors import ProtocolError
from loratui_protocol.harmless import MAX_INT, MAX_SECONDS, MAX_TEXT_CHARS, Count, Seconds, clean

MAX_FRAME_BYTES = 1 << 20
MAX_RECORD_BYTES = MAX_FRAME_BYTES - 4096
"""A stored record leaves room for what a ``Records`` frame puts around it."""
_GARBAGE_FIX = "reconnect; if it stays, the other end is not loratui"


def strict_converter() -> cattrs.Converter:
    """Return a converter that never coerces: "7" is no int and no list, 1 is no bool; an int may stand for a float.

    Whole numbers are refused where they overflow.

    cattrs by default turns "7" into 7, and "abc" into a list of letters. Unknown keys of an object are ignored: a
    later version may add some.
    """
    converter = cattrs.Converter(detailed_validation=False)
    for scalar in (bool, str, bytes, float):
        converter.register_structure_hook(scalar, _scalar_hook(scalar))
    integer, number = _scalar_hook(int), _scalar_hook(float)
    converter.register_structure_hook(int, lambda value, cls: harmless.whole(integer(value, cls)))

    # A long run is read from hundreds of thousands of these: what is right goes through in one call.
    def as_count(value: Any, cls: Any) -> int:
        if type(value) is int and 0 <= value <= MAX_INT:
            return value
        return harmless.count(integer(value, cls))

    def as_seconds(value: Any, cls: Any) -> float:
        if type(value) is float and 0 <= value <= MAX_SECONDS:
            return value
        return harmless.seconds(number(value, cls))

    converter.register_structure_hook_func(lambda t: t == Count, as_count)
    converter.register_structure_hook_func(lambda t: t == Seconds, as_seconds)

    def is_list(cls: Any) -> bool:
        return typing.get_origin(cls) is list

    @converter.register_structure_hook_factory(is_list)
    def _(cls: Any) -> Callable[[Any, Any], Any]:
        (item,) = typing.get_args(cls)
        as_list, as_item = _scalar_hook(list), converter.get_structure_hook(item)
        return lambda value, _: [as_item(element, item) for element in as_list(value, cls)]

    return converter


def _scalar_hook(scalar: type) -> Callable[[Any, Any], Any]:
    accepted: tuple[type, ...] = (float, int) if scalar is float else (scalar,)

    def structure(value: Any, _: Any) -> Any:
        if type(value) is scalar:
            return value
        if type(value) not in accepted:
            raise TypeError(f"expected {scalar.__name__}, got {type(value).__name__}")
        return scalar(value)

    return structure


def _members(union: Any) -> tuple[Any, ...]:
    return typing.get_args(union)


_TYPES: dict[str, type] = {cls.tag: cls for cls in _members(messages.Message)}
_EVENT_TAGS = {cls.tag for cls in _members(messages.Event)}
_ARTIFACT_KINDS = set(messages.ArtifactKind)


def _build() -> cattrs.Converter:
    # The functions of a class are made when it is first met: those of all of them would hold up every start by 30 ms.
    converter = strict_converter()
    text = _scalar_hook(str)
    converter.register_structure_hook(str, lambda value, cls: clean(text(value, cls)))
    of_inputs = (inputs.ModelKind, inputs.ModelPurpose, inputs.EnvironmentKind)
    for enum in (messages.JobState, messages.ArtifactKind, *of_inputs):
        converter.register_structure_hook(enum, lambda value, cls: cls(text(value, cls)))
    converter.register_structure_hook_func(lambda t: t == messages.Event, lambda value, _: _event(converter, value))
    converter.register_unstructure_hook_func(
        lambda t: t == messages.Event, lambda event: {"t": event.tag, **converter.unstructure(event)}
    )
    return converter


def _event(converter: cattrs.Converter, value: Any) -> Any:
    tag = value.get("t") if isinstance(value, dict) else None
    if not isinstance(tag, str):
        raise TypeError("an event must be a map with a tag")
    kind = value.get("kind") if tag == messages.Artifact.tag else None
    # A file of a kind that a later version has is none that this one would know what to do with.
    if tag not in _EVENT_TAGS or (isinstance(kind, str) and kind not in _ARTIFACT_KINDS):
        return messages.Unsupported(original_tag=clean(tag, 64))
    return converter.structure(value, _TYPES[tag])


_CONVERTER = _build()


def encode(message: messages.Message | messages.Record) -> bytes:
    """Return the message as one msgpack frame.

    Raises:
        ProtocolError: it is larger than ``MAX_FRAME_BYTES``.
    """
    tag = getattr(message, "tag", "record")
    frame: bytes = msgpack.packb({"t": tag, **_CONVERTER.unstructure(message)})
    if len(frame) > MAX_FRAME_BYTES:
        raise ProtocolError(
            f"a {tag} message of {len(frame)} bytes is over the limit of {MAX_FRAME_BYTES}", code="protocol.too_large"
        )
    return frame


def encode_record(record: messages.Record) -> bytes:
    """Return the record as a journal stores it: exactly as it stands inside a ``Records`` frame.

    Raises:
        ProtocolError: it would not fit into a frame.
    """
    stored: bytes = msgpack.packb(_CONVERTER.unstructure(record))
    if len(stored) > MAX_RECORD_BYTES:
        raise ProtocolError(
            f"an event of {len(stored)} bytes is over the limit of {MAX_RECORD_BYTES}", code="protocol.too_large"
        )
    return stored


def splice_records(job: str, epoch: str, stored: Sequence[bytes]) -> bytes:
    """Return the same frame as ``encode(Records(...))`` out of stored records, decoding none of them.

    A replay costs a copy of bytes then, which counts where msgpack runs in pure Python.
    """
    packer = msgpack.Packer(autoreset=False)
    packer.pack_map_header(4)
    for text in ("t", messages.Records.tag, "job", job, "epoch", epoch, "records"):
        packer.pack(text)
    packer.pack_array_header(len(stored))
    return b"".join((packer.bytes(), *stored))


def decode(frame: bytes) -> messages.Message:
    """Return the message in ``frame``.

    Raises:
        ProtocolError: the frame is too large, no msgpack, of an unknown kind or has a field of a wrong type.
    """
    fields = _unpack(frame)
    tag = fields.get("t")
    cls = _TYPES.get(tag) if isinstance(tag, str) else None
    if cls is None:
        raise ProtocolError(f"a message of unknown kind {clean(repr(tag), 64)} arrived", code="protocol.unknown_kind")
    return typing.cast("messages.Message", _structure(fields, cls))


def decode_record(frame: bytes) -> messages.Record:
    """Return the journal record in ``frame``; errors as in ``decode``."""
    return typing.cast("messages.Record", _structure(_unpack(frame), messages.Record))


def _unpack(frame: bytes) -> dict[str, Any]:
    if len(frame) > MAX_FRAME_BYTES:
        raise ProtocolError(f"a frame of {len(frame)} bytes is over the limit", code="protocol.too_large")
    try:
        fields = msgpack.unpackb(frame, strict_map_key=False)
    except (ValueError, msgpack.UnpackException, RecursionError, OverflowError, TypeError) as error:
        raise ProtocolError(f"{len(frame)} bytes are no msgpack: {clean(str(error), 200)}", fix=_GARBAGE_FIX) from error
    if not isinstance(fields, dict):
        raise ProtocolError("a frame holds no message", fix=_GARBAGE_FIX)
    return fields


def _structure(fields: dict[str, Any], cls: type) -> Any:
    try:
        return _CONVERTER.structure(fields, cls)
    except (TypeError, ValueError, KeyError, AttributeError, cattrs.BaseValidationError, RecursionError) as error:
        reason = clean(f"{type(error).__name__}: {error}", 200)
        raise ProtocolError(f"a {cls.__name__} message is malformed ({reason})", code="protocol.malformed") from error


class FrameBuffer:
    """Cuts a byte stream into messages: each frame after its length as four little-endian bytes."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, received: bytes) -> list[messages.Message]:
        """Return the messages that are complete now.

        Raises:
            ProtocolError: a frame is too large or malformed; the stream can't be read on from there.
        """
        self._pending += received
        complete = []
        while len(self._pending) >= 4:
            size = int.from_bytes(self._pending[:4], "little")
            if size > MAX_FRAME_BYTES:
                raise ProtocolError(f"a frame of {size} bytes is over the limit", code="protocol.too_large")
            if len(self._pending) < 4 + size:
                break
            complete.append(decode(bytes(self._pending[4 : 4 + size])))
            del self._pending[: 4 + size]
        return complete


def to_stream(message: messages.Message) -> bytes:
    """Return the message as ``FrameBuffer`` reads it."""
    frame = encode(message)
    return len(frame).to_bytes(4, "little") + frame


__all__ = [
    "MAX_FRAME_BYTES",
    "MAX_RECORD_BYTES",
    "MAX_TEXT_CHARS",
    "FrameBuffer",
    "clean",
    "decode",
    "decode_record",
    "encode",
    "encode_record",
    "splice_records",
    "strict_converter",
    "to_stream",
]
