"""Takes out of a text what must not leave this machine with it: keys, tokens, who and where somebody is. Pure."""

import ipaddress
import re
from collections.abc import Iterable

MIN_SECRET_CHARS = 6
SECRET_NAME = re.compile(r"(?i).*(api_?key|token|secret|passw(or)?d|credential)")
"""Names of environment variables and settings whose value is a secret."""
_HIDDEN = "[secret]"
_ANYWHERE = r"(?:\b|(?<=\\[nrt]))"
"""The beginning of a word, also behind a line's end as JSON writes it."""
_RULES = (
    (
        re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL),
        _HIDDEN,
    ),
    (re.compile(_ANYWHERE + r"(?:hf|sk|rpa|r8|ghp|gho|ghs|glpat|pypi|github_pat)[_-][A-Za-z0-9_-]{16,}"), _HIDDEN),
    (re.compile(r"(?i)(bearer|basic)\s{1,8}[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {_HIDDEN}"),
    (
        re.compile(
            r"(?i)((?:api[_-]?key|token|secret|passw(?:or)?d|authorization|signature)[\w-]{0,32}[\"']?\s{0,8}[:=]\s{0,8}"
            r"[\"']?)[^\s\"'&,;}]{4,}"
        ),
        rf"\1{_HIDDEN}",
    ),
    (re.compile(r"(?i)([?&](?:key|sig|token|auth|x-amz-[a-z-]{1,40}|expires)=)[^&\s\"']+"), rf"\1{_HIDDEN}"),
    (re.compile(r"(://)[^/\s:@]+:[^/\s@]+@"), rf"\1{_HIDDEN}@"),
    (re.compile(r"(ssh-(?:ed25519|rsa)|ecdsa-[a-z0-9-]{1,30}) [A-Za-z0-9+/=]{40,}( \S+)?"), r"\1 [key]"),
    (re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{1,255}\b"), "[address]"),
    (re.compile(r"(?<![\d.])(?!127\.0\.0\.1(?!\d))(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)"), "[address]"),
    (re.compile(r"(/(?:home|Users)/)[^/\s:\"'\\]+"), r"\1[user]"),
)
"""Each takes time in proportion to the text, whatever a host has made it say: no rule begins with a run that another
attempt a character later scans again."""
_MAYBE_IPV6 = re.compile(r"(?:(?<![0-9A-Za-z:])|(?<=\\[nrt]))[0-9A-Fa-f:]{2,40}(?![0-9A-Za-z])")
_OWN = ("::", "::1")


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
        return _MAYBE_IPV6.sub(_without_address, text)


def _without_address(found: re.Match[str]) -> str:
    """Return what stands there unless it is an address: a time of day has colons, too."""
    whole = found[0]
    # "2001:db8::1: refused" ends with a colon of the sentence.
    text = whole.removesuffix(":") if not whole.endswith("::") else whole
    try:
        is_address = text not in _OWN and bool(ipaddress.IPv6Address(text))
    except ValueError:
        return whole
    return "[address]" + whole[len(text) :] if is_address else whole
