"""An agent's home and a server of base models on loopback, that is asked again at once."""

import pytest

from loratui_agent.fetch import download
from loratui_agent.fetch.address import LOOPBACK_VARIABLE
from loratui_agent.secrets import forget_secrets
from loratui_protocol.paths import AgentHome
from support.model_server import model_server


@pytest.fixture
def home(tmp_path):
    home = AgentHome(tmp_path / "home")
    home.run.mkdir(parents=True)
    yield home
    forget_secrets(home)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv(LOOPBACK_VARIABLE, "1")
    monkeypatch.setattr(download, "_RETRY_FIRST_S", 0.01)
    monkeypatch.setattr(download, "_RETRY_LAST_S", 0.01)
    with model_server() as server:
        yield server
