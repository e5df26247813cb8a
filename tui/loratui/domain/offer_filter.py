"""What a person types to see fewer offers: ``vram>=24 price<0.5 rel>.98 4090 eu -spot``. Pure.

Terms stand beside each other, and all of them must hold; ``-`` before one turns it round. What a provider does not say
of an offer counts as fitting, as in ``offers.fits``.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from loratui.domain.estimate_ranking import Quote
from loratui.domain.offers import Offer

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_COMPARISON = re.compile(r"([^<>=]*)(>=|<=|>|<|=)(.*)", re.DOTALL)
_NUMBER = re.compile(r"(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})")
_EUROPE = (
    "AL AT BA BE BG CH CY CZ DE DK EE ES FI FR GB GR HR HU IE IS IT LI LT LU LV MC MD ME MK MT NL NO PL PT RO RS SE SI "
    "SK SM UA UK"
)
_WORDS_OF_PLACE = 2
"""Letters of a place: a country, or "eu"."""


def _version(version: tuple[int, int] | None) -> float | None:
    return None if version is None else version[0] + version[1] / 100


_FIGURES: dict[str, Callable[[Quote], float | None]] = {
    # As it is shown: 24,564 MiB are sold as 24 GB.
    "vram": lambda quote: round(quote.offer.vram_mib / 1024),
    "price": lambda quote: quote.offer.price_microusd_per_h / 1e6,
    "total": lambda quote: quote.estimate.p50_microusd / 1e6,
    "time": lambda quote: quote.estimate.p50_s / 60,
    "rel": lambda quote: quote.offer.reliability,
    "down": lambda quote: quote.offer.download_mbit_s,
    "up": lambda quote: quote.offer.upload_mbit_s,
    "cuda": lambda quote: _version(quote.offer.cuda),
}
FIELDS = tuple(_FIGURES)
"""What can be compared with a number: GB, $ an hour, $ in all, minutes, a share or percent, Mbit/s, a version."""


@dataclass(frozen=True, slots=True)
class OfferFilter:
    """Terms that were understood, and of the first that was not what is wrong with it."""

    terms: tuple[Callable[[Quote], bool], ...] = ()
    trouble: str = ""

    def lets_through(self, quote: Quote) -> bool:
        """Return whether all terms hold."""
        return all(term(quote) for term in self.terms)


def parse_filter(text: str) -> OfferFilter:
    """Return what was typed; a term that makes no sense, or is not typed to its end, leaves nothing out."""
    terms: list[Callable[[Quote], bool]] = []
    trouble = ""
    for word in text.casefold().split():
        try:
            terms.append(_term(word))
        except ValueError as error:
            trouble = trouble or str(error)
    return OfferFilter(tuple(terms), trouble)


def _term(word: str) -> Callable[[Quote], bool]:
    if word.startswith("-"):
        if word == "-":
            raise ValueError("- wants a word after it: -runpod")
        return _turned(word[1:])
    compared = _COMPARISON.fullmatch(word)
    if compared is None:
        return lambda quote: _says(quote.offer, word) is not False
    name, sign, value = compared.groups()
    return _comparison(name, sign, value, is_turned=False)


def _turned(word: str) -> Callable[[Quote], bool]:
    compared = _COMPARISON.fullmatch(word)
    if compared is None:
        return lambda quote: _says(quote.offer, word) is not True
    name, sign, value = compared.groups()
    return _comparison(name, sign, value, is_turned=True)


def _comparison(name: str, sign: str, value: str, *, is_turned: bool) -> Callable[[Quote], bool]:
    figure = _FIGURES.get(name)
    if figure is None:
        raise ValueError(f"{name or sign} is nothing to compare: {', '.join(FIELDS)}")
    wanted, holds = _number(name, value), _OPERATORS[sign]

    def term(quote: Quote) -> bool:
        have = figure(quote)
        return have is None or holds(have, wanted) is not is_turned

    return term


def _number(name: str, text: str) -> float:
    bare = text.removeprefix("$").removesuffix("%")
    if not _NUMBER.fullmatch(bare):
        raise ValueError(
            f"{name} wants a number: {name}>={'12.4' if name == 'cuda' else '0.98' if name == 'rel' else 24}"
        )
    if name == "cuda":
        major, _, minor = bare.partition(".")
        return int(major or 0) + int(minor or 0) / 100
    number = float(bare)
    return number / 100 if name == "rel" and number > 1 else number


def _says(offer: Offer, word: str) -> bool | None:
    """Return whether a word is said of an offer; None: it is a place, and the provider does not say where it is."""
    place = offer.region.casefold()
    is_place = len(word) == _WORDS_OF_PLACE and word.isalpha()
    if is_place and not place:
        return None
    if is_place:
        return word in re.split(r"[^a-z]+", place) or (word == "eu" and offer.region.upper() in _EUROPE.split())
    kind = {True: "datacentre datacenter", False: "home", None: ""}[offer.is_datacenter]
    return word in f"{offer.gpu_name} {offer.provider} {offer.region} {offer.availability} {kind} {offer.id}".casefold()
