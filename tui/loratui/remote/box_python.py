"""A Python for boxes that have none, or only one that is too old: uv is sent there, and uv fetches it.

It comes from uv's usual place for such builds, or from the mirror that uv's own variables name on this machine.
"""

import asyncio
import contextlib
import gzip
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from loratui.domain.box import BoxFacts
from loratui.domain.environment_choice import usable_uv
from loratui.remote.address import is_sayable
from loratui.remote.bootstrap import raise_if_error
from loratui.remote.box import Box
from loratui.remote.unpack_program import refusal_of
from loratui_protocol.codec import clean
from loratui_protocol.errors import HostError, UsageError
from loratui_protocol.framing import new_nonce

log = logging.getLogger(__name__)
VERSION = "3.12"
TIMEOUT_S = 900.0
_PASSED_ON = ("UV_PYTHON_INSTALL_MIRROR", "UV_PYTHON_DOWNLOADS_JSON_URL")
_BLOCK_BYTES = 1 << 18
_LEVEL = 1

# $1 home, $2 uv ("push": it comes on standard input), $3 version, $4 nonce, $5 a double quote. No single quote, no
# backslash, no exclamation mark: every login shell must take it for one word.
_SCRIPT = " ".join(
    (
        "umask 077;",
        # As unpack_program has it: a folder that bears the marker is removed as a whole one day.
        'case $1 in */.loratui) ;; *) if [ -e "$1" ]; then',
        '[ -e "$1/.loratui-home" ] || { l=$(ls -A "$1") && [ -z "$l" ]; } ||',
        '{ echo; echo "@@loratui $4 {${5}foreign${5}: 1}"; exit 1; }; fi;; esac;',
        'mkdir -p "$1/tools" "$1/python" && touch "$1/.loratui-home" || exit 1;',
        'if [ "$2" = push ]; then t="$1/tools/.uv.$$";',
        'gzip -dc >"$t" && chmod 700 "$t" && mv -f "$t" "$1/tools/uv" || { rm -f "$t"; exit 1; };',
        'u="$1/tools/uv"; else u=$2; fi;',
        'echo; echo "@@loratui $4 {${5}uv${5}: 1}";',
        'export UV_PYTHON_INSTALL_DIR="$1/python" UV_CACHE_DIR="$1/cache/uv" UV_NO_CONFIG=1;',
        '"$u" python install --no-bin --no-progress "$3" </dev/null || exit 1;',
        'p=$("$u" python find --managed-python --no-project "$3" </dev/null) || exit 1;',
        'echo; echo "@@loratui $4 {${5}python${5}: $5$p$5}"',
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSource:
    """Where a box gets its Python from. ``cache_dir`` keeps uv on this machine, ``index_url`` is where it is from."""

    cache_dir: Path
    index_url: str
    version: str = VERSION
    variables: Mapping[str, str]
    """uv's own, for the box: its mirror."""

    @classmethod
    def of(
        cls, cache_dir: Path, index_url: str, environ: Mapping[str, str] = os.environ, version: str = VERSION
    ) -> "PythonSource":
        """Return the source with the mirror that this machine's uv would use."""
        variables = {name: environ[name] for name in _PASSED_ON if environ.get(name)}
        if not is_sayable(variables):
            raise UsageError(f"{' or '.join(variables)} holds characters that can't be passed on", code="python.mirror")
        return cls(cache_dir=cache_dir, index_url=index_url, version=version, variables=variables)


async def bring_python(
    box: Box, facts: BoxFacts, home: str, source: PythonSource, say: Callable[[str, str, float], None]
) -> str:
    """Return the path of a Python on the box that can run the agent; it is kept below ``home``.

    Raises:
        HostError: ``host.home`` (the folder holds other things), ``host.uv``, ``host.system``, or ``host.python``: uv
            could not fetch one there.
    """
    try:
        own = usable_uv(facts)
        if own and is_sayable({"uv": own}):
            try:
                return await _install(box, home, own, b"", source, say)
            except HostError as error:
                if error.code != "ssh.command":
                    raise
                log.info("host=%s uv=%s version=%s does not serve: %s", box.name, own, facts.uv_version, error.what)
        # It takes a while to load, and most boxes have a Python.
        from loratui.remote.uv_binary import uv_binary

        program = await uv_binary(facts.machine, facts.libc, source.cache_dir, source.index_url)
        content = await asyncio.to_thread(lambda: gzip.compress(program.read_bytes(), _LEVEL, mtime=0))
        return await _install(box, home, "push", content, source, say)
    except HostError as error:
        if error.code != "ssh.command":
            raise
        raise HostError(
            f"{box.name} has no Python 3.11 or later, and none could be installed: {error.what}",
            fix="install Python 3.11 or later there, or set UV_PYTHON_INSTALL_MIRROR here to a mirror it can reach",
            code="host.python",
        ) from error


async def _install(
    box: Box, home: str, uv: str, content: bytes, source: PythonSource, say: Callable[[str, str, float], None]
) -> str:
    """Have ``uv`` install Python; "push": ``content`` is uv, compressed."""
    started_s = time.monotonic()
    nonce = new_nonce()
    variables = [f"{name}={text}" for name, text in source.variables.items()]
    argv = ["/usr/bin/env", *variables, "/bin/sh", "-c", _SCRIPT, "sh", home, uv, source.version, nonce, '"']
    try:
        async with asyncio.timeout(TIMEOUT_S), box.process(argv, nonce) as process:
            # It may refuse before it took everything in: then what it says counts.
            with contextlib.suppress(HostError):
                for start in range(0, len(content), _BLOCK_BYTES):
                    await process.write(content[start : start + _BLOCK_BYTES])
                await process.write_eof()
            if "foreign" in await process.frame():
                raise_if_error(box, {"error": refusal_of(home)})
            if content:
                say("python", f"uv sent, {len(content) >> 20} MiB", time.monotonic() - started_s)
            python = (await process.frame()).get("python")
    except TimeoutError as error:
        raise HostError(
            f"{box.name} did not get its Python within {TIMEOUT_S / 60:.0f} minutes",
            fix="install Python 3.11 or later there",
            code="host.python",
        ) from error
    if not isinstance(python, str) or not python.startswith(f"{home}/python/") or not is_sayable({"python": python}):
        raise HostError(
            f"{box.name} names {clean(str(python), 200)!r} as the Python that was installed", code="host.python"
        )
    say("python", f"Python {source.version} installed", time.monotonic() - started_s)
    return python
