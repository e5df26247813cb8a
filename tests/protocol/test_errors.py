import inspect

import pytest

from loratui_protocol import errors
from loratui_protocol.errors import ConfigError, LoratuiError

ALL = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, LoratuiError)]


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_every_error_says_what_happened_what_to_do_and_a_code(cls: type[LoratuiError]) -> None:
    error = cls("the disk is full", fix="free 2 GiB")
    assert (error.what, error.fix, error.code) == ("the disk is full", "free 2 GiB", cls.default_code)
    assert str(error) == f"[{cls.default_code}] the disk is full\n  fix: free 2 GiB"


def test_a_code_may_be_refined_and_a_fix_may_be_missing() -> None:
    assert str(ConfigError("no such key", code="config.unknown_key")) == "[config.unknown_key] no such key"


def test_codes_are_the_errors_own() -> None:
    codes = [cls.default_code for cls in ALL]
    assert len(set(codes)) == len(codes)


def test_exit_statuses_are_those_of_the_command_line() -> None:
    statuses = {cls.__name__: cls.exit_status for cls in ALL}
    assert statuses == {
        "LoratuiError": 1,
        "UsageError": 2,
        "ConfigError": 3,
        "DatasetError": 3,
        "ModelError": 3,
        "ProtocolError": 4,
        "AgentUnreachableError": 4,
        "AgentRefusedError": 4,
        "HostError": 4,
        "JobError": 1,
        "StorageError": 1,
        "ExtraMissingError": 69,
    }


def test_the_tree_in_the_docstring_names_every_error() -> None:
    assert errors.__doc__
    assert all(cls.__name__ in errors.__doc__ for cls in ALL)
