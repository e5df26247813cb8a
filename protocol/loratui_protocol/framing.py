"""Finds our own lines in what a remote command prints: banners and shell start-up files may say anything around them.

A frame is one line, ``@@loratui NONCE JSON``. The nonce is drawn anew for every command, so nothing that was there
before can pass for an answer.
"""

import json
import secrets
from typing import Any

from loratui_protocol import harmless
from loratui_protocol.errors import ProtocolError

MARK = "@@loratui"
MAX_FRAME_BYTES = 4 << 20
MAX_NOISE_BYTES = 1 << 20
"""More than this before or between frames is a flood, not a banner."""


def new_nonce() -> str:
    """Return a nonce: 16 hex digits, safe in every shell."""
    return secrets.token_hex(8)


def frame_line(nonce: str, fields: dict[str, Any]) -> bytes:
    """Return the frame as the bytes of one line, which begins on a line of its own whatever stood before it."""
    return f"\n{MARK} {nonce} {json.dumps(fields)}\n".encode("ascii")


class FrameFinder:
    """Takes bytes as they come and gives the frames of one nonce."""

    def __init__(self, nonce: str) -> None:
        self._prefix = f"{MARK} {nonce} ".encode("ascii")
        self._rest = b""
        self._noise = 0

    def feed(self, received: bytes) -> list[dict[str, Any]]:
        """Return the frames that are complete now; their texts are cleaned, their numbers within bounds.

        Raises:
            ProtocolError: noise without end, a frame that is too long, or one that is no JSON object.
        """
        *lines, self._rest = (self._rest + received).split(b"\n")
        frames = [self._parse(line) for line in lines if self._is_frame(line)]
        limit = MAX_FRAME_BYTES if self._prefix.startswith(self._rest[: len(self._prefix)]) else MAX_NOISE_BYTES
        if len(self._rest) > limit or self._noise > MAX_NOISE_BYTES:
            raise ProtocolError(
                "the host prints without end and answers nothing",
                fix="make its login banner and shell start-up files quiet, or use another host",
                code="ssh.noise",
            )
        return frames

    def _is_frame(self, line: bytes) -> bool:
        if line.startswith(self._prefix):
            return True
        self._noise += len(line)
        return False

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            content = json.loads(
                line[len(self._prefix) :], parse_int=_whole, parse_float=_finite, parse_constant=_finite
            )
            fields = harmless.clean_json(content)
        except (ValueError, RecursionError) as error:
            raise ProtocolError("the host answered with a broken frame", code="ssh.frame") from error
        if not isinstance(fields, dict):
            raise ProtocolError("the host answered with a frame that is no object", code="ssh.frame")
        self._noise = 0
        return fields


def _whole(digits: str) -> int:
    return harmless.whole(int(digits))


def _finite(digits: str) -> float:
    return harmless.finite(float(digits))
