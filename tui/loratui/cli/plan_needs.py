"""What ``plan`` says of machines and time before any provider is asked: cards, disk, time, test pictures, rights."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

from loratui.cli.disk import needed_bytes
from loratui.domain import formatting
from loratui.domain.base_kinds import LARGEST, TINY, KnownBase
from loratui.domain.card_fit import CardFit, cards
from loratui.domain.disk_need import DiskNeed, disk_need
from loratui.domain.estimate import Known, training_s
from loratui.domain.estimate_speeds import FIGURES, Speed, gpu_key, speed_of
from loratui.domain.estimate_work import Work, min_vram_mib
from loratui.domain.grid_cost import SHIPPED_GPU, Grid, GridCost, grid_cost, picture_time
from loratui.domain.hosted_prices import HostedCost, hosted_costs
from loratui.domain.plan_money import steps_a_picture
from loratui.sessions.base_kind import kind_told_here
from loratui.sessions.checking import Checked
from loratui.sessions.estimating import known_facts, work_for
from loratui.sessions.prepare import model_source
from loratui.sessions.rights import Rights, rights_of
from loratui.settings import Settings
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import LoratuiError
from loratui_protocol.memory_ladder import as_configured, ladder, reserves_told

Row = tuple[str, str]
_COMMON = ("RTX 3090", SHIPPED_GPU)
"""GPUs whose time is told where none was measured: those that are rented most."""
_MOST_GPUS = 4


def needs_rows(path: Path, checked: Checked, preferences: Settings, *, is_priced: bool) -> Iterator[Row]:
    """Yield it for people; ``is_priced``: what depends on a GPU is told with its price."""
    config = checked.config
    kind = kind_told_here(config.pretrained_model_name_or_path)
    yield from _card_rows(cards(config, kind or LARGEST))
    for number, sentence in enumerate(_ladder_sentences(config), 1):
        yield "if memory runs out" if number == 1 else "", f"{number}. {sentence}"
    work = _work(checked, preferences)
    if work is not None:
        need = disk_need(work, needed_bytes(config, checked.plan)[0])
        yield "disk", f"{need.gb} GB: {need.sentence}"
    if not is_priced and work is not None:
        known = known_facts(preferences, [(config.pretrained_model_name_or_path, kind)])
        for gpu, speed in _speeds(work, known):
            yield (
                "time of the steps",
                f"{formatting.minutes_range(*training_s(work.loads[0], speed))} on {gpu} ({speed.source})",
            )
        yield "a picture more", picture_more_sentence(steps_a_picture(config, checked.plan))
        if grid := grid_of(checked, work, known, SHIPPED_GPU):
            yield "testing the LoRA", grid_sentence(checked, grid, SHIPPED_GPU)
        yield from hosted_rows(_hosted(work, known))
        yield "price", f"loratui plan {shlex.quote(str(path))} --gpu 4090 asks what it costs now; --all every GPU"
    yield from _rights_rows(rights_of(config, preferences))


def needs_fields(checked: Checked, preferences: Settings, *, is_priced: bool) -> dict[str, object]:
    """Return it for ``--json``; amounts in micro-dollars, times in seconds."""
    config = checked.config
    kind = kind_told_here(config.pretrained_model_name_or_path)
    work = _work(checked, preferences)
    need = None if work is None else disk_need(work, needed_bytes(config, checked.plan)[0])
    rights = rights_of(config, preferences)
    fields: dict[str, object] = {
        "cards": [{**asdict(card), "fits": card.fits} for card in cards(config, kind or LARGEST)],
        "ladder": [
            {"what": sentence, "min_vram_mib": min_vram_mib(config, kind or LARGEST, fit)}
            for fit, sentence in ladder(config, reserves_told(config))
        ],
        "disk_gb": need and need.gb,
        "disk_bytes": need and _disk_fields(need),
        "rights": {
            "are_given": rights.are_given,
            "said": rights.sentence,
            "base_license": rights.license,
            "answer": None if rights.answer is None else asdict(rights.answer),
        },
        "picture_more": {"steps": steps_a_picture(config, checked.plan)},
    }
    if not is_priced and work is not None:
        known = known_facts(preferences, [(config.pretrained_model_name_or_path, kind)])
        fields["training_s"] = [
            {"gpu": gpu, "p50": round(times[0], 1), "p90": round(times[1], 1), "source": speed.source}
            for gpu, speed in _speeds(work, known)
            for times in (training_s(work.loads[0], speed),)
        ]
        grid = grid_of(checked, work, known, SHIPPED_GPU)
        fields["test_grid"] = grid and {"gpu": SHIPPED_GPU, **asdict(grid)}
        fields["hosted"] = [hosted_fields(cost) for cost in _hosted(work, known)]
    return fields


def _work(checked: Checked, preferences: Settings) -> Work | None:
    """Return what there is to do, as far as this machine can tell without asking anyone; None: files are missing."""
    name = checked.config.pretrained_model_name_or_path
    try:
        model = model_source(name, preferences.remote_hub_url)
        base = KnownBase(num_bytes=None if model else 0, kind=kind_told_here(name))
        return work_for(checked.config, checked.plan_left, preferences, base)
    except LoratuiError:
        # What is missing was said by the check.
        return None


def _card_rows(fits: Sequence[CardFit]) -> Iterator[Row]:
    """Yield the cards that matter: the largest on which nothing helps, the smallest for each way to fit."""
    about = formatting.APPROXIMATELY
    too_small = [card for card in fits if not card.fits and card.spare_then_mib is None]
    ways = {card.given_up: card for card in reversed(fits) if card.spare_then_mib is not None}
    for card in (*too_small[-1:], *reversed(ways.values()), *[card for card in fits if card.fits][:2]):
        name, spare = f"  on {card.vram_mib // 1024} GiB", formatting.gib(abs(card.spare_mib) / 1024)
        if card.fits:
            yield name, f"fits with {about}{spare} to spare"
        elif card.spare_then_mib is None:
            yield name, f"does not fit: short of {about}{spare}"
        else:
            yield name, f"short of {about}{spare}; fits with {' and '.join(card.given_up)}"


def _ladder_sentences(config: TrainingConfig) -> list[str]:
    """Return the rungs in their order; that the pictures of a micro-batch are halved again is told in one."""
    sentences: list[str] = []
    before = as_configured(config)
    num_halved = 0
    for fit, sentence in ladder(config, reserves_told(config)):
        is_halved = fit.pictures_at_once != before.pictures_at_once
        num_halved += is_halved
        if is_halved and num_halved > 1:
            sentences[-1] += f"; then {fit.pictures_at_once}"
        else:
            sentences.append(sentence)
        before = fit
    return sentences


def _speeds(work: Work, known: Known) -> list[tuple[str, Speed]]:
    """Return how fast GPUs are that were trained on before, and else those of the table that are rented most."""
    kind = work.loads[0].kind
    measured = list(dict.fromkeys(each.gpu for each in known.speeds if each.kind is kind))
    of_table = [] if kind is TINY else [figure.gpu for figure in FIGURES if figure.gpu in _COMMON]
    seen = {gpu_key(gpu) for gpu in measured}
    gpus = [*measured, *(gpu for gpu in of_table if gpu_key(gpu) not in seen)][:_MOST_GPUS]
    return [(gpu, speed_of(gpu, kind, work.loads[0].units_per_step, known.speeds)) for gpu in gpus]


def picture_more_sentence(steps: float, seconds: float | None = None, microusd: int | None = None) -> str:
    """Return what a further picture adds; time and cost where they are known."""
    if not steps:
        return "no step more: max_train_steps holds, and every picture is shown less often"
    about, parts = formatting.APPROXIMATELY, [f"{formatting.APPROXIMATELY}{steps:.3g} steps"]
    if seconds is not None:
        parts.append(f"{about}{formatting.duration(seconds) if seconds >= 1 else f'{seconds:.1f} s'}")
    if microusd is not None:
        parts.append(formatting.money(microusd, exact=False))
    return ", ".join(parts)


def grid_of(checked: Checked, work: Work, known: Known, gpu: str, price_microusd_per_h: int = 0) -> GridCost | None:
    """Return what a grid of test pictures of one LoRA file takes; None: there are no prompts, or nobody knows."""
    prompts = checked.plan.samples.prompts
    load = work.loads[0]
    each = picture_time(gpu, load.kind, load.pixels, known.pictures, known.speeds, known.memory_gb_per_s)
    if not prompts or each is None:
        return None
    return grid_cost(Grid(num_prompts=len(prompts)), each, price_microusd_per_h)


def grid_sentence(checked: Checked, cost: GridCost, gpu: str) -> str:
    """Return it for people."""
    grid = Grid(num_prompts=len(checked.plan.samples.prompts))
    shape = f"{grid.num_weights} weights x {grid.num_seeds} seeds x {grid.num_prompts} prompts"
    price = f", {formatting.money_range(cost.likely_microusd, cost.slow_microusd)}" if cost.slow_microusd else ""
    time = formatting.minutes_range(cost.likely_s, cost.slow_s)
    return f"{cost.num_pictures} pictures a LoRA file ({shape}): {time}{price} on {gpu} ({cost.source})"


def today() -> date:
    """Return the day, for prices that age."""
    return datetime.now(tz=UTC).date()


def _hosted(work: Work, known: Known) -> list[HostedCost]:
    speed = speed_of(SHIPPED_GPU, work.loads[0].kind, work.loads[0].units_per_step, known.speeds)
    return list(hosted_costs(work.loads[0].kind, training_s(work.loads[0], speed), today()))


def hosted_rows(costs: Iterable[HostedCost]) -> Iterator[Row]:
    """Yield what hosted trainers would take, each with where its price is from and how old that is."""
    for cost in costs:
        price = cost.price
        old = f": {cost.age_days} days old, look it up" if cost.is_old else ""
        by_time = ", if it took as long there" if price.microusd_per_s else ""
        site = price.source.partition("/")[0]
        yield (
            f"at {price.name}",
            f"{formatting.money_range(cost.low_microusd, cost.high_microusd)}{by_time} ({price.terms}; {site}, "
            f"{price.seen:%Y-%m-%d}{old})",
        )


def hosted_fields(cost: HostedCost) -> dict[str, object]:
    """Return it for ``--json``."""
    price = cost.price
    return {
        "name": price.name,
        "microusd": {"low": cost.low_microusd, "high": cost.high_microusd},
        "terms": price.terms,
        "source": price.source,
        "seen": price.seen.isoformat(),
        "age_days": cost.age_days,
        "is_old": cost.is_old,
    }


def _disk_fields(need: DiskNeed) -> dict[str, int]:
    return {
        "image": need.image_bytes,
        "environment": need.environment_bytes,
        "base_model": need.model_bytes,
        "upload": need.upload_bytes,
        "run": need.run_bytes,
    }


def _rights_rows(rights: Rights) -> Iterator[Row]:
    asked = "nobody has said that you may train on these pictures: asked once, before they leave this machine"
    yield "rights to the pictures", rights.sentence or asked
    yield "licence", rights.license_sentence
