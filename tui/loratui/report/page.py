"""Writes the report: verdict, contact sheet, scores, samples, loss, settings, files, cost and machine on one page."""

import json
import platform
import tomllib
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from loratui.domain import formatting, signals
from loratui.domain.learning import judged_files, verdict
from loratui.domain.run import RunView
from loratui.domain.run_files import newest_here
from loratui.report import dataset, html, judged
from loratui.report.chart import loss_chart
from loratui.report.judgement_zip import open_judgement
from loratui.report.sheets import write_sheets
from loratui.report.whole import write_whole
from loratui_protocol.codec import clean
from loratui_protocol.errors import LoratuiError, ProtocolError
from loratui_protocol.messages import ArtifactKind, Sample

_SMOOTHING = 0.05
MAX_SAMPLE_BYTES = 128 << 20
"""Of all samples together: a page that is larger opens nowhere."""
_MAX_HEADER_BYTES = 1 << 20
_OF_TRYING_OUT = frozenset(
    {"pretrained_model_name_or_path", "train_data_dir", "resolution", "trigger_word", "clip_skip"}
)
"""Keys that a judgement heeds beside its own; the others are defaults of a training that nobody asked for."""
_SCORES = {
    "concept_at_1": "new pictures that show the concept when the LoRA is used at weight 1",
    "concept_at_0": "the same prompts and seeds at weight 0: what the base model does by itself",
    "concept_without_trigger": "pictures that show the concept though nobody asked for it: bleeding",
    "skills_at_0": "prompts of the base model's own that it follows without the LoRA",
    "skills_at_1": "the same prompts with the LoRA at weight 1",
    "num_pictures": "pictures behind each share of the concept",
    "skills_kept": "the part of the base model's skill that the LoRA leaves intact",
}


def write(
    view: RunView,
    path: Path,
    *,
    config_toml: str,
    now_s: float,
    pictures: bool = False,
    stars: Mapping[str, int] | None = None,
) -> None:
    """Write the report of a run and its config to ``path``, whole or not at all. ``now_s``: monotonic, for the cost.

    ``pictures`` puts small copies of the training pictures and their captions into it, for whoever may see them.
    ``stars`` are the user's ratings of files, by artifact id: they stand beside the scores.

    Raises:
        StorageError: the file can't be written.
    """
    shown = _judged(view, _trigger(config_toml), stars or {})
    script = _resource("viewer.js") if any('id="tried"' in part for part in shown) else ""
    text = html.page(
        f"{view.name} - loratui",
        _resource("report.css"),
        _heading(view),
        html.section("Does it work?", _verdict(view), _contact_sheet(view), html.table(_scores(view))),
        *shown,
        html.section("Samples while it learned", _samples(view)),
        html.section("What it learns", _learning(view), html.table(_strength(view)), html.table(_taught(view))),
        html.section("Loss", _loss(view)),
        html.section("Training pictures", *dataset.summary(config_toml, pictures=pictures)),
        html.section("Settings", html.table(_settings(config_toml))),
        html.section(
            "Files", _best(view), html.table(_files(view)), html.folded("the LoRA file about itself", _header(view))
        ),
        html.section("Cost", html.table(_cost(view, now_s))),
        html.section("Warnings", html.table((warn.code, warn.message) for warn in view.warnings)),
        html.section("Machine", html.table(_machine(view))),
        script=script,
    )
    write_whole(
        path,
        text.encode("utf-8"),
        called="report",
        aside="; the run and its files are complete",
        again="loratui report",
    )


def write_contact_sheets(view: RunView, folder: Path) -> list[Path]:
    """Write contact sheets of the run's judgement into ``folder``; return them, none without one that can be read.

    Raises:
        StorageError: they can't be written.
    """
    path = newest_here(view, ArtifactKind.JUDGEMENT)
    if path is None:
        return []
    try:
        with open_judgement(path) as opened:
            return write_sheets(opened, folder)
    except ProtocolError:
        # The report says so.
        return []


def _resource(name: str) -> str:
    return files("loratui.report").joinpath(name).read_text(encoding="utf-8")


def _trigger(config_toml: str) -> str:
    try:
        return str(tomllib.loads(config_toml).get("save", {}).get("trigger_word", ""))
    except tomllib.TOMLDecodeError:
        return ""


def _judged(view: RunView, trigger: str, stars: Mapping[str, int]) -> list[str]:
    """Return what trying the files out showed; of a judgement that can't be read that, and what the run told."""
    path = newest_here(view, ArtifactKind.JUDGEMENT)
    if path is None:
        return judged.sections(view, None, trigger, stars)
    try:
        with open_judgement(path) as opened:
            return judged.sections(view, opened, trigger, stars)
    except LoratuiError as error:
        unread = html.section("The files tried out", html.paragraph(f"{error.what}."))
        return [unread, *judged.sections(view, None, trigger, stars)]


