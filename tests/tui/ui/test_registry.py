"""The rules that keys keep."""

import pytest

from loratui.ui.actions import ACTIONS
from loratui.ui.app import LoratuiApp
from loratui.ui.jump import Jump
from loratui.ui.money import Money
from loratui.ui.pages import page_class
from loratui.ui.places import ASIDE, PLACES
from loratui.ui.registry import Action, Danger, KeyConflictError, Registry, Scope, shown
from loratui.ui.screens.run import RunPage
from loratui.ui.shell import Shell
from loratui.ui.widgets.help import HelpPane
from loratui.ui.yank import Yank

PAGES = [page_class(place.name) for place in (*PLACES, *ASIDE)]


def action(key: str, scope: Scope = Scope.RUN, danger: Danger = Danger.SAFE, **more: object) -> Action:
    return Action(
        id=f"{scope.name}.{key}.{danger}", keys=(key,), label=key, help="", scope=scope, danger=danger, **more
    )


def test_one_key_can_not_mean_two_things_at_once() -> None:
    with pytest.raises(KeyConflictError, match="share k"):
        Registry([action("k", Scope.RUN), action("k", Scope.CHART)])


def test_a_global_key_is_taken_everywhere() -> None:
    with pytest.raises(KeyConflictError, match="share k"):
        Registry([action("k", Scope.GLOBAL), action("k", Scope.STOP_STRIP)])


def test_a_key_of_all_screens_is_not_one_of_theirs() -> None:
    with pytest.raises(KeyConflictError, match="share k"):
        Registry([action("k", Scope.PAGES), action("k", Scope.OFFERS)])
    with pytest.raises(KeyConflictError, match="share k"):
        Registry([action("k", Scope.LIST), action("k", Scope.OFFERS)])


def test_scopes_that_never_meet_may_use_the_same_key() -> None:
    registry = Registry([action("k", Scope.STOP_STRIP), action("k", Scope.RUN)])

    assert registry.find("k", (Scope.RUN,)) is registry["RUN.k.0"]
    assert registry.find("k", (Scope.STOP_STRIP,)) is registry["STOP_STRIP.k.0"]
    assert registry.find("k", (Scope.HELP,)) is None


def test_a_slip_of_the_shift_key_can_do_no_harm() -> None:
    with pytest.raises(KeyConflictError, match="only by shift"):
        Registry([action("d", danger=Danger.IRREVERSIBLE), action("D")])


def test_two_harmless_actions_may_differ_by_shift() -> None:
    assert len(list(Registry([action("d"), action("D")]))) == 2


@pytest.mark.parametrize("key", ["ctrl+s", "ctrl+z", "ctrl+m", "ctrl+b", "ctrl+i", "alt+x", "shift+enter"])
def test_keys_that_terminals_swallow_are_refused(key: str) -> None:
    with pytest.raises(KeyConflictError, match="does not reach"):
        Registry([action(key)])


@pytest.mark.parametrize("key", ["enter", "space"])
def test_harm_is_never_done_by_enter_or_space(key: str) -> None:
    with pytest.raises(KeyConflictError, match="without thinking"):
        Registry([action(key, danger=Danger.IRREVERSIBLE)])


def test_a_question_is_not_answered_with_the_key_that_asked_it() -> None:
    asking = action("x", Scope.RUN, opens=Scope.STOP_STRIP)
    answering = action("x", Scope.STOP_STRIP, danger=Danger.IRREVERSIBLE)

    with pytest.raises(KeyConflictError, match="confirmed with the key"):
        Registry([asking, answering])


def test_keys_are_shown_as_people_read_them() -> None:
    assert [shown(key) for key in ("ctrl+p", "f2", "escape", "left", "f", "?")] == ["^p", "F2", "esc", "←", "f", "?"]


def test_every_action_can_be_done() -> None:
    always = (RunPage, Money, HelpPane, Jump, Yank, Shell, LoratuiApp)
    for entry in ACTIONS:
        asking = {other.scope for other in ACTIONS if entry.scope in (other.opens, other.or_opens)}
        scopes = {entry.scope, *asking}
        pages = [page for page in PAGES if scopes & {*page.own_scopes} or entry.scope in (Scope.LIST, Scope.MARKS)]
        does = f"do_{entry.id}"
        assert entry.id.startswith("go_") or any(hasattr(owner, does) for owner in (*pages, *always)), entry.id


def test_every_screen_has_its_key() -> None:
    assert [place.name for place in (*PLACES, *ASIDE)] == [page.place for page in PAGES]
    assert len({place.key for place in (*PLACES, *ASIDE)}) == len(PAGES)


def test_every_irreversible_action_is_asked_first() -> None:
    strips = {strip for entry in ACTIONS for strip in (entry.opens, entry.or_opens) if strip is not None}

    assert {entry.scope for entry in ACTIONS if entry.danger is Danger.IRREVERSIBLE} <= strips
