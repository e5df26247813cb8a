"""The filter of findings and pictures: ``error``, ``code:caption``, ``missing``, ``tokens>75`` and plain words.

All parts count.
"""

import operator
import re
from collections.abc import Collection, Mapping, Sequence

_SEVERITIES = {
    "error": "error",
    "errors": "error",
    "warning": "warning",
    "warnings": "warning",
    "info": "info",
    "missing": "missing",
}
_COMPARE = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_BY_NUMBER = re.compile(r"([a-z]+)(>=|<=|>|<|=)([0-9]{1,9})")
NO_FIGURES: Mapping[str, int | None] = {}


def lets_through(
    query: str,
    words: str,
    *,
    kinds: Collection[str],
    codes: Sequence[str],
    figures: Mapping[str, int | None] = NO_FIGURES,
) -> bool:
    """Return whether every part of the query fits something.

    ``kinds`` are the severities of the findings meant and "missing" where a caption is, ``codes`` those findings' own;
    ``words`` is what is shown, in lower case. A kind is looked for among the words, too.
    ``figures`` are what can be compared by name; None: it is not known, and fits nothing.
    """
    return all(_fits(part, words, kinds, codes, figures) for part in query.lower().split())


def _fits(
    part: str, words: str, kinds: Collection[str], codes: Sequence[str], figures: Mapping[str, int | None]
) -> bool:
    compared = _BY_NUMBER.fullmatch(part)
    if compared is not None and compared[1] in figures:
        have = figures[compared[1]]
        return have is not None and _COMPARE[compared[2]](have, int(compared[3]))
    if part.startswith("code:"):
        return any(part.removeprefix("code:") in code for code in codes)
    return _SEVERITIES.get(part) in kinds or part in words