def _heading(view: RunView) -> str:
    when = "" if view.started_ts is None else f", started {_moment(view.started_ts)}"
    state = f"{view.state}: {view.detail}" if view.detail else str(view.state)
    # A run that tries files out has no steps.
    reached = f"step {view.step} of {view.total}, " if view.total else ""
    return html.heading(view.name) + html.paragraph(f"{state}; {reached}on {view.target}{when}", "faint")


def _verdict(view: RunView) -> str:
    return html.paragraph(view.evaluation.verdict, "verdict") if view.evaluation else ""


def _contact_sheet(view: RunView) -> str:
    sheet = newest_here(view, ArtifactKind.CONTACT_SHEET)
    if sheet is None:
        return ""
    return html.picture(sheet, "The same prompt with the LoRA at rising weights, a column for each seed.")


def _scores(view: RunView) -> list[tuple[str, str, str]]:
    scores = view.evaluation.scores if view.evaluation else {}
    return [
        (name.replace("_", " "), f"{value:g}" if name.startswith("num_") else f"{value:.0%}", _SCORES.get(name, ""))
        for name, value in scores.items()
    ]


def _samples(view: RunView) -> str:
    """Return the samples, a row for each prompt: first without the LoRA, then step by step."""
    # A resumed run says again what it had made.
    said = {sample.artifact_id: sample for sample in view.samples}
    rows: dict[int, list[tuple[Sample, str]]] = {}
    room, num_left_out = MAX_SAMPLE_BYTES, 0
    # The newest count most, and what they are compared with.
    for sample in sorted(said.values(), key=lambda each: (each.weight > 0, -each.step)):
        path = view.downloaded.get(sample.artifact_id) or view.downloaded.get(sample.thumbnail_id)
        if path is None:
            continue
        of = f"step {sample.step}" if sample.weight else "without the LoRA"
        picture = "" if num_left_out else html.picture(path, f"{of}: {sample.prompt} (seed {sample.seed})")
        if num_left_out or len(picture) > room:
            num_left_out += 1
        elif picture:
            room -= len(picture)
            rows.setdefault(sample.index, []).append((sample, picture))
    shown = []
    for _, row in sorted(rows.items()):
        in_order = sorted(row, key=lambda each: (each[0].weight > 0, each[0].step))
        shown.append('<div class="samples">\n' + "\n".join(picture for _, picture in in_order) + "\n</div>")
    if num_left_out:
        shown.append(
            html.paragraph(f"{num_left_out} older samples are not on this page; their files are kept.", "faint")
        )
    return "\n".join(shown)


def _learning(view: RunView) -> str:
    """Return how the error on pictures that are not trained on went, relative to its beginning."""
    looks = view.validations
    if len(looks) < 2 or not looks[0].loss or not looks[0].train_loss:
        return ""
    steps = [look.step for look in looks]
    trained = [look.train_loss / looks[0].train_loss for look in looks]
    chart = loss_chart(steps, trained, [look.loss / looks[0].loss for look in looks], "error by step")
    return chart + html.paragraph(
        f"{verdict(looks).sentence}. Bold: {looks[-1].num_pictures} pictures that are not trained on. Faint: as many "
        "that are. Both with the same noise every time, as shares of the first look.",
        "faint",
    )


def _strength(view: RunView) -> list[tuple[str, str, str]]:
    """Return how large the LoRA is, model by model and block by block."""
    if view.delta_norms is None:
        return []
    step = view.delta_norms.step
    says = f"the norm of the delta through that of the weights it is added to, after step {step}"
    blocks = list(view.delta_norms.relative.items())[: signals.MOST_NAMES]
    return [(f"delta norm: {name}", formatting.percent(share), says) for name, share in blocks]


def _taught(view: RunView) -> list[tuple[str, str]]:
    """Return how often pictures were shown, and with which learning rates at last."""
    if view.metrics is None:
        return []
    return [
        ("each picture was shown", signals.exposures(view.metrics)),
        ("learning rate x alpha / rank at the last step", signals.effective_lrs(view.metrics.effective_lr)),
    ]


def _loss(view: RunView) -> str:
    steps, values = view.series.steps, view.series.values
    chart = loss_chart(steps, values, view.series.ema(_SMOOTHING))
    if not chart:
        return ""
    lowest = f", lowest {formatting.loss(view.min_loss[0])} at step {view.min_loss[1]}" if view.min_loss else ""
    return chart + html.paragraph(
        f"Faint: measured at each step. Bold: moving average of about {1 / _SMOOTHING:.0f} steps. "
        f"Last {formatting.loss(view.loss)}{lowest}. It jumps with the noise of each step: a "
        "low loss alone does not say that the LoRA is good.",
        "faint",
    )


