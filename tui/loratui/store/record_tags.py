"""How a record is known by its first bytes, without decoding it."""


def stored_tag(tag: str) -> bytes:
    """Return how the tag of an event is stored; something else in a record may look the same."""
    return packed("t") + packed(tag)


def packed(short: str) -> bytes:
    """Return a text of fewer than 32 letters as msgpack has it."""
    return bytes([0xA0 | len(short)]) + short.encode()
