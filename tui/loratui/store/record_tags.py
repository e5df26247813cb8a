"""Finds stored records of a kind without decoding the others."""

from loratui_protocol.messages import Event


def stored_tag(kind: type[Event]) -> bytes:
    """Return how the tag of an event is stored; something else in a record may look the same."""
    return b"\xa1t" + bytes([0xA0 | len(kind.tag)]) + kind.tag.encode()
