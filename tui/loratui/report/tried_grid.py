"""The grid of a judgement: each picture once in the page, chosen by sliders for file and weight and by prompt."""

import json
from collections.abc import Sequence
from html import escape

from loratui.report import html, thumbnails
from loratui.report.judgement_zip import JudgementZip
from loratui.report.tried import Tried, said
from loratui_protocol.judging.grid import Cell, TriedFile
from loratui_protocol.judging.judgement import Judged
from loratui_protocol.judging.prompts import GridPrompt, Role
from loratui_protocol.judging.scores import SCORES, scores_told

MAX_SHOWN = 2_000
MAX_SHOWN_BYTES = 96 << 20
"""Of all pictures together, as they are in the page: a larger one opens slowly, or nowhere."""
_SIDE_PX, _SMALL_SIDE_PX = 320, 192
_MANY = 600
"""Of more pictures than this each is smaller."""
_TINY_PX = 128
"""Smaller pictures are enlarged without smoothing: what was drawn is what is seen."""
_USUAL_WEIGHT = 0.8
"""What is shown first: most LoRAs are used at about this weight."""
ROLES = {
    Role.START: "trigger first",
    Role.MIDDLE: "trigger in the middle",
    Role.END: "trigger last",
    Role.SCENE: "a scene",
    Role.WITHOUT: "without the trigger",
    Role.NEGATIVE: "trigger in the negative prompt",
    Role.TOGETHER: "with another LoRA",
}


def grid(judged: JudgementZip, rows: Sequence[Tried]) -> str:
    """Return the pictures with what chooses among them; nothing where none can be shown."""
    found = list({each.cell: each for each in judged.judgement.pictures}.values())
    pictures = _pictures(judged, found)
    shown = [each for each in found if each.cell in pictures]
    if not shown:
        return ""
    # Indices of what was drawn: a grid may name files and weights of which nothing is here.
    files = sorted({each.cell.file for each in shown if each.cell.file >= 0})
    weights = sorted({each.cell.weight for each in shown})
    prompts = sorted({each.cell.prompt for each in shown})
    groups: dict[tuple[int, float, int], list[Judged]] = {}
    for each in shown:
        groups.setdefault((each.cell.file, each.cell.weight, each.cell.prompt), []).append(each)
    means = {(row.file.id if row.file else "", row.weight): row for row in rows}
    shots = []
    for (file, weight, prompt), group in sorted(groups.items()):
        tried = judged.judgement.grid.files[file] if file >= 0 else None
        at = f"{files.index(file)} {weights.index(weight)} {prompt}" if file >= 0 else f"base {prompt}"
        row = means.get((tried.id if tried else "", weight))
        shots.append(_shot(at, tried, weight, judged.judgement.grid.prompts[prompt], row, group, pictures))
    grid_files = [judged.judgement.grid.files[file] for file in files]
    controls = _controls([_called(each) for each in grid_files], weights, prompts, judged.judgement.grid.prompts)
    left_out = _left_out(len(found), len(shown))
    every = html.folded(f"all {len(shown)} pictures", '<div class="shots">\n' + "\n".join(shots) + "\n</div>")
    return f'<div id="tried">\n{controls}\n{every}\n{left_out}\n</div>'


def _pictures(judged: JudgementZip, found: Sequence[Judged]) -> dict[Cell, bytes]:
    """Return the small pictures: in the order of the grid, which has all files and weights of a seed together."""
    side = _SIDE_PX if len(found) <= _MANY else _SMALL_SIDE_PX
    small: dict[Cell, bytes] = {}
    room = MAX_SHOWN_BYTES
    for each in found[:MAX_SHOWN]:
        content = judged.picture(each.cell)
        picture = thumbnails.small(content, side) if content else None
        if picture is None:
            continue
        written = thumbnails.as_jpeg(picture)
        room -= len(written) * 4 // 3
        if room < 0:
            break
        small[each.cell] = written
    return small


def _shot(
    at: str,
    file: TriedFile | None,
    weight: float,
    prompt: GridPrompt,
    row: Tried | None,
    group: Sequence[Judged],
    pictures: dict[Cell, bytes],
) -> str:
    of = f"{_called(file)} at weight {weight:g}" if file else "without the LoRA"
    means = row.means.items() if row else ()
    told = ", ".join(f"{SCORES[name].title} {said(mean)}" for name, mean in means if name in SCORES)
    kind = "tiny" if max(group[0].width, group[0].height) < _TINY_PX else ""
    figures = "\n".join(
        html.embedded(
            pictures[each.cell],
            "image/jpeg",
            f"seed {each.cell.seed}" + (f": {scores_told(each.scores)}" if each.scores else ""),
            kind,
        )
        for each in sorted(group, key=lambda each: each.cell.seed)
    )
    return (
        f'<article data-at="{at}">\n<h3>{escape(of)}</h3>\n{_asked(prompt)}\n'
        f'<div class="samples">\n{figures}\n</div>\n'
        + (html.paragraph(f"the means of all prompts: {told}", "faint") if told else "")
        + "</article>"
    )


def _asked(prompt: GridPrompt) -> str:
    negative = f"; negative prompt: {prompt.negative}" if prompt.negative else ""
    return html.paragraph(f"{ROLES[prompt.role]}: {prompt.text}{negative}", "faint")


def _controls(
    files: Sequence[str], weights: Sequence[float], prompts: Sequence[int], texts: Sequence[GridPrompt]
) -> str:
    usual = min(range(len(weights)), key=lambda index: abs(weights[index] - _USUAL_WEIGHT))
    options = "".join(
        f'<option value="{prompt}">{escape(f"{ROLES[texts[prompt].role]}: {texts[prompt].text}")}</option>'
        for prompt in prompts
    )
    return (
        '<form class="controls" autocomplete="off" hidden>\n'
        + _slider("file", "File", files or ["none"], max(0, len(files) - 1))
        + _slider("weight", "Weight", [f"{weight:g}" for weight in weights], usual)
        + f'<label><span>Prompt</span> <select name="prompt">{options}</select></label>\n'
        + '<label class="tick"><input type="checkbox" name="beside"> beside it what the base model draws</label>\n'
        + '<p class="missing faint" hidden>This was not drawn.</p>\n</form>'
    )


def _slider(name: str, title: str, labels: Sequence[str], chosen: int) -> str:
    told = escape(json.dumps(list(labels)))
    only = " disabled" if len(labels) < 2 else ""
    return (
        f'<label><span>{title}</span> <input type="range" name="{name}" min="0" max="{len(labels) - 1}" '
        f'value="{chosen}" data-labels="{told}"{only}> <output>{escape(labels[chosen])}</output></label>\n'
    )


def _called(file: TriedFile) -> str:
    return f"{file.name}, step {file.step}" if file.step else file.name


def _left_out(num_found: int, num_shown: int) -> str:
    left = num_found - num_shown
    if not left:
        return ""
    why = "a page with more would open slowly, or they could not be read"
    return html.paragraph(f"{left} of {num_found} pictures are not on this page: {why}.", "faint")
