"""What a server means that gives no model: said alike by the laptop, before anything is rented, and by a box."""

from loratui_protocol.errors import ModelError


def refusal(status: int, shown: str, page: str, *, has_token: bool) -> ModelError | None:
    """Return what a status says of a model, None where it says nothing for certain.

    ``shown`` is what was asked for, ``page`` where a person can read of it. ``has_token``: one was sent along. Hubs
    answer 401 to strangers also where there is nothing, so that nobody learns of private models.
    """
    if status in (404, 410):
        return ModelError(
            f"the model {shown} is not there ({status})",
            fix="check its name and revision; a private one needs a token: --ask-token",
            code="model.missing",
        )
    if status not in (401, 403):
        return None
    if not has_token:
        return ModelError(
            f"the model {shown} is not there, or not for everyone ({status}; no token was given)",
            fix=f"check its name; accept its licence at {page}, make a token that may read it, and add --ask-token",
            code="model.gated",
        )
    if status == 401:
        return ModelError(
            f"the model {shown} is refused: the token that was given is not valid there ({status})",
            fix="make a new token, or copy it again, and enter it whole: --ask-token",
            code="model.token",
        )
    return ModelError(
        f"the model {shown} is not open to the token that was given ({status}): it is valid, but its account was "
        "not let in, or it may not read gated models",
        fix=f"accept the licence at {page} with that account, or let the token read gated models, and add --ask-token",
        code="model.gated",
    )
