"""Write docs/findings.md from the code: write_findings_docs.py.

What a finding says stands where it is made and nowhere else; here its code, text and fix are read from there. A test
fails when the file is not up to date, or when a code is made in a way that is not understood here.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loratui.preflight.fixes import FIXES

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "findings.md"
SOURCES = ("protocol", "tui", "agent")
AREAS = {
    "config": "The config",
    "dataset": "Folders and files of a dataset",
    "picture": "Pictures",
    "caption": "Captions",
    "plan": "The plan",
    "model": "The base model",
    "preset": "Presets",
}
CODE = re.compile(rf"({'|'.join(AREAS)})\.[a-z][a-z0-9_]*")
FILES = (".json", ".toml", ".onnx", ".safetensors")
"""Ends of names that look like codes and are those of files."""
_MAX_NAMES = 2
"""Names that are followed to what they stand for."""
SEVERITIES = ("error", "warning", "info")

INTRODUCTION = """\
# Findings

<!-- Written by scripts/write_findings_docs.py from the places where findings are made. -->

What `loratui check`, `plan` and `train` say of a config, a dataset or a base model. A code is stable: an
**error** can't be trained, or is certainly wrong; a **warning** trains, and result or cost suffer; an **info** is worth
knowing. `{…}` stands for what is filled in. What `check --fix` mends by itself is marked *fixable*.

`check --json` prints one object. Each of its `findings` has `code`, `severity`, `what`, `fix`, `path` (what it is
about), `fixable`, and where it counts pictures or captions `paths`: all of them, relative to their dataset's folder, up
to 1,000, and in `num_paths` how many there are. `plan` and `buckets` are those of the last config that was given, as
far as it can be trained, without the `left_out` pictures that can't. The exit status is 1 where there is an error, and
2 where a path that was given is not there.
"""


@dataclass(frozen=True, slots=True)
class Made:
    """One place where a finding is made, or an error that ``check`` shows as one."""

    code: str
    severity: str
    what: str
    fix: str
    is_fixable: bool


def sources() -> Iterator[Path]:
    """Yield all modules of the product."""
    for source in SOURCES:
        yield from sorted((ROOT / source).rglob("*.py"))


def used_codes() -> set[str]:
    """Return every code that stands in the source as a text of its own, but for those of whole kinds of errors."""
    return {
        node.value
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if CODE.fullmatch(node.value) and not node.value.endswith((*FILES, ".invalid"))
    }


def made() -> list[Made]:
    """Return the findings of all modules, in no order."""
    return [finding for path in sources() for finding in _Module(ast.parse(path.read_text("utf-8"))).made()]


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef)


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a scope, and of those within it only where they begin."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, _SCOPES):
            yield from _own(child)


def _assigned(nodes: list[ast.AST]) -> dict[str, list[ast.expr]]:
    """Return what each name is set to, in the order of the lines."""
    found: dict[str, list[ast.expr]] = defaultdict(list)
    for node in nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id].append(node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found[node.target.id].append(node.value)
    return {name: sorted(values, key=lambda value: value.lineno) for name, values in found.items()}


def _at(named: dict[str, list[ast.expr]], line: int) -> dict[str, ast.expr]:
    """Return what each name stands for in a line: what it was set to last before it, or else first."""
    return {
        name: next((value for value in reversed(values) if value.lineno <= line), values[0])
        for name, values in named.items()
    }


class _Module:
    """Reads one module: its calls, and what the names in them stand for."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._named: dict[str, ast.expr] = {}
        self._defaults = {
            node.name: default.value
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef)
            for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            if argument.arg == "severity" and isinstance(default, ast.Constant)
        }

    def made(self) -> Iterator[Made]:
        yield from self._within(self._tree, {})

    def _within(self, scope: ast.AST, outer: dict[str, list[ast.expr]]) -> Iterator[Made]:
        """Yield what is made in a module or function, whose own names come before those around it."""
        inner = list(_own(scope))
        named = {**outer, **_assigned(inner)}
        self._named = {name: values[0] for name, values in named.items()}
        around = self._severities_of_code(inner)
        for node in inner:
            self._named = _at(named, getattr(node, "lineno", 0))
            if isinstance(node, ast.Call):
                yield from self._of_call(node)
            elif isinstance(node, ast.Tuple):
                yield from self._of_row(node, around)
        for node in inner:
            if isinstance(node, _SCOPES):
                yield from self._within(node, named)

    def _of_call(self, call: ast.Call) -> Iterator[Made]:
        named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        rest = list(call.args)
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        codes = self._codes(named["code"]) if "code" in named else []
        if not codes:
            # What stands before it is what the finding is about.
            at = next((index for index, part in enumerate(rest) if self._codes(part)), len(rest))
            codes, rest = [code for part in rest[at : at + 1] for code in self._codes(part)], rest[at + 1 :]
        if not codes:
            return
        severities = [each for each in self._texts(named.get("severity")) if each in SEVERITIES]
        if not severities:
            severities = [each for part in rest for each in self._texts(part) if each in SEVERITIES]
            rest = [part for part in rest if not set(self._texts(part)) & set(SEVERITIES)]
        if not severities and name in self._defaults:
            severities = [self._defaults[name]]
        if not severities:
            severities = [
                "warning"
                if "warn" in name.lower()
                else "info"
                if any(word in name for word in ("info", "tell", "note"))
                else "error"
            ]
        rest = [part for part in rest if self._is_text(part)] or rest
        whats = named.get("what") or named.get("message") or (rest[0] if rest else None)
        fixes = named.get("fix") or (rest[1] if len(rest) > 1 else None)
        fixable = named.get("fixable")
        is_fixable = fixable is not None and not (isinstance(fixable, ast.Constant) and not fixable.value)
        if whats is None:
            return
        for code in codes:
            yield Made(code, "/".join(severities), self._text(whats), self._text(fixes), is_fixable)

    def _of_row(self, row: ast.Tuple, severities_around: list[str]) -> Iterator[Made]:
        """Read a row of a table of findings: its code, how bad it is, and what it means."""
        texts = [text for part in row.elts for text in self._texts(part)]
        severities = [each for each in texts if each in SEVERITIES] or severities_around
        if severities:
            rest = [each for each in texts if each not in SEVERITIES and not CODE.fullmatch(each)]
            for code in (each for each in texts if CODE.fullmatch(each)):
                yield Made(code, "/".join(severities), "".join(rest[:1]), "".join(rest[1:][-1:]), is_fixable=False)

    def _severities_of_code(self, nodes: list[ast.AST]) -> list[str]:
        """Return how bad a scope calls what it makes with a variable ``code``."""
        calls = [node for node in nodes if isinstance(node, ast.Call)]
        parts = [[*call.args, *(keyword.value for keyword in call.keywords)] for call in calls]
        made = [each for each in parts if any(isinstance(part, ast.Name) and part.id == "code" for part in each)]
        return [text for each in made for part in each for text in self._texts(part) if text in SEVERITIES]

    def _is_text(self, node: ast.expr, depth: int = 0) -> bool:
        if isinstance(node, ast.Name) and node.id in self._named and depth < _MAX_NAMES:
            return self._is_text(self._named[node.id], depth + 1)
        if isinstance(node, ast.BinOp):
            return self._is_text(node.left, depth) or self._is_text(node.right, depth)
        if isinstance(node, ast.IfExp):
            return self._is_text(node.body, depth) or self._is_text(node.orelse, depth)
        return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))

    def _codes(self, node: ast.expr) -> list[str]:
        return [text for text in self._texts(node) if CODE.fullmatch(text) and not text.endswith(FILES)]

    def _texts(self, node: ast.expr | None, depth: int = 0) -> list[str]:
        """Return the texts that an expression may be."""
        if isinstance(node, ast.Constant):
            return [node.value] if isinstance(node.value, str) else []
        if isinstance(node, ast.IfExp):
            return [*self._texts(node.body, depth), *self._texts(node.orelse, depth)]
        if isinstance(node, ast.Name) and node.id in self._named and depth < _MAX_NAMES:
            return self._texts(self._named[node.id], depth + 1)
        return []

    def _text(self, node: ast.expr | None, depth: int = 0) -> str:
        """Return a text as a person reads it, with ``{…}`` for what is filled in."""
        if isinstance(node, ast.Constant):
            return str(node.value) if isinstance(node.value, str) else ""
        if isinstance(node, ast.JoinedStr):
            return "".join(self._text(part, depth) for part in node.values)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._text(node.left, depth) + self._text(node.right, depth)
        if isinstance(node, ast.IfExp):
            return self._text(node.body, depth) or self._text(node.orelse, depth)
        if isinstance(node, ast.FormattedValue):
            return _plural(node.value) or "{" + _name_of(node.value) + "}"
        if isinstance(node, ast.Name) and node.id in self._named and depth < _MAX_NAMES:
            return self._text(self._named[node.id], depth + 1)
        return "" if node is None else "{" + _name_of(node) + "}"


