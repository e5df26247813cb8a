"""Takes out of a text what must not leave this machine with it: keys, tokens, who and where somebody is. Pure."""

import re
from collections.abc import Iterable

MIN_SECRET_CHARS = 6
SECRET_NAME = re.compile(r"(?i).*(api_?key|token|secret|passw(or)?d|credential)")
"""Names of environment variables and settings whose value is a secret."""
_HIDDEN = "[secret]"
_RULES = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), _HIDDEN),
    (re.compile(r"\b(?:hf|sk|rpa|r8|ghp|gho|ghs|glpat|pypi|github_pat)[_-][A-Za-z0-9_-]{16,}"), _HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {_HIDDEN}"),
    (
        re.compile(
            r"(?i)([\"']?\b[\w-]*(?:api[_-]?key|token|secret|passw(?:or)?d|authorization|signature)[\w-]*[\"']?\s*[:=]\s*"
            r"[\"']?)[^\s\"'&,;}]{4,}"
        ),
        rf"\1{_HIDDEN}",
    ),
    (re.compile(r"(?i)([?&](?:key|sig|token|auth|x-amz-[a-z-]+|expires)=)[^&\s\"']+"), rf"\1{_HIDDEN}"),
    (re.compile(r"([a-z][a-z0-9+.-]*://)[^/\s:@]+:[^/\s@]+@", re.IGNORECASE), rf"\1{_HIDDEN}@"),
    (re.compile(r"\b(ssh-(?:ed25519|rsa)|ecdsa-[a-z0-9-]+) [A-Za-z0-9+/=]{40,}( \S+)?"), r"\1 [key]"),
    (re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.-]+\b"), "[address]"),
    (re.compile(r"\b(?!127\.0\.0\.1\b)(?:\d{1,3}\.){3}\d{1,3}\b"), "[address]"),
)


class Redactor:
    """Takes ``secrets`` out wherever they stand, and gives other ``words`` (a host, a user) the names that stand there.

    A secret that is shorter than ``MIN_SECRET_CHARS`` is left: it would take half of the text with it.
    """

    def __init__(self, secrets: Iterable[str] = (), words: Iterable[tuple[str, str]] = ()) -> None:
        self._exact = sorted(
            {(secret, _HIDDEN) for secret in secrets if len(secret) >= MIN_SECRET_CHARS}
            | {(word, name) for word, name in words if len(word) >= 2},
            key=lambda pair: -len(pair[0]),
        )

    def clean(self, text: str) -> str:
        """Return the text without them."""
        for word, name in self._exact:
            text = text.replace(word, name)
        for pattern, instead in _RULES:
            text = pattern.sub(instead, text)
        return text
