"""Everything that the user can do: each screen's actions in a module of its own, checked together when this loads."""

from loratui.ui.actions.everywhere import EVERYWHERE
from loratui.ui.actions.home import HOME
from loratui.ui.actions.lists import LISTS
from loratui.ui.actions.offers import OFFERS
from loratui.ui.actions.run import RUN
from loratui.ui.actions.samples import SAMPLES
from loratui.ui.registry import Registry

ACTIONS = Registry((*HOME, *OFFERS, *RUN, *SAMPLES, *LISTS, *EVERYWHERE))
