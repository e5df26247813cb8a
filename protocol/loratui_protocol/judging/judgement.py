"""What is written down of a judgement: the grid, and of every picture what was measured.

The agent makes it. It travels as one zip file, ``judgement.json`` and the pictures as small JPEGs named after their
cells: a report needs nothing else.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from loratui_protocol.errors import ProtocolError
from loratui_protocol.harmless import MAX_INT, clean
from loratui_protocol.judging.grid import Cell, Grid, TriedFile
from loratui_protocol.judging.prompts import GridPrompt, Role

DOCUMENT = "judgement.json"
MAX_DOCUMENT_BYTES = 16 << 20
MAX_PICTURES = 20_000
_MAX_CHARS = 2_000
_MAX_PLACES = 2_000
"""Files times weights."""
MAX_NUMBER = 1e6
"""No weight and no score comes near it, and sums of squares of what does overflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A picture and its scores, those that make sense for its role and could be measured."""

    cell: Cell
    scores: dict[str, float]
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All pictures of a grid that were drawn. ``features`` says what measured them, by kind; empty: nothing did."""

    grid: Grid
    pictures: tuple[Judged, ...]
    features: dict[str, str]

    def of(self, *, file: int, weight: float, roles: Iterable[Role]) -> list[Judged]:
        """Return the pictures of a file at a weight whose prompts have one of the roles."""
        wanted, shown = frozenset(roles), file if weight else -1
        return [
            each
            for each in self.pictures
            if each.cell.file == shown
            and each.cell.weight == weight
            and self.grid.prompts[each.cell.prompt].role in wanted
        ]

    def to_bytes(self) -> bytes:
        """Return it as JSON."""
        grid = self.grid
        document = {
            "version": 1,
            "files": [asdict(each) for each in grid.files],
            "weights": grid.weights,
            "seeds": grid.seeds,
            "prompts": [asdict(each) for each in grid.prompts],
            "features": self.features,
            "pictures": [_row(each) for each in self.pictures],
        }
        return json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def parse_judgement(content: bytes) -> Judgement:
    """Return the judgement in ``content``, which another machine wrote: texts harmless, numbers within bounds.

    Raises:
        ProtocolError: it is none, or of a later version.
    """
    if len(content) > MAX_DOCUMENT_BYTES:
        raise _refused(f"it has {len(content)} bytes")
    try:
        document = json.loads(content)
        if document["version"] != 1:
            raise _refused(f"it is of version {document['version']!r}")
        grid = Grid(
            files=tuple(
                TriedFile(id=_text(each["id"]), name=_text(each["name"]), step=_count(each["step"]))
                for each in document["files"]
            ),
            weights=tuple(_number(each) for each in document["weights"]),
            seeds=tuple(_count(each) for each in document["seeds"]),
            prompts=tuple(_prompt(each) for each in document["prompts"]),
        )
        if len(grid.files) * len(grid.weights) > _MAX_PLACES:
            raise _refused(f"it has {len(grid.files)} files at {len(grid.weights)} weights")
        pictures = tuple(_picture(row, grid) for row in document["pictures"][:MAX_PICTURES])
        features = {_text(kind): _text(name) for kind, name in document["features"].items()}
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise _refused("it is none") from error
    return Judgement(grid=grid, pictures=pictures, features=features)


def _row(each: Judged) -> list[Any]:
    cell = each.cell
    return [cell.file, cell.weight, cell.prompt, cell.seed, each.width, each.height, each.scores]


def _picture(row: list[Any], grid: Grid) -> Judged:
    file, weight, prompt, seed, width, height, scores = row
    if not (-1 <= file < len(grid.files) and 0 <= prompt < len(grid.prompts)):
        raise ValueError("a picture of nothing in the grid")
    return Judged(
        cell=Cell(int(file), _number(weight), int(prompt), _count(seed)),
        width=_count(width),
        height=_count(height),
        scores={_text(name): _number(value) for name, value in scores.items()},
    )


def _prompt(fields: dict[str, Any]) -> GridPrompt:
    texts = {name: _text(fields[name]) for name in ("text", "negative", "plain")}
    return GridPrompt(role=Role(fields["role"]), **texts)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return clean(value, _MAX_CHARS)


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) <= MAX_NUMBER:
        raise TypeError
    return float(value)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_INT:
        raise TypeError
    return value


def _refused(why: str) -> ProtocolError:
    return ProtocolError(
        f"the judgement can't be read: {why}", fix="try the files out again: loratui test", code="judgement.damaged"
    )
