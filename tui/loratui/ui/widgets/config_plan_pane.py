"""What a config comes to while it is being changed."""

from collections.abc import Sequence

from loratui.domain import formatting
from loratui.domain.card_fit import CardFit
from loratui.sessions.config_plan import ConfigPlan, GpuTime
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, cut, wrap
from loratui.ui.widgets.config_findings import ORDER, SIGNS
from loratui.ui.widgets.pane import Pane
from loratui_protocol.findings import Finding

_NAME = 10
_MOST_ROWS_OF_A_FINDING = 3


class PlanPane(Pane):
    """What the config comes to, newest answer; an old one says that it is."""

    plan: ConfigPlan | None = None
    is_current = True
    is_written = True
    """Whether the file has all of it: else it has to be written before it can be trained."""

    def title(self, _: Frame) -> list[Span]:
        """Return the name."""
        return [("plan", Role.TITLE)]

    def remark(self, _: Frame) -> str:
        """Return whether it is of the config as it stands."""
        return "" if self.is_current else "reckoning anew…"

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the figures, then the findings as far as there is room, the worst first."""
        plan = self.plan
        if plan is None:
            return []
        if height < 5:
            return _short(plan, self._verdict(plan, frame), frame)
        times = _times(plan.times, width, frame)
        figures = [*_figures(plan), *_memory(plan), *times] if plan.plan else []
        rows: list[Row] = [[(f" {name:<{_NAME}}", Role.DIM), (text, Role.TEXT)] for name, text in figures]
        rows.append(self._verdict(plan, frame))
        return [*rows[:height], *_finding_rows(plan.findings, width, height - len(rows), frame)]

    def _verdict(self, plan: ConfigPlan, frame: Frame) -> Row:
        """Return whether it can be trained, and the key that leads there."""
        warnings = _counted(plan.num_warnings, "warning") if plan.num_warnings else ""
        if plan.errors:
            errors = _counted(len(plan.errors), "error")
            return [(f" {errors}, {warnings}" if warnings else f" {errors}", Role.ALARM)]
        action, does = ("config_train", "trains") if self.is_written else ("config_write", "writes")
        key = (frame.keys.name_of(action), Role.KEY)
        return [(f" OK, {warnings or 'no warnings'}: ", Role.GOOD), key, (f" {does} it", Role.TEXT)]


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _figures(plan: ConfigPlan) -> list[tuple[str, str]]:
    made = plan.plan
    if made is None:
        return []
    about = formatting.APPROXIMATELY
    if plan.tries_out:
        return [("tried out", f"{made.num_judged_pictures} pictures")]
    stop = [("stops at", f"step {made.stop_step}, to look")] if made.stop_step < made.steps else []
    return [
        ("steps", f"{made.steps} in {made.epochs} epochs of {made.steps_per_epoch}"),
        *stop,
        ("pictures", f"{made.num_pictures}, shown {made.exposures_per_picture:.0f} times each"),
        ("LoRA", f"{about}{formatting.size(plan.lora_bytes)}"),
    ]


def _memory(plan: ConfigPlan) -> list[tuple[str, str]]:
    about = formatting.APPROXIMATELY
    of = "" if plan.base_name else ", as for the largest base"
    rows = [("memory", f"{about}{formatting.gib(plan.min_vram_mib / 1024)} at least{of}")]
    return rows + [(f"{card.vram_mib // 1024:>4} GiB", _fit(card)) for card in _telling(plan.cards)]


def _telling(cards: Sequence[CardFit]) -> list[CardFit]:
    """Return the smallest GPU that it fits as it is, and those on which it fits by giving something up."""
    ways = {card.given_up: card for card in reversed(cards) if card.spare_then_mib is not None}
    return [*reversed(ways.values()), *[card for card in cards if card.fits][:1]]


def _fit(card: CardFit) -> str:
    if card.fits:
        return f"fits, {formatting.APPROXIMATELY}{formatting.gib(card.spare_mib / 1024)} to spare"
    return f"with {' and '.join(card.given_up)}"


def _times(times: Sequence[GpuTime], width: int, frame: Frame) -> list[tuple[str, str]]:
    rows = []
    for each in times:
        text = formatting.minutes_range(*each.seconds)
        if each.microusd is not None:
            text += f", {formatting.money_range(*each.microusd)}"
        rows.append((cut(each.gpu.removeprefix("NVIDIA "), _NAME - 1), cut(text, max(1, width - _NAME - 2))))
    if times and all(each.microusd is None for each in times):
        rows.append(("price", frame.keys.fill("screen {go_offers} asks what it is now")))
    return rows


def _short(plan: ConfigPlan, verdict: Row, frame: Frame) -> list[Row]:
    made = plan.plan
    if made is None:
        return [verdict, *_finding_rows(plan.findings, 400, 1, frame)]
    about = formatting.APPROXIMATELY
    times = "  ".join(f"{each.gpu} {formatting.minutes_range(*each.seconds)}" for each in plan.times[:1])
    steps = f" {made.steps} steps  {made.epochs} epochs  {made.exposures_per_picture:.0f} exposures"
    if plan.tries_out:
        steps = f" {made.num_judged_pictures} pictures"
    return [
        [(f"{steps}  {about}{formatting.gib(plan.min_vram_mib / 1024)}", Role.TEXT)],
        [*verdict, (f"  {times}", Role.TEXT)],
    ]


def _finding_rows(findings: Sequence[Finding], width: int, room: int, frame: Frame) -> list[Row]:
    """Return the findings in so many rows; the last one counts those that have none."""
    rows: list[Row] = []
    told = sorted(findings, key=lambda finding: ORDER.index(finding.severity))
    for index, finding in enumerate(told):
        sign, role = SIGNS[finding.severity]
        left = room - len(rows) - (1 if index + 1 < len(told) else 0)
        lines = wrap(finding.what, width - 4)[:_MOST_ROWS_OF_A_FINDING] or [""]
        if left < 1:
            rows.append(
                [(f" and {len(told) - index} more: {frame.keys.name_of('config_findings')} shows them", Role.DIM)]
            )
            break
        rows += [[(f" {sign if at == 0 else ' '} ", role), (line, Role.TEXT)] for at, line in enumerate(lines[:left])]
    return rows[: max(0, room)]
