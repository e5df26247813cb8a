"""What a finished run takes on an offer: its phases, their time and cost, and where each figure comes from. Pure.

Every phase has a likely value (p50) and one that nine runs of ten are to stay below (p90). As nobody has measured how
phases go together, the p90 of all is the sum of theirs, which is too much rather than too little. A number here without
a source of its own is an assumption, and said to be one wherever it is shown.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loratui.domain import formatting
from loratui.domain.base_kinds import LARGEST
from loratui.domain.estimate_speeds import MeasuredSpeed, Speed, speed_of
from loratui.domain.estimate_work import Load, Work
from loratui.domain.grid_cost import LOAD_S, SLOW_LOAD_S, MeasuredPicture, picture_time
from loratui.domain.ledger import Rates, microseconds, time_microusd, traffic_microusd
from loratui.domain.offers import Offer
from loratui.domain.saved_states import most_states
from loratui.domain.seen_before import slow_of, told_by
from loratui_protocol.inputs import EnvironmentKind

BOOT, ENVIRONMENT, UPLOAD = "boot and image", "environment", "upload"
BASE_MODEL, FEATURES = "base model", "models to judge with"
TRAINING, SAMPLES, RESULTS, STATES, FLOOR = "training", "samples", "results", "saved states", "billing floor"

_BYTES_PER_MBIT = 125_000
_SLOW_LINE = 2
"""A line that goes badly has half of what it is said to have."""
_BOOT_S, _SLOW_BOOT_S = 33, 180
_PULL_BYTES_PER_S = 121_000_000
_PULL_SOURCE = "table: alignment-hive #98, on RunPod: 33 s with the image there, 16.3 GB pulled in 167 s"
_IMAGE_BYTES, LARGE_IMAGE_BYTES = 4_000_000_000, 16_300_000_000
"""Of pytorch/pytorch, and of runpod/pytorch."""
_UPLINK_BYTES_PER_S = 10 * _BYTES_PER_MBIT
_DOWNLINK_BYTES_PER_S = 20 * _BYTES_PER_MBIT
_FILE_S, _SLOW_FILE_S = 2, 10
STEP_S, _SLOW_STEP_S = 0.05, 0.1
"""A step takes that long, however little is in it: small ones wait for the processor, not for the GPU."""
_SAVED_EVERY_S = 120
"""Where the config does not say it the state is saved by the clock: docs/config.md."""
_END_S, _SLOW_END_S = 10, 60
"""To verify what was fetched, and to end the rental."""
_UNKNOWN_KIND = f"assumed: {LARGEST.name}, since nobody knows the base model's kind"
_LONGEST_S = 1e10
"""A line that stands still takes without end; the number only has to be larger than every limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Environment:
    num_bytes: int
    work_s: int
    source: str


