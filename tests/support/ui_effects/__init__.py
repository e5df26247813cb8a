"""What each action must bring about on the screen: a module for each screen, and all of them together."""

from support.ui_effects.config import CONFIG
from support.ui_effects.data import DATA
from support.ui_effects.everywhere import EVERYWHERE
from support.ui_effects.files import FILES
from support.ui_effects.home import HOME
from support.ui_effects.lists import LISTS
from support.ui_effects.log import LOG_LINES
from support.ui_effects.money import MONEY
from support.ui_effects.offers import OFFERS
from support.ui_effects.queue import QUEUE
from support.ui_effects.run import RUN
from support.ui_effects.samples import SAMPLES

EFFECTS = {
    **MONEY,
    **HOME,
    **DATA,
    **CONFIG,
    **OFFERS,
    **RUN,
    **QUEUE,
    **FILES,
    **SAMPLES,
    **LOG_LINES,
    **LISTS,
    **EVERYWHERE,
}
