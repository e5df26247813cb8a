"""Programs on the box: their answers are found in any noise, and nothing of them stays."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from loratui.remote.ssh import Instance, SshBox, parse_target
from loratui_protocol.errors import HostError, LoratuiError, ProtocolError
from loratui_protocol.framing import new_nonce
from support.agent_process import wait_until
from support.sshd import SLOW_AND_NOISY_RC, Sshd, sshd

ANSWER = r"""printf '\n@@loratui %s {"n": %s}\n' "$1" "$2" """


@pytest.fixture
def answer(tmp_path: Path) -> str:
    """A script that answers with a frame, as programs of ours do; its arguments are the nonce and a number."""
    path = tmp_path / "answer"
    path.write_text(ANSWER)
    return str(path)


@asynccontextmanager
async def box_of(server: Sshd, instance: Instance) -> AsyncIterator[SshBox]:
    server.authorize(instance.key())
    box = SshBox(parse_target(server.target), instance)
    try:
        yield box
    finally:
        await box.close()


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "script"
    path.write_text(text)
    return str(path)


async def ask(box: SshBox, answer: str, number: int = 1) -> int:
    nonce = new_nonce()
    async with box.process(["/bin/sh", answer, nonce, str(number)], nonce) as process:
        got = (await process.frame())["n"]
        assert await process.wait() == 0
    return int(got)


async def test_answer_is_found_behind_slow_and_noisy_start_up_files(
    tmp_path: Path, instance: Instance, answer: str
) -> None:
    with sshd(tmp_path / "d", rc=SLOW_AND_NOISY_RC, banner="hello\n") as server:
        async with box_of(server, instance) as box:
            assert await ask(box, answer, 7) == 7


@pytest.mark.parametrize("shell", ["dash", "zsh", "fish", "tcsh"])
async def test_every_login_shell_gets_the_same_words(tmp_path: Path, instance: Instance, shell: str) -> None:
    path = shutil.which(shell)
    if not path:
        pytest.skip(f"{shell} is not installed")
    words = [
        "plain",
        "two words",
        "a=b",
        "$HOME",
        "`id`",
        "*",
        "~",
        "#x",
        "a;b|c&d",
        '"quoted"',
        "{a,b}",
        "[x]",
        "(y)",
        "<z>",
        "ä",
    ]
    arguments = script(
        tmp_path,
        r"""nonce=$1; shift; printf '\n@@loratui %s [%s, "%s"]\n' "$nonce" "$#" "" >&2
        printf '%s\n' "$@" > "${0%/*}/words"; printf '\n@@loratui %s {"n": %s}\n' "$nonce" "$#" """,
    )
    nonce = new_nonce()
    with sshd(tmp_path / "d", shell=path) as server:
        async with (
            box_of(server, instance) as box,
            box.process(["/bin/sh", arguments, nonce, *words], nonce) as process,
        ):
            assert (await process.frame())["n"] == len(words)
    assert (tmp_path / "words").read_text().splitlines() == words


async def test_bytes_reach_the_program_unchanged_and_it_has_no_terminal(
    plain_sshd: Sshd, instance: Instance, tmp_path: Path
) -> None:
    nonce = new_nonce()
    counting = script(
        tmp_path,
        r"""test -t 0 && exit 9; test -t 1 && exit 9
        printf '\n@@loratui %s {"sum": "%s"}\n' "$1" "$(cksum)" """,
    )
    content = bytes(range(256)) * 4096
    async with box_of(plain_sshd, instance) as box, box.process(["/bin/sh", counting, nonce], nonce) as process:
        for start in range(0, len(content), 100_000):
            await process.write(content[start : start + 100_000])
        await process.write_eof()
        assert (await process.frame())["sum"].split()[1] == str(len(content))
        assert await process.wait() == 0


async def test_program_that_has_nothing_more_to_say_goes_on_reading(
    plain_sshd: Sshd, instance: Instance, tmp_path: Path
) -> None:
    reading = script(tmp_path, 'exec > /dev/null 2>&1; exec wc -c > "${0%/*}/read"')
    async with box_of(plain_sshd, instance) as box, box.process(["/bin/sh", reading]) as process:
        for _ in range(64):
            await process.write(bytes(1 << 16))
        await process.write_eof()
        assert await process.wait() == 0
    assert int((tmp_path / "read").read_text()) == 4 << 20


async def test_program_that_ends_without_an_answer_is_quoted_without_its_escapes(
    plain_sshd: Sshd, instance: Instance, tmp_path: Path
) -> None:
    failing = script(
        tmp_path,
        r"""printf 'x%.0s' $(seq 50000) >&2; printf '\033]52;c;ZXZpbA==\007no such \033[31mthing\n' >&2; exit 3""",
    )
    async with box_of(plain_sshd, instance) as box, box.process(["/bin/sh", failing], new_nonce()) as process:
        with pytest.raises(HostError) as caught:
            await process.frame()
        assert await process.wait() == 3
    assert caught.value.code == "ssh.command"
    assert "status 3" in caught.value.what
    assert "thing" in caught.value.what
    assert caught.value.what.isprintable()
    assert len(caught.value.what) < 1000


async def test_program_that_is_not_there_is_said(plain_sshd: Sshd, instance: Instance) -> None:
    async with box_of(plain_sshd, instance) as box, box.process(["/no/such/program"], new_nonce()) as process:
        with pytest.raises(HostError, match="127"):
            await process.frame()


@pytest.mark.parametrize("stream", ["", ">&2"])
async def test_flood_is_bounded_and_does_not_hold_up_the_answer(
    plain_sshd: Sshd, instance: Instance, tmp_path: Path, stream: str
) -> None:
    """512 KiB of anything is only noise; more than a window of it on standard error is, too."""
    amount = 24_000 if stream else 512
    flood = script(
        tmp_path, rf"""head -c {amount}k /dev/zero | tr '\0' 'x' {stream}; printf '\n@@loratui %s {{}}\n' "$1" """
    )
    nonce = new_nonce()
    async with box_of(plain_sshd, instance) as box, box.process(["/bin/sh", flood, nonce], nonce) as process:
        assert await process.frame() == {}


async def test_program_that_prints_without_end_is_given_up(plain_sshd: Sshd, instance: Instance) -> None:
    async with box_of(plain_sshd, instance) as box:
        async with asyncio.timeout(10), box.process(["/usr/bin/yes"], new_nonce()) as process:
            with pytest.raises(ProtocolError) as caught:
                await process.frame()
        assert caught.value.code == "ssh.noise"
        async with box.process(["/bin/true"]) as process:
            assert await process.wait() == 0


async def test_frames_without_end_are_not_piled_up(plain_sshd: Sshd, instance: Instance, tmp_path: Path) -> None:
    nonce = new_nonce()
    counting = script(
        tmp_path, r"""i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo "@@loratui $1 {\"i\": $i}"; done"""
    )
    async with box_of(plain_sshd, instance) as box, box.process(["/bin/sh", counting, nonce], nonce) as process:
        for expected in range(1, 20001):
            assert (await process.frame())["i"] == expected
        with pytest.raises(HostError):
            await process.frame()


async def test_large_frames_that_nobody_takes_hold_the_program_back(
    plain_sshd: Sshd, instance: Instance, tmp_path: Path
) -> None:
    nonce, count = new_nonce(), tmp_path / "count"
    large = script(
        tmp_path,
        f"""long=$(head -c 1000000 /dev/zero | tr '\\0' x); i=0
        while [ $i -lt 200 ]; do i=$((i+1)); echo "@@loratui $1 {{\\"t\\": \\"$long\\"}}"; echo $i > {count}; done""",
    )

    def printed() -> int:
        return int(count.read_text() or 0) if count.exists() else 0

    async with box_of(plain_sshd, instance) as box, box.process(["/bin/sh", large, nonce], nonce) as process:
        before = -1
        while printed() != before:
            before = printed()
            async with box.process(["/bin/sleep", "0.5"]) as pause:
                assert await pause.wait() == 0
        # What is queued, and a window of what has not been looked at.
        assert 8 <= before <= 40
        for _ in range(200):
            assert await process.frame()
        assert printed() == 200


def names(server: Sshd) -> list[str]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [process.name() for process in server.processes()]
    return ["one that just ended"]


async def test_program_is_ended_with_its_block(tmp_path: Path, instance: Instance) -> None:
    reading = script(tmp_path, 'trap "" HUP TERM; exec cat > /dev/null 2>&1')
    with sshd(tmp_path / "d") as server:
        async with box_of(server, instance) as box:
            async with box.process(["/bin/sh", reading]):
                await asyncio.to_thread(wait_until, lambda: "cat" in names(server), "the program")
            await asyncio.to_thread(wait_until, lambda: "cat" not in names(server), "its end")


async def test_broken_link_is_told_to_everyone_who_waits_and_mended_for_the_next(
    tmp_path: Path, instance: Instance, answer: str
) -> None:
    with sshd(tmp_path / "d") as server:
        async with box_of(server, instance) as box:
            async with box.process(["/bin/cat"], new_nonce()) as process:
                server.kill_sessions()
                for act in (process.frame, process.wait, lambda: process.write(b"x")):
                    with pytest.raises(HostError) as caught:
                        await act()
                    assert caught.value.code == "ssh.lost"
                    assert "go on" in caught.value.what
            assert await ask(box, answer) == 1


async def test_silent_death_of_the_way_is_noticed(
    tmp_path: Path, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loratui.remote.ssh.handshake.KEEPALIVE_S", 0.1)
    with sshd(tmp_path / "d") as server:
        async with box_of(server, instance) as box, box.process(["/bin/cat"], new_nonce()) as process:
            server.freeze()
            async with asyncio.timeout(5):
                with pytest.raises(HostError):
                    await process.frame()


async def test_abandoned_connection_is_dropped_at_once(tmp_path: Path, instance: Instance, answer: str) -> None:
    with sshd(tmp_path / "d") as server:
        async with box_of(server, instance) as box:
            async with box.process(["/bin/cat"], new_nonce()) as process:
                server.freeze()
                async with asyncio.timeout(2):
                    box.abort()
                    with pytest.raises(HostError):
                        await process.frame()
            server.thaw()
            assert await ask(box, answer) == 1


async def test_programs_side_by_side_share_one_connection(tmp_path: Path, instance: Instance, answer: str) -> None:
    with sshd(tmp_path / "d") as server:
        async with box_of(server, instance) as box:
            async with asyncio.TaskGroup() as tasks:
                asked = [tasks.create_task(ask(box, answer, number)) for number in range(8)]
            assert [task.result() for task in asked] == list(range(8))
            # One process of sshd for the connection, or two where it gives up its rights.
            assert 1 <= len(server.sessions()) <= 2


@pytest.mark.parametrize("variant", [{"sessions": 0}, {"forced": "/bin/false"}])
async def test_host_that_runs_no_programs_is_told_apart(tmp_path: Path, instance: Instance, variant: dict) -> None:  # type: ignore[type-arg]
    with sshd(tmp_path / "d", **variant) as server:
        async with box_of(server, instance) as box:
            with pytest.raises(LoratuiError) as caught:
                async with box.process(["/bin/true"], new_nonce()) as process:
                    await process.frame()
    assert caught.value.code == ("ssh.refused" if variant == {"sessions": 0} else "ssh.command")


async def test_host_without_sftp_is_as_good(tmp_path: Path, instance: Instance, answer: str) -> None:
    with sshd(tmp_path / "d", sftp=False) as server:
        async with box_of(server, instance) as box:
            assert await ask(box, answer) == 1
