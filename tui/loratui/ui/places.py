"""The screens and their keys, in the order of the tabs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A screen. ``about`` says in a few words what is to be seen there."""

    key: str
    name: str
    title: str
    about: str


PLACES = (
    Place(key="1", name="home", title="Home", about="all runs, and what bills"),
    Place(key="2", name="data", title="Data", about="the pictures, their captions, and what is wrong with them"),
    Place(key="3", name="config", title="Config", about="a training config as a form, with its plan"),
    Place(key="4", name="offers", title="Offers", about="what can be rented for the open config, and for how much"),
    Place(key="5", name="run", title="Run", about="the run that is open"),
    Place(key="6", name="queue", title="Queue", about="the runs of one machine in their order"),
    Place(key="7", name="files", title="Files", about="all LoRAs made here, and where they are"),
    Place(key="8", name="samples", title="Samples", about="the sample pictures of the open run"),
    Place(key="9", name="log", title="Log", about="the whole log of the open run"),
)
ASIDE = (
    Place(key="!", name="events", title="Events", about="what was said here, missed or not, the newest first"),
    Place(key=",", name="settings", title="Settings", about="how loratui is set, and where each setting comes from"),
)
"""Screens without a tab, from which one goes back to the one before."""
