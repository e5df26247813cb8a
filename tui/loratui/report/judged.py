"""What trying files out showed, as sections of the report: pictures, curves, every score apart, the prompts."""

from collections.abc import Mapping, Sequence

from loratui.domain.library import MOST_STARS
from loratui.domain.lora_snippets import snippets_of
from loratui.domain.run import RunView
from loratui.report import html, tried
from loratui.report.judgement_zip import JudgementZip
from loratui.report.score_chart import MAX_CURVES, Curve, Point, score_chart
from loratui.report.tried import Tried
from loratui.report.tried_grid import ROLES, grid
from loratui_protocol.judging.advice import advise, pairs_in, pairs_of
from loratui_protocol.judging.grid import spread
from loratui_protocol.judging.judgement import Judgement
from loratui_protocol.judging.scores import SCORES

_BASE = "without the LoRA"
_MODELS = {"dino": "DINO", "clip": "CLIP", "exact": "the exact rules of the built-in concept"}
_NEEDS = {"prompt": "clip", "concept": "exact", "artefacts": ""} | dict.fromkeys(
    ("likeness", "copying", "diversity", "bleed", "resisted"), "dino"
)
_WHY_NOT = {
    "dino": "no model that sees likeness was there (evaluate_dino)",
    "clip": "no model that knows texts and pictures was there (evaluate_clip)",
    "exact": "it was trained on no built-in concept",
}
_NOTHING_TO_TELL = "nothing that was drawn, or no training picture, tells it"


def sections(view: RunView, judged: JudgementZip | None, trigger: str, stars: Mapping[str, int]) -> list[str]:
    """Return the sections, empty ones for what was not done. Without a judgement the run's events have the scores."""
    judgement = judged.judgement if judged else None
    rows = tried.of_judgement(judgement) if judgement else tried.of_events(view.scores)
    if not rows:
        return []
    names = tried.measured(rows)
    return [
        html.section("The files tried out", grid(judged, rows) if judged else ""),
        advice_section(view, judgement, trigger),
        html.section("Scores", _measured_with(judgement), _table(rows, names, stars), _explained(names, judgement)),
        html.section("Scores over steps and weights", _curves(rows, names)),
        html.section("Prompts used", _prompts(judgement) if judgement else ""),
    ]


def advice_section(view: RunView, judgement: Judgement | None, trigger: str) -> str:
    """Return which file at which weight the scores speak for, each step of the way there, and what to type for it."""
    advised = advise(pairs_in(judgement) if judgement else pairs_of(view.scores))
    best = advised.advised
    front = ", ".join(pair.told for pair in advised.pairs if advised.is_on_front(pair))
    snippets = snippets_of(best.name, trigger, best.weight) if best else None
    return html.section(
        "What the scores advise",
        # A file's name stays as it is.
        html.paragraph(
            f"{advised.sentence if best else advised.sentence[:1].upper() + advised.sentence[1:]}.", "verdict"
        ),
        html.table(
            ((stage.score and SCORES[stage.score].title) or "the earliest", stage.says) for stage in advised.stages
        ),
        html.table(("not measured", lack) for lack in advised.lacks if best),
        html.paragraph(f"No other file and weight is as good in every score as: {front}.", "faint") if front else "",
        html.table([("A1111, Forge", snippets.prompt), ("ComfyUI", snippets.comfyui)]) if snippets else "",
        html.paragraph("It is advice: nothing was picked, and your eyes may say otherwise.", "faint"),
    )


def _measured_with(judgement: Judgement | None) -> str:
    if judgement is None or not judgement.features:
        return ""
    used = (f"{_MODELS.get(kind, kind)} ({name})" for kind, name in judgement.features.items())
    return html.paragraph(f"Measured with {', '.join(used)}. Means of all prompts and seeds, ± one standard error.")


