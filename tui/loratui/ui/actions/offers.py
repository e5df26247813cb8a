"""What can be done with what is to be rented."""

from loratui.ui.frame import Frame
from loratui.ui.registry import Action, Danger, Scope
from loratui.ui.widgets.status import is_renting


def _no_change(frame: Frame) -> str:
    return "this screen is read-only" if frame.options.readonly else ""


OFFERS = (
    Action(
        id="rent_give_up",
        keys=("x",),
        label="Give the rental up…",
        help="end what is being rented before a run has begun there; asks first",
        scope=Scope.OFFERS,
        opens=Scope.GIVE_UP_STRIP,
        footer=lambda frame: "Give up…" if any(is_renting(errand) for errand in frame.errands) else "",
        why_not=_no_change,
        command="loratui terminate RENTAL",
    ),
    Action(
        id="rent",
        keys=("enter",),
        label="Rent…",
        help="rent the chosen offer and train the open config there; says what it costs, and asks first",
        scope=Scope.OFFERS,
        footer=lambda _: "Rent…",
        opens=Scope.RENT_STRIP,
        or_opens=Scope.RIGHTS_STRIP,
        why_not=_no_change,
        command="loratui train CONFIG --on PROVIDER --offer ID --budget USD",
    ),
    Action(
        id="sort_offers",
        keys=("s",),
        label="Sort",
        help="by the total of the run, the hourly price, the time, or how reliable the machine is",
        scope=Scope.OFFERS,
        footer=lambda _: "Sort",
    ),
    Action(
        id="ask_offers",
        keys=("r",),
        label="Refresh",
        help="ask the providers again",
        scope=Scope.OFFERS,
        footer=lambda _: "Refresh",
        command="loratui offers --for CONFIG",
    ),
    Action(
        id="provider_keys",
        keys=("p",),
        label="Provider keys",
        help="enter a provider's key, hidden; it is tried before it is kept",
        scope=Scope.OFFERS,
        footer=lambda _: "Keys",
        opens=Scope.KEYS_STRIP,
        why_not=_no_change,
        command="loratui keys PROVIDER",
    ),
    Action(
        id="offers_for",
        keys=("o",),
        label="Open a config",
        help="say for which config offers are asked",
        scope=Scope.OFFERS,
        footer=lambda _: "Config",
        command="loratui offers --for CONFIG",
    ),
    Action(
        id="offers_back",
        keys=("escape",),
        label="Back to the offers",
        help="close what is said of a rental",
        scope=Scope.OFFERS,
    ),
    Action(
        id="rights_given",
        keys=("m",),
        label="They are mine, or I may",
        help="the answer is kept with the run",
        scope=Scope.RIGHTS_STRIP,
        opens=Scope.RENT_STRIP,
        why_not=_no_change,
        command="loratui train CONFIG --on PROVIDER",
    ),
    Action(
        id="rights_refused",
        keys=("n",),
        label="I may not",
        help="nothing is rented; the answer is kept",
        scope=Scope.RIGHTS_STRIP,
        why_not=_no_change,
    ),
    Action(
        id="rights_cancel", keys=("escape",), label="Don't rent", help="close the question", scope=Scope.RIGHTS_STRIP
    ),
    Action(
        id="rent_confirm",
        keys=("y",),
        label="Rent it and start",
        help="money is spent from now on, up to the cap",
        scope=Scope.RENT_STRIP,
        danger=Danger.SPENDS,
        why_not=_no_change,
        command="loratui train CONFIG --on PROVIDER --offer ID --budget USD",
    ),
    Action(
        id="rent_budget",
        keys=("b",),
        label="Another cap",
        help="say how much may be spent at most",
        scope=Scope.RENT_STRIP,
    ),
    Action(id="rent_cancel", keys=("escape",), label="Don't rent", help="close the question", scope=Scope.RENT_STRIP),
    Action(
        id="give_up_confirm",
        keys=("y",),
        label="End it",
        help="what was rented is ended, and proven to be",
        scope=Scope.GIVE_UP_STRIP,
        danger=Danger.IRREVERSIBLE,
        why_not=_no_change,
        command="loratui terminate RENTAL",
    ),
    Action(id="give_up_cancel", keys=("escape",), label="Go on", help="close the question", scope=Scope.GIVE_UP_STRIP),
    Action(
        id="key_of_vast",
        keys=("v",),
        label="vast",
        help="enter the key of Vast.ai",
        scope=Scope.KEYS_STRIP,
        why_not=_no_change,
        command="loratui keys vast",
    ),
    Action(
        id="key_of_runpod",
        keys=("r",),
        label="runpod",
        help="enter the key of RunPod",
        scope=Scope.KEYS_STRIP,
        why_not=_no_change,
        command="loratui keys runpod",
    ),
    Action(id="keys_cancel", keys=("escape",), label="None", help="close the question", scope=Scope.KEYS_STRIP),
)
