"""The filter of findings and pictures: ``error``, ``code:caption``, ``missing`` and plain words; all parts count."""

from collections.abc import Collection, Sequence

_SEVERITIES = {
    "error": "error",
    "errors": "error",
    "warning": "warning",
    "warnings": "warning",
    "info": "info",
    "missing": "missing",
}


def lets_through(query: str, words: str, *, kinds: Collection[str], codes: Sequence[str]) -> bool:
    """Return whether every part of the query fits something.

    ``kinds`` are the severities of the findings meant and "missing" where a caption is, ``codes`` those findings' own;
    ``words`` is what is shown, in lower case. A kind is looked for among the words, too.
    """
    return all(_fits(part, words, kinds, codes) for part in query.lower().split())


def _fits(part: str, words: str, kinds: Collection[str], codes: Sequence[str]) -> bool:
    if part.startswith("code:"):
        return any(part.removeprefix("code:") in code for code in codes)
    return _SEVERITIES.get(part) in kinds or part in words
