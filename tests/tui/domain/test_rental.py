"""The life of a rental: whatever happens in whatever order, nothing that may bill is taken for gone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.rental import Action, Happened, IllegalTransitionError, Limits, RentalState, after, blames_host

_H, _S = Happened, RentalState


def walked(*happened: Happened) -> RentalState:
    state = _S.INTENT
    for each in happened:
        state, _ = after(state, each)
    return state


def test_a_rental_goes_from_its_intent_to_its_proven_end() -> None:
    course = [_H.SENT, _H.CREATED, _H.HAS_ADDRESS, _H.CONNECTED, _H.END_WANTED, _H.SHOWN_GONE]
    states = [walked(*course[:number]) for number in range(len(course) + 1)]
    assert states == [_S.INTENT, _S.CREATING, _S.BOOTING, _S.CONNECTING, _S.READY, _S.ENDING, _S.GONE]


@pytest.mark.parametrize("lost", [_H.REPLY_LOST, _H.TIMED_OUT, _H.END_WANTED])
def test_a_request_without_an_answer_is_looked_for_by_its_label(lost: Happened) -> None:
    assert after(_S.CREATING, lost) == (_S.UNKNOWN, Action.LOOK_BY_LABEL)
    assert walked(_H.SENT, lost, _H.FOUND) is _S.BOOTING
    assert after(_S.UNKNOWN, _H.NOT_FOUND) == (_S.GONE, Action.NEXT_OFFER)
    assert walked(_H.SENT, lost, _H.TIMED_OUT, _H.END_WANTED) is _S.UNKNOWN, "no time and no wish makes it certain"


@pytest.mark.parametrize("wish", [_H.TIMED_OUT, _H.END_WANTED, _H.FAILED])
def test_an_ending_never_times_out_to_gone(wish: Happened) -> None:
    assert after(_S.ENDING, wish) == (_S.ENDING, Action.END)
    assert after(_S.ENDING, _H.SHOWN_GONE) == (_S.GONE, Action.CLOSE)


@pytest.mark.parametrize("state", [_S.BOOTING, _S.CONNECTING, _S.READY])
def test_what_its_provider_shows_gone_unasked_is_lost(state: RentalState) -> None:
    assert after(state, _H.SHOWN_GONE) == (_S.LOST, Action.CLOSE)


@pytest.mark.parametrize("state", [_S.GONE, _S.LOST])
def test_what_was_over_and_is_found_again_has_to_be_ended(state: RentalState) -> None:
    assert after(state, _H.FOUND) == (_S.ENDING, Action.END)


@pytest.mark.parametrize(
    ("state", "happened"),
    [
        (_S.INTENT, _H.CREATED),
        (_S.INTENT, _H.SHOWN_GONE),
        (_S.CREATING, _H.HAS_ADDRESS),
        (_S.UNKNOWN, _H.REFUSED),
        (_S.BOOTING, _H.REFUSED),
        (_S.BOOTING, _H.NOT_FOUND),
        (_S.ENDING, _H.NOT_FOUND),
        (_S.ENDING, _H.CONNECTED),
        (_S.GONE, _H.END_WANTED),
        (_S.LOST, _H.SHOWN_GONE),
    ],
)
def test_what_can_not_happen_is_an_error(state: RentalState, happened: Happened) -> None:
    with pytest.raises(IllegalTransitionError):
        after(state, happened)


@given(st.lists(st.sampled_from(Happened), max_size=30))
def test_a_rental_that_was_made_is_over_only_when_that_was_shown(course: list[Happened]) -> None:
    state, exists = _S.INTENT, False
    for happened in course:
        try:
            state, _ = after(state, happened)
        except IllegalTransitionError:
            continue
        if happened in (_H.CREATED, _H.FOUND):
            exists = True
        if happened is _H.SHOWN_GONE:
            exists = False
        assert not (exists and state.is_over)
        assert not (state.is_over and happened in (_H.TIMED_OUT, _H.FAILED, _H.REPLY_LOST))


def test_states_have_limits_where_waiting_longer_makes_no_sense() -> None:
    limits = Limits(create_s=1.0, boot_s=2.0, connect_s=3.0)
    assert [limits.of(state) for state in (_S.CREATING, _S.BOOTING, _S.CONNECTING)] == [1.0, 2.0, 3.0]
    assert {limits.of(state) for state in (_S.INTENT, _S.UNKNOWN, _S.READY, _S.ENDING, _S.GONE, _S.LOST)} == {None}
    assert (Limits().create_s, Limits().boot_s, Limits().connect_s) == (60.0, 720.0, 300.0)


def test_an_image_that_is_nowhere_is_no_machines_fault() -> None:
    assert blames_host("created: no space left on device")
    assert not blames_host("Error response from daemon: manifest unknown")
    assert not blames_host("TOOMANYREQUESTS: you have reached your pull rate limit")
