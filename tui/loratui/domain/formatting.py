"""Numbers as people read them: money, times, sizes. "≈" marks what is estimated instead of measured."""

import math
import shlex
from datetime import datetime, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import Path

from loratui_protocol.errors import UsageError
from loratui_protocol.harmless import MAX_TEXT_CHARS, clean
from loratui_protocol.messages import MICROUSD_PER_USD, CommandResult, Deadman

APPROXIMATELY = "≈"
UNKNOWN = "–"  # noqa: RUF001  # an en dash, as wide as a digit
_CENT = Decimal("0.01")
_LONGEST_S = 1e9
"""Thirty years; what is longer, or no number, is nonsense from another machine."""
_HUNDREDTH_CENT = Decimal("0.0001")


def homely(path: Path) -> str:
    """Return a path as people write it: "~" is their home."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def money(microusd: int, *, exact: bool = True) -> str:
    """Return dollars: to the cent, or to a hundredth of one while the amount is below a cent."""
    usd = Decimal(microusd) / MICROUSD_PER_USD
    small = 0 < abs(usd) < _CENT
    text = f"{abs(usd).quantize(_HUNDREDTH_CENT if small else _CENT, ROUND_HALF_EVEN):f}"
    return f"{'' if exact else APPROXIMATELY}{'-' if usd < 0 else ''}${text}"


def money_range(low_microusd: int, high_microusd: int) -> str:
    """Return two estimates as "≈$0.12 to $0.31"; as one where they don't differ."""
    low, high = money(low_microusd, exact=False), money(high_microusd)
    return low if low == f"{APPROXIMATELY}{high}" else f"{low} to {high}"


def minutes_range(low_s: float, high_s: float) -> str:
    """Return two estimates of a time in whole minutes, rounded up: "≈14 to 31 min"."""
    low_min, high_min = (max(1, math.ceil(min(seconds, _LONGEST_S) / 60)) for seconds in (low_s, high_s))
    if high_min >= 120:
        return f"{duration(60 * low_min, exact=False)} to {duration(60 * high_min)}"
    return f"{APPROXIMATELY}{low_min} min" if low_min == high_min else f"{APPROXIMATELY}{low_min} to {high_min} min"


