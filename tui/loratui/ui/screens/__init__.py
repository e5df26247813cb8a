"""The screens, each with its page: what lies between the tabs and the footer."""

from loratui.ui.page import Page
from loratui.ui.screens.config import ConfigPage
from loratui.ui.screens.data import DataPage
from loratui.ui.screens.files import FilesPage
from loratui.ui.screens.home import HomePage
from loratui.ui.screens.log import LogPage
from loratui.ui.screens.offers import OffersPage
from loratui.ui.screens.queue import QueuePage
from loratui.ui.screens.run import RunPage
from loratui.ui.screens.samples import SamplesPage

PAGES: tuple[type[Page], ...] = (
    HomePage,
    DataPage,
    ConfigPage,
    OffersPage,
    RunPage,
    QueuePage,
    FilesPage,
    SamplesPage,
    LogPage,
)