_ENVIRONMENTS = {
    EnvironmentKind.AGENT: _Environment(num_bytes=0, work_s=3, source="table: docs/benchmarks.md: the agent in 3 s"),
    EnvironmentKind.OVERLAY: _Environment(
        num_bytes=62_000_000, work_s=13, source="table: docs/benchmarks.md: 62 MB, 10 s of work, the agent in 3 s"
    ),
    EnvironmentKind.CLEAN: _Environment(
        num_bytes=3_330_000_000,
        work_s=75,
        source="table: 3.3 GB of packages with torch for CUDA; assumed: 75 s of work",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """What a phase takes: whole seconds, and what these and the traffic cost."""

    seconds: int = 0
    time_microusd: int = 0
    traffic_microusd: int = 0

    @property
    def microusd(self) -> int:
        """Return the cost of it all."""
        return self.time_microusd + self.traffic_microusd


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatePart:
    """One phase. ``source`` begins with how a figure came about ("measured", "table", ...), or says whose it is."""

    name: str
    p50: Take
    p90: Take
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A run on an offer, from the first second that is billed to the last. Its totals are the sums of its parts."""

    parts: tuple[EstimatePart, ...]
    speeds: tuple[Speed, ...]
    """Of each of its runs."""
    upload_bytes_per_s: float = _UPLINK_BYTES_PER_S
    """How fast files are likely to travel there from here."""

    @property
    def is_speed_known(self) -> bool:
        """Return whether there is a figure for the GPU, whichever it is."""
        return all(speed.is_known for speed in self.speeds)

    @property
    def p50_s(self) -> int:
        """Return the likely time."""
        return sum(part.p50.seconds for part in self.parts)

    @property
    def p90_s(self) -> int:
        """Return the time that it takes if it goes badly."""
        return sum(part.p90.seconds for part in self.parts)

    @property
    def p50_microusd(self) -> int:
        """Return the likely cost."""
        return sum(part.p50.microusd for part in self.parts)

    @property
    def p90_microusd(self) -> int:
        """Return the cost if it goes badly."""
        return sum(part.p90.microusd for part in self.parts)

    @property
    def p90_traffic_microusd(self) -> int:
        """Return what traffic costs if much of it is needed; time comes on top."""
        return sum(part.p90.traffic_microusd for part in self.parts)

    @property
    def largest_part(self) -> EstimatePart:
        """Return what costs most."""
        return max(self.parts, key=lambda part: part.p50.microusd)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPhase:
    """How long ``BOOT`` or ``ENVIRONMENT`` took in an earlier run at a provider."""

    phase: str
    provider: str
    seconds: float
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredModel:
    """How fast a base model came to a machine of a provider in an earlier run."""

    provider: str
    bytes_per_s: float
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known besides run and offer, the newest first. None: it was never measured."""

    speeds: Sequence[MeasuredSpeed] = ()
    phases: Sequence[MeasuredPhase] = ()
    models: Sequence[MeasuredModel] = ()
    pictures: Sequence[MeasuredPicture] = ()
    uplink_bytes_per_s: float | None = None
    downlink_bytes_per_s: float | None = None
    max_download_bytes_per_s: float = 0.0
    """No faster than this the user lets files come; 0: as fast as they can."""
    memory_gb_per_s: Mapping[str, float] = field(default_factory=dict)
    """Of GPUs, by ``gpu_key``."""


NOTHING_KNOWN = Known()


def estimate(work: Work, offer: Offer, known: Known = NOTHING_KNOWN) -> Estimate:
    """Return what a run takes on an offer."""
    speeds = tuple(
        speed_of(offer.gpu_name, load.kind, load.units_per_step, known.speeds, known.memory_gb_per_s)
        for load in work.loads
    )
    bill = _Bill(offer)
    parts = [
        _boot(offer, known, bill),
        _environment(work, offer, known, bill),
        *_models(work, offer, known, bill),
        _upload(work, offer, known, bill),
        _training(work, speeds, bill),
        _samples(work, offer, known, bill),
        _results(work, offer, known, bill),
    ]
    if offer.sent_microusd_per_gb and work.state_bytes:
        parts.append(_states(work, offer, parts, bill))
    floor = bill.floor_microusd
    if floor:
        columns = ([part.p50 for part in parts], [part.p90 for part in parts])
        short = [max(0, floor - sum(take.time_microusd for take in column)) for column in columns]
        parts.append(
            EstimatePart(
                name=FLOOR,
                p50=Take(time_microusd=short[0]),
                p90=Take(time_microusd=short[1]),
                source=f"{offer.provider}: {offer.billing_floor_s:.0f} s are billed at least",
            )
        )
    return Estimate(parts=tuple(parts), speeds=speeds, upload_bytes_per_s=_upload_rate(offer, known))


class _Bill:
    """Makes seconds and bytes into money as the ledger does; seconds are whole ones, rounded up."""

    def __init__(self, offer: Offer) -> None:
        self._rates = Rates.of(offer)

    @property
    def floor_microusd(self) -> int:
        return time_microusd(self._rates.running_microusd_per_h, self._rates.billing_floor_us)

    def take(self, seconds: float, *, received: int = 0, sent: int = 0) -> Take:
        whole_s = math.ceil(min(seconds, _LONGEST_S))
        return Take(
            seconds=whole_s,
            time_microusd=time_microusd(self._rates.running_microusd_per_h, microseconds(whole_s)),
            traffic_microusd=traffic_microusd(self._rates, sent, received),
        )


def _boot(offer: Offer, known: Known, bill: _Bill) -> EstimatePart:
    small, large = _IMAGE_BYTES, LARGE_IMAGE_BYTES
    rate = min(_line(offer.download_mbit_s) or _PULL_BYTES_PER_S, _PULL_BYTES_PER_S)
    source = f"{_PULL_SOURCE}; assumed: an image of 4 to 16 GB"
    p50_s, p90_s = _BOOT_S + small / rate, _SLOW_BOOT_S + large * _SLOW_LINE / rate
    if earlier := _earlier(BOOT, offer, known):
        p50_s, p90_s, source = _as_measured(earlier)
    return EstimatePart(
        name=BOOT, p50=bill.take(p50_s, received=small), p90=bill.take(p90_s, received=large), source=source
    )


def _environment(work: Work, offer: Offer, known: Known, bill: _Bill) -> EstimatePart:
    environment = _ENVIRONMENTS[work.environment]
    rate, line = _host_line(offer)
    p50_s = environment.work_s + environment.num_bytes / rate
    p90_s = _SLOW_LINE * p50_s
    source = f"{environment.source}; {line}"
    if earlier := _earlier(ENVIRONMENT, offer, known):
        p50_s, p90_s, source = _as_measured(earlier)
    return EstimatePart(
        name=ENVIRONMENT,
        p50=bill.take(p50_s, received=environment.num_bytes),
        p90=bill.take(p90_s, received=environment.num_bytes),
        source=source,
    )


def _models(work: Work, offer: Offer, known: Known, bill: _Bill) -> list[EstimatePart]:
    """Return what the base model takes, and what pictures are measured with: it comes beside it, on the same line."""
    rate, line = _host_line(offer)
    earlier = next((each for each in known.models if each.provider == offer.provider), None)
    if earlier is not None and earlier.bytes_per_s < rate:
        # A faster line than that is of no use: the hub gave no more. A slower one is the limit.
        rate, line = earlier.bytes_per_s, f"measured in run {earlier.run}, on another machine perhaps"
    kinds = sorted({load.kind.name for load in work.loads})

    def part(name: str, sizes: tuple[int, int], of: str, *, is_known: bool) -> EstimatePart:
        small, large = sizes
        source = f"its size; {line}" if small else "it is not downloaded"
        if not is_known:
            source = f"assumed: {formatting.size(small)} to {formatting.size(large)}, as {of} have; {line}"
        slow = bill.take(large * _SLOW_LINE / rate, received=large)
        return EstimatePart(name=name, p50=bill.take(small / rate, received=small), p90=slow, source=source)

    is_base_known, of = work.base_model_bytes is not None, f"models of {' and '.join(kinds)}"
    base = part(BASE_MODEL, work.model_bytes, of, is_known=is_base_known)
    if not work.features:
        return [base]
    return [base, part(FEATURES, work.feature_bytes, "such models", is_known=work.are_features_known)]


def _upload(work: Work, offer: Offer, known: Known, bill: _Bill) -> EstimatePart:
    source = "measured: this line's uplink" if known.uplink_bytes_per_s else "assumed: an uplink of 10 Mbit/s"
    seconds = work.upload_bytes / _upload_rate(offer, known)
    return EstimatePart(
        name=UPLOAD,
        p50=bill.take(seconds, received=work.upload_bytes),
        p90=bill.take(seconds * _SLOW_LINE, received=work.upload_bytes),
        source=source,
    )


def _upload_rate(offer: Offer, known: Known) -> float:
    return min(known.uplink_bytes_per_s or _UPLINK_BYTES_PER_S, _host_line(offer)[0])


def training_s(load: Load, speed: Speed) -> tuple[float, float]:
    """Return how long the steps of a run take, its base model being loaded: likely, and if it goes badly."""
    return (
        max(load.training_units / speed.likely, load.steps * STEP_S),
        max(load.training_units / speed.slow, load.steps * _SLOW_STEP_S),
    )


def _training(work: Work, speeds: Sequence[Speed], bill: _Bill) -> EstimatePart:
    runs = [*zip(work.loads, speeds, strict=True)]
    times = [training_s(load, speed) for load, speed in runs]
    p50_s, p90_s = (sum(column) for column in zip(*times, strict=True))
    sources = [speed.source if load.is_kind_known else f"{speed.source}; {_UNKNOWN_KIND}" for load, speed in runs]
    return EstimatePart(
        name=TRAINING,
        p50=bill.take(len(runs) * LOAD_S + work.num_files * _FILE_S + p50_s),
        p90=bill.take(len(runs) * SLOW_LOAD_S + work.num_files * _SLOW_FILE_S + p90_s),
        source="; then ".join(dict.fromkeys(sources)),
    )


def _samples(work: Work, offer: Offer, known: Known, bill: _Bill) -> EstimatePart:
    drawn = [
        (
            load.num_sample_pictures + load.num_judged_pictures,
            picture_time(offer.gpu_name, load.kind, load.pixels, known.pictures, known.speeds, known.memory_gb_per_s),
        )
        for load in work.loads
        if load.num_sample_pictures + load.num_judged_pictures
    ]
    return EstimatePart(
        name=SAMPLES,
        p50=bill.take(sum(number * each.likely_s for number, each in drawn)),
        p90=bill.take(sum(number * each.slow_s for number, each in drawn)),
        source="; then ".join(dict.fromkeys(each.source for _, each in drawn)) or "none are made",
    )


def _results(work: Work, offer: Offer, known: Known, bill: _Bill) -> EstimatePart:
    ours = known.downlink_bytes_per_s
    source = "measured: this line's downlink" if ours else "assumed: a downlink of 20 Mbit/s"
    rate = min(ours or _DOWNLINK_BYTES_PER_S, _line(offer.upload_mbit_s) or math.inf)
    slow_rate = rate / _SLOW_LINE
    if 0 < known.max_download_bytes_per_s < rate:
        rate, slow_rate = known.max_download_bytes_per_s, min(slow_rate, known.max_download_bytes_per_s)
        source = f"your setting downloads.max_mbit_s = {rate / _BYTES_PER_MBIT:g}"
    # What appears on the way is fetched meanwhile; if it goes badly, all of it comes in the end.
    return EstimatePart(
        name=RESULTS,
        p50=bill.take(_END_S + work.last_bytes / rate, sent=work.result_bytes),
        p90=bill.take(_SLOW_END_S + work.result_bytes / slow_rate, sent=work.result_bytes),
        source=source,
    )


def _states(work: Work, offer: Offer, parts: Sequence[EstimatePart], bill: _Bill) -> EstimatePart:
    """Return what the saved states cost that come meanwhile; they take no time of their own."""

    def number(takes: Mapping[str, Take], *, is_last: bool) -> int:
        training_s = takes[TRAINING].seconds + takes[SAMPLES].seconds
        come = most_states(
            training_s,
            sum(take.seconds for take in takes.values()),
            work.state_bytes,
            offer.sent_microusd_per_gb,
            offer.price_microusd_per_h,
            is_last=is_last,
        )
        saved = training_s // _SAVED_EVERY_S if work.num_states is None else work.num_states
        return min(come, saved + is_last)

    likely = number({part.name: part.p50 for part in parts}, is_last=False)
    most = number({part.name: part.p90 for part in parts}, is_last=True)
    return EstimatePart(
        name=STATES,
        p50=bill.take(0, sent=likely * work.state_bytes),
        p90=bill.take(0, sent=most * work.state_bytes),
        source=f"reckoned: {likely} to {most} of {work.state_bytes / 1e6:.0f} MB; assumed: AdamW, all in 32 bits",
    )


def _host_line(offer: Offer) -> tuple[float, str]:
    """Return how fast packages and models arrive at an offer's machine, bytes a second, and who says so."""
    said = _line(offer.download_mbit_s)
    if said is None:
        return _PULL_BYTES_PER_S, "assumed: as fast as images arrive (alignment-hive #98)"
    return min(said, _PULL_BYTES_PER_S), f"{offer.provider}'s figure for the host's line"


def _line(mbit_s: float | None) -> float | None:
    """Return bytes a second, None where a provider says nothing that could be."""
    return mbit_s * _BYTES_PER_MBIT if mbit_s and mbit_s > 0 else None


def _earlier(phase: str, offer: Offer, known: Known) -> list[MeasuredPhase]:
    return [each for each in known.phases if (each.phase, each.provider) == (phase, offer.provider)]


def _as_measured(earlier: Sequence[MeasuredPhase]) -> tuple[float, float, str]:
    """Return what the newest took, what it takes if it goes badly, and whose figures these are."""
    newest = earlier[0].seconds
    slow = slow_of([each.seconds for each in earlier], _SLOW_LINE - 1)
    return newest, max(newest, slow), f"{told_by(earlier[0].run, len(earlier))}, on another machine perhaps"