def _plural(node: ast.expr) -> str:
    """Return what stands for a number of things, and what they do; nothing if it is something else."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("plural", "counted")):
        return ""
    number, *rest = node.args
    words = [part.value for part in rest if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    # Of what one does and several do, the latter; what "counted" is told is what pictures are.
    things = ["pictures are", *words] if node.func.id == "counted" else [f"{words[0]}s", *words[2:]]
    return " ".join(["{" + _name_of(number) + "}", *things])


def _name_of(node: ast.expr) -> str:
    """Return a short word for an expression: its last name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Call):
        is_len = isinstance(node.func, ast.Name) and node.func.id == "len"
        return "number" if is_len else _name_of(node.args[0]) if node.args else "…"
    if isinstance(node, ast.Subscript):
        return _name_of(node.value)
    return "…"


def document() -> str:
    """Return the whole of docs/findings.md."""
    by_code: dict[str, list[Made]] = defaultdict(list)
    for each in made():
        by_code[each.code].append(each)
    parts = [INTRODUCTION]
    for area, title in AREAS.items():
        codes = sorted(code for code in by_code if code.startswith(f"{area}."))
        if codes:
            parts.append(f"\n## {title}\n\n" + "\n".join(_entry(code, by_code[code]) for code in codes) + "\n")
    return "".join(parts)


def _entry(code: str, places: list[Made]) -> str:
    severities = {each for place in places for each in place.severity.split("/")}
    told = " or ".join(each for each in SEVERITIES if each in severities)
    fixable = ", *fixable*" if code in FIXES or any(place.is_fixable for place in places) else ""
    texts = list(dict.fromkeys((_shown(place.what), _shown(place.fix)) for place in places))
    lines = [f"  - {what}" + (f" → {fix}" if fix else "") for what, fix in texts if what]
    return "\n".join([f"- **`{code}`** ({told}{fixable})", *lines])


def _shown(text: str) -> str:
    # Headings and lists must not begin in the middle of an entry.
    return re.sub(r"([<>*|])", r"\\\1", " ".join(text.split()))


if __name__ == "__main__":
    DOCUMENT.write_text(document(), "utf-8")
    sys.stdout.write(f"{DOCUMENT.relative_to(ROOT)}: {len({each.code for each in made()})} codes\n")
