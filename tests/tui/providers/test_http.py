"""What is said where no provider answers at all: words, not the system's numbers."""

import socket

import pytest

from loratui.providers.base import ProviderBusyError
from loratui.providers.http import Api


def refusing() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        # No name under this domain exists, by RFC 6761.
        ("http://market.invalid", "its name can't be looked up, as without a network"),
        ("", "it refuses the connection"),
    ],
    ids=["no name", "no listener"],
)
async def test_a_provider_that_is_not_reached_is_told_in_words_with_what_it_means(url: str, why: str) -> None:
    api = Api("vast", url or refusing(), retry_first_s=0.001)
    try:
        with pytest.raises(ProviderBusyError, match=why) as refused:
            await api.order("rent", "PUT", "/")
    finally:
        await api.close()

    assert "nothing was rented" in refused.value.fix
    assert refused.value.code == "provider.unreachable"
