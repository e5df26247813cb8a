"""CLIP's vocabulary out of its merges: what is packaged is the merges alone, packed, a fifth of the usual two files."""

import gzip
import json
from pathlib import Path

PACKED_MERGES = "merges.txt.gz"
_END_OF_WORD = "</w>"
_MARKS = ("<|startoftext|>", "<|endoftext|>")


def unpack_vocabulary(packed: Path, into: Path) -> None:
    """Write ``merges.txt`` and ``vocab.json``, as tokenizers read them, into a folder."""
    text = gzip.decompress(packed.read_bytes()).decode("utf-8")
    (into / "merges.txt").write_text(text, "utf-8")
    merges = [line for line in text.split("\n")[1:] if line]
    (into / "vocab.json").write_text(json.dumps(vocabulary(merges), ensure_ascii=False), "utf-8")


def vocabulary(merges: list[str]) -> dict[str, int]:
    """Return the id of every token; ``merges`` are lines of two tokens that become one, best first."""
    characters = _byte_characters()
    tokens = [*characters, *(character + _END_OF_WORD for character in characters)]
    tokens += [merge.replace(" ", "", 1) for merge in merges]
    return {token: index for index, token in enumerate([*tokens, *_MARKS])}


def _byte_characters() -> list[str]:
    """Return the character that stands for each byte: printable ones for themselves, and others for the rest.

    The order is that of the ids: first the printable ones.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [*map(chr, printable), *(chr(256 + n) for n in range(256 - len(printable)))]
