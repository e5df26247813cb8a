"""What a run would take on what can be rented now, from its config, live offers, and what earlier runs have shown."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from types import MappingProxyType

from loratui.domain.base_kinds import BaseKind, KnownBase
from loratui.domain.disk_need import DiskNeed
from loratui.domain.estimate import BOOT, ENVIRONMENT, NOTHING_KNOWN, Known, MeasuredModel, MeasuredPhase
from loratui.domain.estimate_ranking import Quote, SortBy, memory_speeds, quotes, rank
from loratui.domain.estimate_speeds import COMPARED_WITH, MeasuredSpeed, gpu_key, lacks_comparison, measured_speed
from loratui.domain.estimate_work import Work, units_per_step, work_of
from loratui.domain.grid_cost import MeasuredPicture
from loratui.domain.ledger import Phase
from loratui.domain.offers import Offer, OfferQuery
from loratui.domain.seen_before import MOST_RUNS
from loratui.providers.base import Provider
from loratui.sessions.base_kind import kind_told_here
from loratui.sessions.copy_cache import Copy
from loratui.sessions.market import PROVIDERS, Answered, offers_of
from loratui.sessions.model_source import model_source
from loratui.sessions.supply import supply_size
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import parse_config
from loratui_protocol.errors import ConfigError, StorageError
from loratui_protocol.inputs import EnvironmentKind, ModelPurpose
from loratui_protocol.messages import Record, Sample, Setup, Step
from loratui_protocol.plan import Plan

_NUM_RECORDS = 1000
_MADE_S = 1.0
"""An environment that took less was there from a run before; a download that did says nothing of a speed."""
_MODEL_PHASE = ModelPurpose.BASE.phase
_MODEL_BYTES = 100_000_000
"""Less of a base model is the first second of a line that is still finding its speed, or the rest of a download."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """Offers in the order that was asked for, and what each provider answered."""

    ranked: list[Quote]
    answers: list[Answered[list[Offer]]]
    known: Known = NOTHING_KNOWN
    """What it was ranked by."""
    work: Work | None = None
    disk: DiskNeed | None = None
    """What the run comes to, and the disk that it needs, if that was reckoned."""

    @property
    def offers(self) -> list[Offer]:
        """Return all that was offered, in no order, what may not be taken included."""
        return _all(self.answers)


def work_for(
    config: TrainingConfig,
    plan: Plan,
    preferences: Settings,
    base: KnownBase,
    *,
    copies: Mapping[Path, Copy] = MappingProxyType({}),
    environment: EnvironmentKind = EnvironmentKind.OVERLAY,
) -> Work:
    """Return what a config comes to; without the ``copies`` that would be sent, the upload is the most it can be.

    Raises:
        DatasetError, ModelError: what would have to travel is not here.
    """
    model = model_source(config.pretrained_model_name_or_path, preferences.remote_hub_url)
    return work_of(
        config,
        plan,
        base.kind,
        upload_bytes=supply_size(config, model, copies),
        base_model_bytes=base.num_bytes if model else 0,
        features=base.features,
        environment=environment,
        brings_states=preferences.downloads.which == "all",
    )


async def quoted_offers(
    providers: Iterable[Provider],
    query: OfferQuery,
    work: Work,
    *,
    known: Known,
    bad_hosts: frozenset[tuple[str, str]] = frozenset(),
    bad_kinds: frozenset[tuple[str, str]] = frozenset(),
    sort_by: SortBy = SortBy.TOTAL,
) -> Quoted:
    """Ask the providers what they have that ``query`` and the run fit on, giving something up perhaps, and rank it."""
    least_mib = max(query.min_vram_mib, work.least_vram_mib)
    query = replace(query, min_vram_mib=max(query.min_vram_mib, work.min_vram_mib))
    asked = list(providers)
    answers = await offers_of(asked, query)
    if least_mib < query.min_vram_mib:
        # Asked for by themselves: providers answer with so many, and small GPUs would crowd out those that fit.
        answers = _with_more(answers, await offers_of(asked, replace(query, min_vram_mib=least_mib)))
    found = _all(answers)
    memory = {**memory_speeds(found), **known.memory_gb_per_s}
    if lacks_comparison(memory):
        others = await offers_of(asked, OfferQuery(gpu_name=COMPARED_WITH, disk_gb=query.disk_gb))
        memory = {**memory_speeds(_all(others)), **memory}
    known = replace(known, memory_gb_per_s=memory)
    ranked = rank(
        quotes(work, found, known),
        sort_by,
        bad_hosts=bad_hosts,
        bad_kinds=bad_kinds,
        min_vram_mib=least_mib,
        min_reliability=query.min_reliability,
    )
    return Quoted(ranked=ranked, answers=answers, known=known)


def _with_more(
    answers: Iterable[Answered[list[Offer]]], further: Iterable[Answered[list[Offer]]]
) -> list[Answered[list[Offer]]]:
    """Return the answers with the offers that only the further ones have; a provider that failed once has failed."""
    more = {answer.provider: answer.value or [] for answer in further}
    found = []
    for answer in answers:
        seen = {offer.id for offer in answer.value or []}
        new = [offer for offer in more.get(answer.provider, []) if offer.id not in seen]
        found.append(answer if answer.value is None else replace(answer, value=[*answer.value, *new]))
    return found


def _all(answers: Iterable[Answered[list[Offer]]]) -> list[Offer]:
    return [offer for answer in answers for offer in answer.value or []]


def bad_hosts(preferences: Settings, since_ts: float = 0.0) -> frozenset[tuple[str, str]]:
    """Return the machines, and kinds of them, that did not serve since then: (provider, machine or kind)."""
    if not preferences.database.exists():
        return frozenset()
    with Rentals(preferences.database) as ledger:
        return frozenset(
            (provider, machine) for provider in PROVIDERS for machine in ledger.bad_hosts(provider, since_ts)
        )


def known_facts(preferences: Settings, asked: Iterable[tuple[str, BaseKind | None]]) -> Known:
    """Return what earlier runs have shown, newest first.

    ``asked`` are base models, as configs name them, and their kinds as far as they are known: earlier runs with these
    very models are of these kinds, too.
    """
    most = preferences.downloads.max_bytes_per_s
    if not preferences.database.exists():
        return Known(max_download_bytes_per_s=most)
    phases: list[MeasuredPhase] = []
    models: list[MeasuredModel] = []
    uplink: float | None = None
    with Store(preferences.database) as store, Rentals(preferences.database) as ledger:
        for rental in ledger.rentals()[:MOST_RUNS]:
            phases += _boot(ledger, rental)
            uplink = uplink or rental.uplink_bytes_per_s
            for run_id in rental.run_ids.split():
                try:
                    run = store.run(run_id)
                except StorageError as error:
                    if error.code != "store.unknown_run":
                        raise
                    continue
                before = list(itertools.takewhile(lambda each: not isinstance(each.event, Step), store.records(run_id)))
                phases += _environment(rental, run.name, before)
                models += _model(rental, run.name, before)
        speeds, pictures = _speeds(store, dict(asked))
        return Known(
            speeds=speeds,
            phases=phases,
            models=models,
            pictures=pictures,
            uplink_bytes_per_s=uplink,
            downlink_bytes_per_s=store.downlink_bytes_per_s(),
            max_download_bytes_per_s=most,
        )


def _boot(ledger: Rentals, rental: StoredRental) -> list[MeasuredPhase]:
    """Return how long a machine took until somebody could sign in, if it ever came so far."""
    seconds: Mapping[Phase, float] = {
        span.phase: span.to_ts - span.from_ts for span in ledger.spans(rental.label) if span.to_ts is not None
    }
    if rental.ready_ts is None or Phase.BOOTING not in seconds:
        return []
    took_s = seconds[Phase.BOOTING] + seconds.get(Phase.CONNECTING, 0.0)
    return [MeasuredPhase(phase=BOOT, provider=rental.provider, seconds=took_s, run=rental.label)]


def _environment(rental: StoredRental, name: str, records: Iterable[Record]) -> list[MeasuredPhase]:
    times = [each.ts for each in records if isinstance(each.event, Setup) and each.event.phase == ENVIRONMENT]
    took_s = max(times) - min(times) if times else 0.0
    if took_s < _MADE_S:
        return []
    return [MeasuredPhase(phase=ENVIRONMENT, provider=rental.provider, seconds=took_s, run=name)]


def _model(rental: StoredRental, name: str, records: Iterable[Record]) -> list[MeasuredModel]:
    """Return how fast the base model came to a machine, if so much came that it means something."""
    came = [
        (each.ts, each.event.done)
        for each in records
        if isinstance(each.event, Setup) and each.event.phase == _MODEL_PHASE and each.event.unit == "bytes"
    ]
    if not came:
        return []
    (first_ts, first), (last_ts, last) = came[0], came[-1]
    if last - first < _MODEL_BYTES or last_ts - first_ts < _MADE_S:
        return []
    return [MeasuredModel(provider=rental.provider, bytes_per_s=(last - first) / (last_ts - first_ts), run=name)]


def _speeds(store: Store, asked: Mapping[str, BaseKind | None]) -> tuple[list[MeasuredSpeed], list[MeasuredPicture]]:
    """Return how fast runs were, wherever they were: of each GPU, kind of model and size of a step, the newest ones.

    And how long each took for a sample picture. A run with a base model of unknown kind says nothing.
    """
    found: dict[tuple[str, str, float], MeasuredSpeed] = {}
    pictures: list[MeasuredPicture] = []
    for run in store.runs_on_gpus():
        try:
            earlier = parse_config(run.config_toml, Path("/")).config
        except ConfigError:
            # Another version wrote it, or another laptop.
            continue
        name = earlier.pretrained_model_name_or_path
        kind = asked.get(name) or kind_told_here(name)
        if kind is None:
            continue
        size = units_per_step(earlier, kind)
        if size is None:
            # Which of its steps were the large ones, its record does not say.
            continue
        of = gpu_key(run.gpu), kind.name, size
        newest = found.get(of)
        if newest is not None and len(newest.before) + 1 >= MOST_RUNS:
            continue
        # The last ones: the first steps are slower, and a long run has very many.
        last = [*store.records(run.id, after_seq=max(0, run.head - _NUM_RECORDS))]
        on_gpu = _steps_on_gpu(last)
        speed = measured_speed(gpu=run.gpu, kind=kind, run=run.name, it_s=on_gpu, units_per_step=size)
        if speed is None:
            continue
        found[of] = speed if newest is None else replace(newest, before=(*newest.before, speed.units_per_s))
        if picture := _picture(last, run.name, kind, run.gpu):
            pictures.append(picture)
    return list(found.values()), pictures


def measured_picture(store: Store, run: StoredRun, kind: BaseKind, gpu: str) -> MeasuredPicture | None:
    """Return how long one run took for a sample picture, on what is called ``gpu``; None: it drew too few."""
    return _picture(store.records(run.id, after_seq=max(0, run.head - _NUM_RECORDS)), run.name, kind, gpu)


def _picture(records: Iterable[Record], run: str, kind: BaseKind, gpu: str) -> MeasuredPicture | None:
    each_s = _picture_s(records, kind)
    return MeasuredPicture(gpu=gpu, kind=kind, seconds=median(each_s), run=run) if each_s else None


def _steps_on_gpu(records: Iterable[Record]) -> list[float]:
    """Return the speeds of the steps; a machine may have a GPU, and a torch that can't use it."""
    steps = [each.event for each in records if isinstance(each.event, Step)]
    return [step.it_s for step in steps if step.vram_gib is not None]


def _picture_s(records: Iterable[Record], kind: BaseKind) -> list[float]:
    """Return the seconds of each sample picture, brought to ``unit_px``: the time since the one before it.

    The first of a row waits for the pipeline, and those of the base alone may be there from before.
    """
    made = [(each.ts, each.event) for each in records if isinstance(each.event, Sample) and each.event.weight > 0]
    return [
        (ts - before_ts) * kind.unit_px / (sample.width * sample.height)
        for (before_ts, before), (ts, sample) in itertools.pairwise(made)
        if sample.step == before.step
        and sample.index == before.index + 1
        and ts > before_ts
        and min(sample.width, sample.height) > 0
    ]
