"""Everything that the user can do: each screen's actions in a module of its own, checked together when this loads."""

from loratui.ui.actions.aside import ASIDE
from loratui.ui.actions.chart import CHART
from loratui.ui.actions.config import CONFIG
from loratui.ui.actions.data import DATA
from loratui.ui.actions.everywhere import EVERYWHERE
from loratui.ui.actions.files import FILES
from loratui.ui.actions.home import HOME
from loratui.ui.actions.lists import LISTS
from loratui.ui.actions.log import LOG_LINES
from loratui.ui.actions.money import MONEY
from loratui.ui.actions.offers import OFFERS
from loratui.ui.actions.queue import QUEUE
from loratui.ui.actions.run import RUN
from loratui.ui.actions.samples import SAMPLES
from loratui.ui.registry import Registry

ACTIONS = Registry(
    (
        *MONEY,
        *HOME,
        *DATA,
        *CONFIG,
        *OFFERS,
        *RUN,
        *CHART,
        *QUEUE,
        *FILES,
        *SAMPLES,
        *LOG_LINES,
        *ASIDE,
        *LISTS,
        *EVERYWHERE,
    )
)
