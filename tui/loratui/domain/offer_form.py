"""The filter of offers as a form: each field is a term of ``offer_filter``, all else stays as it was typed. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from loratui.domain.offer_filter import parse_filter

_KINDS = ("datacentre", "datacenter", "home")
OTHER = "other"
"""The name of the field that has what no other one has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One field. ``term`` is written before its value; ``takes`` says of a term without one whether it is its own."""

    name: str
    label: str
    hint: str
    term: str = ""
    takes: Callable[[str], bool] = lambda _: False


def form_fields(providers: Sequence[str]) -> tuple[FormField, ...]:
    """Return the fields, for a market of these providers."""
    return (
        FormField(name="vram", label="VRAM, at least", hint="GB", term="vram>="),
        FormField(name="price", label="price, at most", hint="dollars an hour", term="price<="),
        FormField(name="total", label="total, at most", hint="dollars for the run", term="total<="),
        FormField(name="rel", label="reliability, at least", hint="a share or percent", term="rel>="),
        FormField(
            name="region",
            label="region",
            hint="eu, or a country's two letters",
            takes=lambda word: len(word) == 2 and word.isalpha(),
        ),
        FormField(name="provider", label="provider", hint=" or ".join(providers), takes=lambda word: word in providers),
        FormField(name="kind", label="kind", hint="datacentre or home", takes=lambda word: word in _KINDS),
        FormField(name=OTHER, label="anything else", hint="4090 -us cuda>=12.4 …"),
    )


def read_form(query: str, fields: Sequence[FormField]) -> dict[str, str]:
    """Return the values that a filter has for the fields; a second term of a field is left to the last one."""
    values: dict[str, str] = {}
    rest: list[str] = []
    for word in query.casefold().split():
        owner = next((field for field in fields if _is_of(field, word) and field.name not in values), None)
        if owner is None:
            rest.append(word)
        else:
            values[owner.name] = word.removeprefix(owner.term)
    return values | ({OTHER: " ".join(rest)} if rest else {})


def write_form(values: Mapping[str, str], fields: Sequence[FormField]) -> str:
    """Return the filter that these values mean."""
    return " ".join(f"{field.term}{value}" for field in fields if (value := values.get(field.name, "")))


def trouble_with(field: FormField, value: str) -> str:
    """Return why a field can't have this value, nothing where it can."""
    if value and (found := parse_filter(f"{field.term}{value}").trouble):
        return found
    is_word = value and field.name != OTHER and not field.term
    return f"{field.label}: {field.hint}" if is_word and not field.takes(value.casefold()) else ""


def _is_of(field: FormField, word: str) -> bool:
    return bool(field.term and word.startswith(field.term)) or field.takes(word)
