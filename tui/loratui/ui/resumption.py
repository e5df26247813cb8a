"""How a run that has stopped goes on: with which command, and what is asked before."""

from dataclasses import dataclass

from loratui.domain import formatting
from loratui.domain.overview import RunLine
from loratui.ui.frame import Frame
from loratui.ui.questions import Question
from loratui.ui.text import Role
from loratui_protocol.messages import JobState

LOCAL = "local"
MARKETS = ("vast", "runpod", "cheapest")
RESUMABLE = (JobState.PAUSED, JobState.STOPPED, JobState.FAILED)


@dataclass(frozen=True, slots=True)
class Resumption:
    """A run that is to go on: where it is, or on ``target``, there with a budget if it is rented for it."""

    line: RunLine
    target: str = ""
    budget_microusd: int = 0
    epochs: int | None = None
    """How many it is to have in all; None: as it was planned."""
    says: str = ""
    """What that takes and costs, as far as it was reckoned."""

    @property
    def is_paid(self) -> bool:
        """Return whether it costs something that can be told."""
        return bool(self.budget_microusd) if self.target else bool(self.line.price_microusd_per_h)

    @property
    def argv(self) -> tuple[str, ...]:
        """Return the command."""
        on = ("--on", self.target) if self.target else ()
        budget = ("--budget", formatting.dollars_at_least(self.budget_microusd)) if self.budget_microusd else ()
        to = ("--epochs", str(self.epochs)) if self.epochs else ()
        return ("resume", self.line.id, "--yes", "--detach", *to, *on, *budget)

    def question(self, _: Frame) -> Question:
        """Ask whether it is to go on at that price."""
        if self.target:
            most = formatting.money(self.budget_microusd)
            stake = f"A machine is rented for at most {most}; then it is saved, fetched and ended."
        elif self.is_paid:
            stake = f"Its machine costs {formatting.hourly_price(self.line.price_microusd_per_h)} while it trains."
        else:
            stake = "No price is set for its machine."
        if self.says:
            stake = f"{self.says}. {stake}"
        place = self.target or self.line.target
        title = (("RESUME", Role.TITLE), (f" {self.line.name}", Role.STRONG), (f" ({place})", Role.DIM))
        return Question(title=title, stake=stake)