def _table(rows: Sequence[Tried], names: Sequence[str], stars: Mapping[str, int]) -> str:
    """Return every score of every file at every weight, and beside them what the user thinks of the file."""
    has_stars = any(row.file is not None and row.file.id in stars for row in rows)
    head = ("file", "weight", *(SCORES[name].title for name in names), *(["your stars"] if has_stars else []))
    order = {file.id: number for number, file in enumerate(tried.files_of(rows))}
    in_order = sorted(rows, key=lambda row: (order[row.file.id] if row.file else -1, row.weight))
    return html.columns(
        head,
        (
            (
                _called(row),
                f"{row.weight:g}" if row.file else "none",
                *(tried.said(row.means[name]) if name in row.means else "not measured" for name in names),
                *([_stars(stars.get(row.file.id if row.file else "", 0))] if has_stars else []),
            )
            for row in in_order
        ),
    )


def _stars(given: int) -> str:
    return f"{given} of {MOST_STARS}" if given else "not rated"


def _explained(names: Sequence[str], judgement: Judgement | None) -> str:
    """Return of every score what it says and what it does not, of those without figures why there are none."""
    features: Mapping[str, str] = judgement.features if judgement else {}
    known = [
        (SCORES[name].title, f"{'higher' if SCORES[name].better > 0 else 'lower'} is better", _meaning(name))
        for name in names
    ]
    missing = [
        (score.title, "not measured", _why_not(name, features, is_known=judgement is not None))
        for name, score in SCORES.items()
        if name not in names
    ]
    return html.table([*known, *missing])


def _meaning(name: str) -> str:
    return f"{SCORES[name].says}. Its limit: {SCORES[name].limit}."


def _why_not(name: str, features: Mapping[str, str], *, is_known: bool) -> str:
    needed = _NEEDS[name]
    if not is_known:
        return "the judgement itself is not on this machine, only its scores"
    return _WHY_NOT[needed] if needed and needed not in features and "exact" not in features else _NOTHING_TO_TELL


def _curves(rows: Sequence[Tried], names: Sequence[str]) -> str:
    """Return for each score a chart over the files' steps and one over the weights, where there are several."""
    charts = [chart for name in names for chart in (_over_steps(rows, name), _over_weights(rows, name)) if chart]
    if not charts:
        return ""
    many = max(len(tried.files_of(rows)), len(tried.weights_of(rows))) > MAX_CURVES
    some = f" Of more than {MAX_CURVES} curves as many evenly spread ones are drawn." if many else ""
    told = f"Each bar is one standard error to either side; without one there was one value.{some}"
    return '<div class="charts">\n' + "\n".join(charts) + "\n</div>" + html.paragraph(told, "faint")


def _over_steps(rows: Sequence[Tried], name: str) -> str:
    files = tried.files_of(rows)
    places = tried.places(files)
    weights = [weight for weight in tried.weights_of(rows) if weight]
    curves = [
        Curve(
            f"weight {weight:g}",
            [
                Point(places[row.file.id], row.means[name].value, row.means[name].error)
                for row in rows
                if row.file and row.weight == weight and name in row.means
            ],
        )
        for weight in (weights[index] for index in spread(len(weights), MAX_CURVES))
    ]
    of = "step" if any(place > len(files) for place in places.values()) else "file, in its order"
    return score_chart(curves, f"{SCORES[name].title} by {of.partition(',')[0]}", of)


def _over_weights(rows: Sequence[Tried], name: str) -> str:
    files = tried.files_of(rows)
    curves = [
        Curve(
            f"step {file.step}" if file.step else file.name,
            [
                Point(row.weight, row.means[name].value, row.means[name].error)
                for row in rows
                if (row.file is None or row.file.id == file.id) and name in row.means
            ],
        )
        for file in (files[index] for index in spread(len(files), MAX_CURVES))
    ]
    return score_chart(curves, f"{SCORES[name].title} by weight", "weight")


def _prompts(judgement: Judgement) -> str:
    return html.table(
        (
            ROLES[prompt.role],
            prompt.text + (f"; negative prompt: {prompt.negative}" if prompt.negative else ""),
        )
        for prompt in judgement.grid.prompts
    )


def _called(row: Tried) -> str:
    if row.file is None:
        return _BASE
    return f"{row.file.name}, step {row.file.step}" if row.file.step else row.file.name
