"""The two lists of the data screen: the pictures with their captions, and what was found of them."""

from collections.abc import Mapping, Sequence

from loratui.domain.finding_filter import lets_through
from loratui.sessions.dataset import Found, Listed
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, cut, pad, wrap
from loratui.ui.widgets.list_pane import ListPane

ROLES = {"error": Role.ALARM, "warning": Role.WARN, "info": Role.DIM}
_RANKS = {"error": 0, "warning": 1, "info": 2}
_WORD = 8
_SIZE = 10
_CODE = 26
_COUNT = 5
_HEAD_LINES = 6
_CHARS_FOR_A_CELL = 8
"""Of a text that may be very long so many are looked at: combining characters take no cell of their own."""


def shortened(text: str, limit: int) -> str:
    """Return the beginning of a text of any length in ``limit`` cells."""
    return cut(text[: limit * _CHARS_FOR_A_CELL], limit)


class PictureList(ListPane[Listed]):
    """All pictures by name, or those of one finding, which then stands over them."""

    findings: Mapping[str, tuple[Found, ...]] = {}
    """What was found of each picture, the gravest first."""
    only: Found | None = None
    """The finding whose pictures are shown; None: all are."""
    grammar = "words, error, warning, missing, code:caption, tokens>75, width<512, height>=768"
    trouble = ""
    """Why there are none."""
    doing = ""
    """What of them is under way."""
    next: Sequence[Span] = ()
    """What comes next; empty: that isn't known yet."""

    def name_of(self, entry: Listed) -> str:
        """Return its name in the folder."""
        return entry.name

    def yanked(self, entry: Listed) -> str:
        """Return where it is."""
        return str(entry.path)

    def matches(self, entry: Listed, query: str) -> bool:
        """Look in name, caption and state, and by what was found."""
        found = self.findings.get(entry.name, ())
        kinds = {each.finding.severity for each in found} | {entry.state}
        codes = [each.finding.code for each in found]
        width, height = entry.size or (None, None)
        figures = {"width": width, "height": height, "tokens": entry.num_tokens}
        words = f"{entry.name} {entry.caption} {entry.state}".lower()
        return lets_through(query, words, kinds=kinds, codes=codes, figures=figures)

    def heading(self, _: Frame) -> list[Span]:
        """Return what is listed."""
        about = "pictures" if self.only is None else f"pictures of {self.only.finding.code}"
        return [(about, Role.TITLE)]

    def remark(self, _: Frame) -> str:
        """Return how far the check is."""
        return self.doing

    def head(self, _: Frame, width: int) -> list[Row]:
        """Return the finding and its fix, or what comes next."""
        return _head(self.next) if self.only is None else finding_rows(self.only, width, _HEAD_LINES)

    def nothing(self, frame: Frame) -> list[Row]:
        """Return the finding that is of no picture, why there is none, or how to begin."""
        if self.only is not None:
            whole = finding_rows(self.only, self.size.width, self.size.height - 3)
            return [*whole, [(" It is about no picture of its own.", Role.DIM)]]
        if self.trouble:
            return [[(f" {line}", Role.WARN)] for line in wrap(f"! {self.trouble}", self.size.width - 2)]
        if self.doing:
            return [[(" looking…", Role.DIM)]]
        return _how_to_begin(frame)

    def entry_row(self, entry: Listed, width: int) -> Row:
        """Return the gravest word of it, name, size and the beginning of the caption."""
        found = self.findings.get(entry.name, ())
        word = found[0].finding.severity if found else ""
        name = min(28, width // 3)
        size = "?" if entry.size is None else "x".join(map(str, entry.size))
        row: Row = [
            *pad([(word, ROLES.get(word, Role.TEXT))], _WORD),
            *pad([(shortened(entry.name, name), Role.STRONG)], name),
            *pad([(f" {size:>{_SIZE - 1}} ", Role.DIM)], _SIZE + 1),
        ]
        if entry.state:
            row.append((f"{entry.state} ", Role.WARN))
        return [*row, (shortened(entry.caption, width), Role.TEXT)]


class FindingList(ListPane[Found]):
    """What was found, the gravest first."""

    grammar = "words, error, warning, code:caption, pictures>3"
    is_read = False
    """Whether a check has come to its end."""
    doing = ""
    next: Sequence[Span] = ()

    def name_of(self, entry: Found) -> tuple[str, str]:
        """Return what it is and what file it is about: its figures may change."""
        return entry.finding.code, entry.finding.path

    def yanked(self, entry: Found) -> str:
        """Return what was found, and what to do."""
        return f"{entry.finding.code}: {entry.finding.what}. {entry.finding.fix}".removesuffix(" ")

    def matches(self, entry: Found, query: str) -> bool:
        """Look in code, fact and fix, and for its severity."""
        finding = entry.finding
        kinds = {finding.severity, "missing" if finding.code == "dataset.no_caption" else ""}
        words = f"{finding.code} {finding.what} {finding.fix}".lower()
        figures = {"pictures": len(entry.names)}
        return lets_through(query, words, kinds=kinds, codes=[finding.code], figures=figures)

    def heading(self, _: Frame) -> list[Span]:
        """Return the name of the list."""
        return [("findings", Role.TITLE)]

    def remark(self, _: Frame) -> str:
        """Return how far the check is."""
        return self.doing

    def head(self, _: Frame, width: int) -> list[Row]:  # noqa: ARG002 - the same in all widths
        """Return what comes next."""
        return _head(self.next)

    def nothing(self, _: Frame) -> list[Row]:
        """Return that all is well, if that is known."""
        if not self.is_read:
            return [[(" not checked yet", Role.DIM)]]
        return [[(" Nothing is wrong with these pictures and captions.", Role.GOOD)], *_head(self.next)]

    def entry_row(self, entry: Found, width: int) -> Row:
        """Return how grave it is, how many pictures it is about, its code and what it says."""
        finding = entry.finding
        code = min(_CODE, width // 3)
        count = str(len(entry.names)) if entry.names else "-"
        return [
            *pad([(finding.severity, ROLES[finding.severity])], _WORD),
            *pad([(f"{count:>{_COUNT - 1}} ", Role.TEXT)], _COUNT),
            *pad([(finding.code, Role.STRONG)], code),
            (" ", Role.TEXT),
            (shortened(finding.what, width), Role.TEXT),
        ]


def _head(row: Sequence[Span]) -> list[Row]:
    return [[*row]] if row else []


def gravest_first(found: tuple[Found, ...]) -> tuple[Found, ...]:
    """Return the findings by how grave they are."""
    return tuple(sorted(found, key=lambda each: _RANKS[each.finding.severity]))


def finding_rows(found: Found, width: int, limit: int) -> list[Row]:
    """Return what a finding says and what to do, in at most so many rows of which the fix gets its share."""
    finding = found.finding
    facts = wrap(f"{finding.severity}: {finding.what}", width - 2)
    fix = wrap(f"what to do: {finding.fix}", width - 2) if finding.fix else []
    for_facts = max(limit - len(fix), limit // 2)
    rows: list[Row] = [[(f" {line}", ROLES[finding.severity])] for line in facts[:for_facts]]
    return rows + [[(f" {line}", Role.TEXT)] for line in fix[: limit - len(rows)]]


def _how_to_begin(frame: Frame) -> list[Row]:
    return [
        [(" No folder is open.", Role.STRONG)],
        [],
        [
            (f" {frame.keys.name_of('data_folder')} ", Role.KEY),
            ("opens a folder of pictures, or a config that names one.", Role.TEXT),
        ],
        [(" Each picture has a text file of its name beside it: its caption.", Role.DIM)],
    ]
