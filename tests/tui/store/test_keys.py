"""Keys of providers: which one counts, where it goes, and that nobody else reads it."""

import stat
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

from loratui.store.keys import Keys
from loratui_protocol.errors import StorageError, UsageError

KEY = "0123456789abcdef-canary"


class Memory(KeyringBackend):
    """A keyring that works."""

    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError


class Forgetful(Memory):
    """One that takes everything and keeps nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


@pytest.fixture
def with_keyring() -> Iterator[Memory]:
    before, memory = keyring.get_keyring(), Memory()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


@pytest.fixture(params=["none", "forgetful"])
def without_keyring(request: pytest.FixtureRequest) -> Iterator[None]:
    from keyring.backends import fail

    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring() if request.param == "none" else Forgetful())  # type: ignore[no-untyped-call]
    yield
    keyring.set_keyring(before)


def test_a_working_keyring_keeps_the_key_and_no_file_does(tmp_path: Path, with_keyring: Memory) -> None:
    keys = Keys(tmp_path, {})
    assert keys.read("vast") is None
    assert keys.keep("vast", KEY) == "the system's keyring"
    found = keys.read("vast")
    assert found is not None
    assert (found.text, found.origin) == (KEY, "the system's keyring")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert keys.read("runpod") is None
    assert keys.forget("vast")
    assert keys.read("vast") is None
    assert not keys.forget("vast")


@pytest.mark.usefixtures("without_keyring")
def test_without_one_a_private_file_does(tmp_path: Path) -> None:
    keys = Keys(tmp_path, {})
    where = Path(keys.keep("vast", KEY))
    assert stat.S_IMODE(where.stat().st_mode) == 0o600
    assert stat.S_IMODE(where.parent.stat().st_mode) == 0o700
    found = keys.read("vast")
    assert found is not None
    assert (found.text, found.origin) == (KEY, str(where))
    assert keys.forget("vast")
    assert keys.read("vast") is None


def test_the_environment_outranks_what_is_kept_and_no_key_shows_itself(tmp_path: Path, with_keyring: Memory) -> None:
    Keys(tmp_path, {}).keep("runpod", KEY)
    found = Keys(tmp_path, {"LORATUI_RUNPOD_API_KEY": " other-key \n"}).read("runpod")
    assert found is not None
    assert (found.text, found.origin) == ("other-key", "LORATUI_RUNPOD_API_KEY")
    assert KEY not in repr(Keys(tmp_path, {}).read("runpod"))


@pytest.mark.usefixtures("without_keyring")
def test_a_key_that_others_can_read_is_no_secret_any_more(tmp_path: Path) -> None:
    keys = Keys(tmp_path, {})
    Path(keys.keep("vast", KEY)).chmod(0o644)
    with pytest.raises(StorageError) as caught:
        keys.read("vast")
    assert caught.value.code == "key.public"
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("text", ["", "short", "two words and more", "a\nb" * 5, "ключ-ключ-ключ", "x" * 5000])
def test_what_is_no_key_is_not_kept(tmp_path: Path, with_keyring: Memory, text: str) -> None:
    with pytest.raises(UsageError):
        Keys(tmp_path, {}).keep("vast", text)
    assert not with_keyring.kept