def dollars_at_least(microusd: int) -> str:
    """Return an amount as ``--budget`` takes it, rounded up to the cent."""
    cents = -(-microusd // 10_000)
    return f"{cents // 100}.{cents % 100:02}"


def exact_dollars(microusd: int) -> str:
    """Return an amount as options take it, to the micro-dollar."""
    return f"{microusd // MICROUSD_PER_USD}.{microusd % MICROUSD_PER_USD:06}"


def hourly_price(microusd_per_h: int) -> str:
    """Return an hourly price as "$0.69/h"."""
    return f"{money(microusd_per_h)}/h"


def fine_hourly_price(microusd_per_h: int) -> str:
    """Return an hourly price to a hundredth of a cent, where two are compared: "$0.3528/h"."""
    return f"${(Decimal(microusd_per_h) / MICROUSD_PER_USD).quantize(_HUNDREDTH_CENT, ROUND_HALF_EVEN):f}/h"


def parse_microusd(text: str) -> int:
    """Return an amount written as dollars ("0.69", "$5") in micro-dollars.

    Raises:
        UsageError: it is no amount, is negative, or is finer than a micro-dollar.
    """
    try:
        microusd = Decimal(text.strip().removeprefix("$")) * MICROUSD_PER_USD
        if microusd.is_finite() and microusd >= 0 and microusd == int(microusd):
            return int(microusd)
    except InvalidOperation:
        pass
    raise UsageError(f"{text!r} is no amount of dollars", fix="write it as 0.69", code="usage.money")


def duration(seconds: float, *, exact: bool = True) -> str:
    """Return a duration in words: "41 s", "9 min 30 s" below ten minutes, "41 min", "1 h 41 min"."""
    mark = "" if exact else APPROXIMATELY
    if not seconds < _LONGEST_S:
        return UNKNOWN
    whole = int(max(0.0, seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{mark}{hours} h {minutes:02} min"
    if minutes >= 10:
        return f"{mark}{minutes} min"
    return f"{mark}{minutes} min {rest:02} s" if minutes else f"{mark}{rest} s"


def stopwatch(seconds: float) -> str:
    """Return a duration as "0:37" or "1:02:05"."""
    if not seconds < _LONGEST_S:
        return UNKNOWN
    whole = int(max(0.0, seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def auto_stop(left_s: float | None, *, exact: bool = True) -> str:
    """Return the time left before auto-stop, or "none set"."""
    return "none set" if left_s is None else duration(left_s, exact=exact)


def time_of_day(ts: float, zone: tzinfo | None = None) -> str:
    """Return the clock time of ``ts`` (epoch seconds) as "14:22:07" in ``zone``; None is the machine's own."""
    try:
        return f"{datetime.fromtimestamp(ts, zone).astimezone(zone):%H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        # Another machine's clock: it may say anything.
        return UNKNOWN


def day_and_time(ts: float, zone: tzinfo | None = None) -> str:
    """Return the day and clock time of ``ts`` (epoch seconds) as "2026-03-01 14:22", as ``time_of_day`` does."""
    try:
        return f"{datetime.fromtimestamp(ts, zone).astimezone(zone):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return UNKNOWN


def size(num_bytes: int) -> str:
    """Return a file size in decimal units with two or three digits: "148 MB", "5.9 MB", "812 B"."""
    amount = float(num_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.1f} {unit}" if unit != "B" and amount < 9.95 else f"{amount:.0f} {unit}"


def gib(amount: float | None) -> str:
    """Return an amount of memory in GiB."""
    return UNKNOWN if amount is None else f"{amount:.1f} GiB"


def loss(value: float | None) -> str:
    """Return a loss with four digits: "0.0841"; NaN and infinity by name."""
    if value is None:
        return UNKNOWN
    return f"{value:.4f}" if math.isfinite(value) else str(value)


def speed(it_s: float | None) -> str:
    """Return steps per second, or seconds per step where that is the readable number."""
    if it_s is None or not math.isfinite(it_s) or it_s <= 0:
        return UNKNOWN
    return f"{it_s:.2f} it/s" if it_s >= 1 else f"{1 / it_s:.2f} s/it"


def significant(value: float | None, unit: str) -> str:
    """Return two digits that count, and the unit: "9.2 img/s", "0.012 TFLOP/s", "1240 img/s"."""
    if value is None or not math.isfinite(value) or value < 0:
        return UNKNOWN
    return f"{value:.0f} {unit}" if 10 <= value < _LONGEST_S else f"{value:.2g} {unit}"


def percent(value: float | None) -> str:
    """Return a share (0 to 1, or above) in percent with two digits that count: "1.2 %", "0.0031 %"."""
    return significant(None if value is None else 100 * value, "%")


def share(part: float, whole: float) -> str:
    """Return a part of a whole in percent, never rounded up to 100 %."""
    return UNKNOWN if whole <= 0 else f"{math.floor(100 * part / whole)} %"


def command_result(event: CommandResult) -> str:
    """Return what became of a command, as a sentence."""
    outcome = "done" if event.ok else f"refused [{event.code}]"
    return f"{event.command} by {event.author}: {outcome}" + (f", {event.message}" if event.message else "")


def attach_command(name: str) -> str:
    """Return what to type to come back to a run, whatever its name holds."""
    return f"loratui attach {shlex.quote(name)}"


def resume_command(name: str, epochs: int | None = None, *, elsewhere: bool = False) -> str:
    """Return what to type to go on with a run, to so many epochs or to the end of its plan."""
    to, on = f" --epochs {epochs}" if epochs else "", " --on TARGET" if elsewhere else ""
    return f"loratui resume {shlex.quote(name)}{to}{on}"


_ENDINGS = {
    "stop": "the agent ended",
    "poweroff": "the machine was told to power off",
    "run": "your command was run",
    "end": "the machine asked its provider to end its rental",
}
_CAUSES = {
    "done": "the files are on the laptop",
    "lease": "nobody came for the files",
    "deadline": "the time was up",
    "setup": "no run was ever started",
}


def deadman(event: Deadman) -> str:
    """Return what the box ended by itself, as a sentence."""
    what = _ENDINGS.get(event.action, event.action) if event.ok else f"{event.action} failed"
    return f"{what}: {_CAUSES.get(event.reason, event.reason)}" + (f" ({event.detail})" if event.detail else "")


def one_line(text: str, max_chars: int = MAX_TEXT_CHARS) -> str:
    """Return a text that may be anybody's as one line that commands no terminal."""
    return " ".join(clean(text, max_chars).split())
