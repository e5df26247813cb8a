"""What means something in a prompt or on a page, and in a caption is letters that are trained as they stand."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from loratui.preflight.naming import quoted
from loratui.preflight.trained_folders import Told
from loratui_protocol.findings import Finding
from loratui_protocol.harmless import clean

_KINDS = {
    "names of LoRAs": r"<(?:lora|lyco|hypernet):[^<>\n]{1,200}>",
    "embeddings": r"\bembedding:[\w.-]+",
    "weights": (
        r"[(\[](?=[^:]{0,200}[A-Za-z])[^()\[\]\n]{1,200}:\s*[0-2](?:\.\d+)?[)\]]|"
        r"\(\([^()\n]{1,200}\)\)|\[\[[^\[\]\n]{1,200}\]\]"
    ),
    "choices": r"\{[^{}\n]{0,200}\|[^{}\n]{0,200}\}|\b__[\w/*-]{1,100}__",
    "words for a program": r"\bBREAK\b|\bNegative prompt:|\bSteps: \d+, Sampler:",
    "escaped brackets": r"\\[()\[\]]",
    "comments": r"\A\s*(?:#\s|//).{0,20}",
    "HTML": r"</?[a-zA-Z][a-zA-Z0-9]{0,10}(?:\s[^<>\n]{0,200})?/?>|&(?:[a-zA-Z]{2,8}|#\d{1,6});",
    "JSON": r"\A\s*\{\s*\"",
}
_PATTERNS = {kind: re.compile(pattern) for kind, pattern in _KINDS.items()}
_CHARS_LOOKED_AT = 5000
_SHOWN_CHARS = 40


def syntax_findings(told: Sequence[Told]) -> Iterator[Finding]:
    """Yield one finding for all of it, with an example of each kind."""
    found: dict[str, list[tuple[Told, str]]] = defaultdict(list)
    for each in told:
        for kind, pattern in _PATTERNS.items():
            if each.file is not None and (part := pattern.search(each.text[:_CHARS_LOOKED_AT])):
                found[kind].append((each, part[0]))
    if not found:
        return
    examples = [
        f"{kind} in {len(those)}, as {quoted(part.strip()[:_SHOWN_CHARS])} in {clean(each.picture.path.stem)}"
        for kind, those in found.items()
        for each, part in those[:1]
    ]
    those = {each.picture.path: each for hits in found.values() for each, _ in hits}
    first = next(iter(those.values()))
    yield Finding(
        code="caption.prompt_syntax",
        severity="warning",
        what=f"{len(those)} of {len(told)} captions hold what is no description: {'; '.join(examples)}. "
        "It is trained letter by letter",
        fix="leave it out: a caption says what is to be seen, in words or tags",
        path=str(first.file or first.picture.path),
    )
