"""Write docs/findings.md from the code: write_findings_docs.py.

What a finding says stands where it is made and nowhere else; here its code, text and fix are read from there. A test
fails when the file is not up to date, or when a code is made in a way that is not understood here.
"""

import ast
import contextlib
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

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
    "lora": "LoRA files",
    "evaluate": "Trying files out",
}
CODE = re.compile(rf"({'|'.join(AREAS)})\.[a-z][a-z0-9_]*")
FILES = (".json", ".toml", ".onnx", ".safetensors")
"""Ends of names that look like codes and are those of files."""
_FILLED_IN = re.compile(r"\{[^}]*\}")
_MAX_NAMES = 2
"""Names that are followed to what they stand for."""
SEVERITIES = ("error", "warning", "info")

INTRODUCTION = """\
# Findings

<!-- Written by scripts/write_findings_docs.py from the places where findings are made. -->

What `loratui check`, `plan` and `train` say of a config, a dataset, a base model or a LoRA. A code is stable: an
**error** can't be trained, or is certainly wrong; a **warning** trains, and result or cost suffer; an **info** is worth
knowing. `{…}` stands for what is filled in. What `check --fix` mends by itself is marked *fixable*.

`check --json` prints one object. Each of its `findings` has `code`, `severity`, `what`, `fix`, `path` (what it is
about), `fixable`, and where it counts pictures or captions `paths`: all of them, relative to their dataset's folder, up
to 1,000, and in `num_paths` how many there are. `loras` has what is
known of each LoRA file (base model, parts, ranks, norms by block, trigger, how it is called in prompts). `plan` and
`buckets` are those of the last config that was given, as
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


@cache
def trees() -> tuple[ast.Module, ...]:
    """Return all modules of the product, parsed."""
    paths = (path for source in SOURCES for path in sorted((ROOT / source).rglob("*.py")))
    return tuple(ast.parse(path.read_text("utf-8")) for path in paths)


def used_codes() -> set[str]:
    """Return every code that stands in the source as a text of its own, but for those of whole kinds of errors."""
    return {
        node.value
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if CODE.fullmatch(node.value) and not node.value.endswith((*FILES, ".invalid"))
    }


@cache
def made() -> list[Made]:
    """Return the findings of all modules, in no order."""
    constants = {name: value for tree in trees() for name, value in _constants(tree)}
    return [finding for tree in trees() for finding in _Module(tree, constants).made()]


def _constants(tree: ast.Module) -> Iterator[tuple[str, object]]:
    """Yield what a module calls by a name in capitals, as far as it is written out there."""
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [part.id for each in targets for part in ast.walk(each) if isinstance(part, ast.Name)]
        if not all(name.isupper() for name in names):
            continue
        # Of a table what can be chosen from are its keys.
        value = ast.Tuple([key for key in node.value.keys if key]) if isinstance(node.value, ast.Dict) else node.value
        with contextlib.suppress(ValueError, TypeError):
            found = ast.literal_eval(value)
            yield from zip(names, found if len(names) > 1 else (found,), strict=False)


_SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "x", ast.Div: "/"}
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

    def __init__(self, tree: ast.Module, constants: Mapping[str, object]) -> None:
        self._tree = tree
        # Of two modules that share a name each has its own.
        self._constants = {**constants, **dict(_constants(tree))}
        self._fields = {node.name: _fields(node) for node in tree.body if isinstance(node, ast.ClassDef)}
        self._named: dict[str, ast.expr] = {}
        self._passed: list[str] = []
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
        around = self._of_code(inner)
        if isinstance(scope, _SCOPES):
            self._passed = self._severities_passed_to(scope.name)
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
        named |= dict(zip(self._fields.get(name, ()), call.args, strict=False))
        severities = [each for each in self._texts(named.get("severity")) if each in SEVERITIES]
        if not severities and isinstance(named.get("severity"), ast.Name):
            severities = self._passed
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
        whats = named.get("what") or named.get("message") or named.get("several") or (rest[0] if rest else None)
        fixes = named.get("fix") or (rest[1] if len(rest) > 1 else None)
        fixable = named.get("fixable")
        is_fixable = fixable is not None and not (isinstance(fixable, ast.Constant) and not fixable.value)
        if whats is None:
            return
        for code in codes:
            yield Made(code, "/".join(severities), self._text(whats), self._text(fixes), is_fixable)

    def _of_row(self, row: ast.Tuple, around: tuple[list[str], str]) -> Iterator[Made]:
        """Read a row of a table of findings: its code, how bad it is, and what it means."""
        texts = [text for part in row.elts for text in self._texts(part)]
        severities = [each for each in texts if each in SEVERITIES] or around[0]
        if severities:
            rest = [each for each in texts if each not in SEVERITIES and not CODE.fullmatch(each)]
            for code in (each for each in texts if CODE.fullmatch(each)):
                fix = "".join(rest[1:][-1:]) or around[1]
                yield Made(code, "/".join(severities), "".join(rest[:1]), fix, is_fixable=False)

    def _severities_passed_to(self, function: str) -> list[str]:
        calls = [node for node in ast.walk(self._tree) if isinstance(node, ast.Call)]
        to_it = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == function]
        parts = [part for call in to_it for part in (*call.args, *(keyword.value for keyword in call.keywords))]
        return [text for part in parts for text in self._texts(part) if text in SEVERITIES]

    def _of_code(self, nodes: list[ast.AST]) -> tuple[list[str], str]:
        """Return how bad a scope calls what it makes with a variable ``code``, and what it says is to be done."""
        calls = [node for node in nodes if isinstance(node, ast.Call)]
        parts = [[*call.args, *(keyword.value for keyword in call.keywords)] for call in calls]
        made = [each for each in parts if any(isinstance(part, ast.Name) and part.id == "code" for part in each)]
        severities = [text for each in made for part in each for text in self._texts(part) if text in SEVERITIES]
        texts = [[part for part in each if self._is_text(part)] for each in made]
        written = [[part for part in each if not set(self._texts(part)) & set(SEVERITIES)] for each in texts]
        fixes = [self._text(each[-1]) for each in written if len(each) > 1]
        return severities, "".join(fixes[:1])

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
            return self._filled_in(node)
        if isinstance(node, ast.Name) and node.id in self._named and depth < _MAX_NAMES:
            return self._text(self._named[node.id], depth + 1)
        return "" if node is None else "{" + _name_of(node) + "}"

    def _filled_in(self, node: ast.FormattedValue) -> str:
        """Return what stands for a value in a text: itself where it is always the same, else a word in braces."""
        value = node.value
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "_where":
            return ""
        if isinstance(value, ast.IfExp) and self._is_text(value):
            return self._text(value)
        known = self._value(value)
        if known is None:
            return _plural(value) or "{" + _name_of(value) + "}"
        spec = self._text(node.format_spec) if node.format_spec else ""
        return format(known, spec) if isinstance(known, int | float | str) else ", ".join(map(str, known))

    def _value(self, node: ast.expr) -> Any:
        """Return what an expression always is, as far as constants say it; None: that depends."""
        if isinstance(node, ast.Name):
            return self._constants.get(node.id)
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Subscript):
            held, index = self._value(node.value), self._value(node.slice)
            return held[index] if isinstance(held, list | tuple) and isinstance(index, int) else None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "join":
            held = self._value(node.args[0])
            return held if isinstance(held, list | tuple) and all(isinstance(each, str) for each in held) else None
        return None


def _fields(node: ast.ClassDef) -> list[str]:
    """Return what a class of values calls them, in their order."""
    found = (part.target for part in node.body if isinstance(part, ast.AnnAssign))
    return [target.id for target in found if isinstance(target, ast.Name)]


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
    if isinstance(node, ast.Name | ast.Attribute):
        name = (node.id if isinstance(node, ast.Name) else node.attr).strip("_")
        return name.lower().replace("_", " ") if name.isupper() else name or "…"
    if isinstance(node, ast.Call):
        is_len = isinstance(node.func, ast.Name) and node.func.id == "len"
        if isinstance(node.func, ast.Attribute) and all(isinstance(part, ast.Constant) for part in node.args):
            # What a text's own method makes of it.
            return _name_of(node.func.value)
        return "number" if is_len else _name_of(node.args[0]) if node.args else "…"
    if isinstance(node, ast.Subscript):
        return _name_of(node.value)
    if isinstance(node, ast.GeneratorExp):
        return _name_of(node.generators[0].iter)
    if isinstance(node, ast.BoolOp):
        return _name_of(node.values[-1])
    if isinstance(node, ast.IfExp):
        return _name_of(node.orelse if isinstance(node.body, ast.Constant) else node.body)
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.BinOp):
        if isinstance(node.right, ast.Constant) and isinstance(node.right.value, str):
            return _name_of(node.left)
        return f"{_name_of(node.left)} {_SIGNS.get(type(node.op), '…')} {_name_of(node.right)}"
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
    telling = [(what, fix) for what, fix in texts if _FILLED_IN.sub("", what + fix)] or texts
    lines = [f"  - {what}" + (f" → {fix}" if fix else "") for what, fix in telling if what]
    return "\n".join([f"- **`{code}`** ({told}{fixable})", *lines])


def _shown(text: str) -> str:
    # Headings and lists must not begin in the middle of an entry.
    return re.sub(r"([<>*|])", r"\\\1", " ".join(text.split()))


if __name__ == "__main__":
    DOCUMENT.write_text(document(), "utf-8")
    sys.stdout.write(f"{DOCUMENT.relative_to(ROOT)}: {len({each.code for each in made()})} codes\n")
