"""What ``plan`` says a run needs before any provider is asked: cards, memory to give up, disk, rights."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from loratui.cli.plan_times import Row
from loratui.domain import formatting
from loratui.domain.base_kinds import LARGEST
from loratui.domain.card_fit import CardFit, cards
from loratui.domain.disk_need import DiskNeed, disk_need
from loratui.domain.memory_need import min_vram_mib
from loratui.domain.plan_money import steps_a_picture
from loratui.sessions.base_kind import kind_told_here
from loratui.sessions.checking import Checked
from loratui.sessions.plan_here import work_told_here
from loratui.sessions.rights import rights_of
from loratui.sessions.run_space import needed_bytes
from loratui.settings import Settings
from loratui_protocol.config import TrainingConfig
from loratui_protocol.memory_ladder import Fit, as_configured, ladder, reserves_told


def needs_rows(checked: Checked, preferences: Settings) -> Iterator[Row]:
    """Yield it for people."""
    config = checked.config
    kind = kind_told_here(config.pretrained_model_name_or_path)
    yield from _card_rows(cards(config, kind or LARGEST))
    for number, sentence in enumerate(_ladder_sentences(config), 1):
        yield "if memory runs out" if number == 1 else "", f"{number}. {sentence}"
    work = work_told_here(checked, preferences)
    if work is not None:
        need = disk_need(work, needed_bytes(config, checked.plan)[0])
        yield "disk", f"{need.gb} GB: {need.sentence}"


def needs_fields(checked: Checked, preferences: Settings) -> dict[str, object]:
    """Return it for ``--json``; amounts in micro-dollars, times in seconds."""
    config = checked.config
    kind = kind_told_here(config.pretrained_model_name_or_path)
    work = work_told_here(checked, preferences)
    need = None if work is None else disk_need(work, needed_bytes(config, checked.plan)[0])
    rights = rights_of(config, preferences)
    return {
        "cards": [{**asdict(card), "fits": card.fits} for card in cards(config, kind or LARGEST)],
        "ladder": [
            {"what": sentence, "min_vram_mib": min_vram_mib(config, kind or LARGEST, fit)}
            for fit, sentence in _ladder(config)
        ],
        "disk_gb": need and need.gb,
        "disk_bytes": need and _disk_fields(need),
        "rights": {
            "are_given": rights.are_given,
            "said": rights.sentence,
            "base_license": rights.license,
            "answer": None if rights.answer is None else asdict(rights.answer),
        },
        "picture_more": None if config.evaluate_loras else {"steps": steps_a_picture(config, checked.plan)},
    }


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


def _ladder(config: TrainingConfig) -> list[tuple[Fit, str]]:
    """Return what a training may give up; of files that are only tried out nothing is to be given up."""
    return [] if config.evaluate_loras else ladder(config, reserves_told(config))


def _ladder_sentences(config: TrainingConfig) -> list[str]:
    """Return the rungs in their order; that the pictures of a micro-batch are halved again is told in one."""
    sentences: list[str] = []
    before = as_configured(config)
    num_halved = 0
    for fit, sentence in _ladder(config):
        is_halved = fit.pictures_at_once != before.pictures_at_once
        num_halved += is_halved
        if is_halved and num_halved > 1:
            sentences[-1] += f"; then {fit.pictures_at_once}"
        else:
            sentences.append(sentence)
        before = fit
    return sentences


def _disk_fields(need: DiskNeed) -> dict[str, int]:
    return {
        "image": need.image_bytes,
        "environment": need.environment_bytes,
        "base_model": need.model_bytes,
        "judging_models": need.feature_bytes,
        "upload": need.upload_bytes,
        "run": need.run_bytes,
    }


def rights_rows(checked: Checked, preferences: Settings) -> Iterator[Row]:
    """Yield whose pictures they are, as far as that was said, and what the base model is licensed for."""
    rights = rights_of(checked.config, preferences)
    asked = "nobody has said that you may train on these pictures: asked once, before they leave this machine"
    yield "rights to the pictures", rights.sentence or asked
    yield "licence", rights.license_sentence
