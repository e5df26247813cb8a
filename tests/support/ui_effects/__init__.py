"""What each action must bring about on the screen: a module for each screen, and all of them together."""

from support.ui_effects.everywhere import EVERYWHERE
from support.ui_effects.home import HOME
from support.ui_effects.lists import LISTS
from support.ui_effects.offers import OFFERS
from support.ui_effects.run import RUN
from support.ui_effects.samples import SAMPLES

EFFECTS = {**HOME, **OFFERS, **RUN, **SAMPLES, **LISTS, **EVERYWHERE}
