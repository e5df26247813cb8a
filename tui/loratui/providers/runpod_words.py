"""What RunPod's sentences mean where it has no code for it: words that its own tests and its users have seen. Pure."""

_NO_CAPACITY = (
    "no longer any instances available",
    "no instances",
    "please refresh and try again",
    "does not have the resources",
    "try a different machine",
    "insufficient capacity",
    "no capacity",
    "out of stock",
    "could not be placed",
)
_PASSING = ("something went wrong", "please try again later")
_NO_BALANCE = ("your balance", "insufficient balance", "account balance", "insufficient funds", "not enough credit")
_LIMIT = ("spend limit", "spending limit", "spend rate")
_OF_THE_KEY = ("scope", "api key", "permission", "token", "read-only", "read only")
_WILL_NOT_RUN = (
    "failed to pull image",
    "toomanyrequests",
    "manifest unknown",
    "manifest for",
    "pull access denied",
    "error creating container",
    "error response from daemon",
    "oci runtime create failed",
    "no space left on device",
)
_RUNS_AFTER_ALL = ("downloaded newer image", "image is up to date", "start container", "started container")


def means_no_capacity(said: str) -> bool:
    """Return whether a refusal says that there is no such machine now. No code says so, only words do."""
    return _has(said, _NO_CAPACITY)


def means_passing(said: str) -> bool:
    """Return whether a refusal asks for another try."""
    return _has(said, _PASSING)


def means_no_balance(said: str) -> bool:
    """Return whether a refusal is about the account's money."""
    return _has(said, _NO_BALANCE)


def means_limit(said: str) -> bool:
    """Return whether a refusal is about how much the account may spend an hour."""
    return _has(said, _LIMIT)


def means_key(said: str) -> bool:
    """Return whether a refusal is about what the key may do; else it is about what the account may rent."""
    return _has(said, _OF_THE_KEY)


def means_failure(line: str) -> bool:
    """Return whether a line of a pod's log says that its container will not run."""
    return _has(line, _WILL_NOT_RUN)


def means_start(line: str) -> bool:
    """Return whether a line of a pod's log says that it runs, or is about to."""
    return _has(line, _RUNS_AFTER_ALL)


def _has(said: str, words: tuple[str, ...]) -> bool:
    folded = said.casefold()
    return any(word in folded for word in words)