def _settings(config_toml: str) -> list[tuple[str, str]]:
    """Return the resolved config, one key a row; of files that are tried out what has to do with that."""
    rows = [
        (key, value)
        for name, section in tomllib.loads(config_toml).items()
        for key, value in (section.items() if isinstance(section, dict) else [(name, section)])
    ]
    if dict(rows).get("evaluate_loras"):
        rows = [(key, value) for key, value in rows if key in _OF_TRYING_OUT or key.startswith("evaluate_")]
    return [(key, clean(value if isinstance(value, str) else json.dumps(value, default=str))) for key, value in rows]


def _files(view: RunView) -> list[tuple[str, str, str]]:
    return [
        (artifact.name, formatting.size(artifact.size), f"sha256 {artifact.sha256}")
        for artifact in view.artifacts.values()
        if artifact.kind in (ArtifactKind.LORA, ArtifactKind.CHECKPOINT_LORA)
    ]


def _best(view: RunView) -> str:
    """Return which file did best on pictures that are not trained on, where several were judged."""
    judged = judged_files(view.artifacts.values(), view.validations)
    if len(judged) < 2:
        return ""
    best, look = judged[0]
    return html.paragraph(
        f"Best by validation: {best.name}, of step {look.step}. Its error on {look.num_pictures} pictures that are not "
        f"trained on is {look.loss:.4g}, the lowest of {len(judged)} files; the highest is {judged[-1][1].loss:.4g}."
    )


def _header(view: RunView) -> str:
    """Return the metadata in the LoRA file's own header as a table."""
    path = newest_here(view, ArtifactKind.LORA)
    if path is None:
        return ""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(min(length, _MAX_HEADER_BYTES))
    try:
        metadata = json.loads(text).get("__metadata__", {})
    except (ValueError, AttributeError, RecursionError):
        return ""
    return html.table((clean(name), _said(str(value))) for name, value in sorted(metadata.items()))


def _said(value: str) -> str:
    """Return a value of the metadata for a person; the thumbnail in it is no text."""
    return f"a picture, {len(value):,} characters" if value.startswith("data:image/") else clean(value, 2000)


def _cost(view: RunView, now_s: float) -> list[tuple[str, str]]:
    spent = view.spent(now_s)
    rows = [
        ("price", formatting.hourly_price(view.price_microusd_per_h)),
        ("spent", formatting.money(spent.value_microusd, exact=spent.exact)),
    ]
    if view.rental is not None:
        # It is written when the files are here; the rental ends after that.
        so_far = "" if view.rental.is_over else " so far"
        rows += [
            (f"rental{so_far}: {str(phase).replace('_', ' ')}", formatting.money(microusd))
            for phase, microusd in view.rental.phases.items()
        ]
        rows.append((f"rental{so_far}: of that, the disk", formatting.money(view.rental.disk_microusd)))
        rows.append(
            (f"rental{so_far}: traffic, as far as it was counted", formatting.money(view.rental.traffic_microusd))
        )
    if view.started_ts is not None and view.last_ts is not None:
        rows.append(("time", formatting.duration(view.last_ts - view.started_ts)))
    return rows


def _machine(view: RunView) -> list[tuple[str, str]]:
    rows = [("drawn on" if view.tries_out else "trained on", view.target)]
    if view.telemetry is not None:
        seen = view.telemetry
        rows.append(("GPU", seen.gpu_name or "none"))
        rows += [("memory of the GPU", formatting.gib(seen.vram_total_gib))] if seen.vram_total_gib else []
        rows += [("memory", formatting.gib(seen.ram_total_gib))] if seen.ram_total_gib else []
    if view.vram_gib is not None:
        rows.append(("GPU memory at the last step", formatting.gib(view.vram_gib)))
    if view.ram_gib is not None:
        rows.append(("trainer's memory at the last step", formatting.gib(view.ram_gib)))
    if view.it_s is not None:
        rows.append(("speed at the last step", formatting.speed(view.it_s)))
    if view.metrics is not None:
        rows.append(("pace of the last steps", signals.pace(view.metrics)))
    python = f"Python {platform.python_version()} on {platform.system()}"
    return [*rows, ("report by", f"loratui {version('loratui')}, {python}")]


def _moment(ts: float) -> str:
    return f"{datetime.fromtimestamp(ts).astimezone():%Y-%m-%d %H:%M %Z}"
