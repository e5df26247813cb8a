"""The screens, each with its page: what lies between the tabs and the footer."""

from loratui.ui.page import Page
from loratui.ui.screens.home import HomePage
from loratui.ui.screens.offers import OffersPage
from loratui.ui.screens.run import RunPage
from loratui.ui.screens.samples import SamplesPage

PAGES: tuple[type[Page], ...] = (HomePage, OffersPage, RunPage, SamplesPage)
