import asyncio
import os
import sys
from dataclasses import replace

import psutil
import pytest

from loratui_agent.environment import recipe
from loratui_agent.environment.children import clean_environment, run
from loratui_agent.environment.progress import Progress
from loratui_agent.environment.smoke import runs_on
from loratui_agent.process import identify
from loratui_protocol.errors import JobError
from loratui_protocol.inputs import EnvironmentKind, EnvironmentSpec
from support.agent_process import wait_until
from support.environments import Reports

SPEC = EnvironmentSpec(
    kind=EnvironmentKind.CLEAN, python="/usr/bin/python3", torch="2.13.0", backend="cu130", uv="/usr/bin/uv",
    lock_sha256s=["a" * 64], index_url="https://one.example/simple", torch_index_url="https://torch.example/cu130",
)  # fmt: skip


@pytest.mark.parametrize(
    "change", [{"torch": "2.12.0"}, {"backend": "cpu"}, {"lock_sha256s": ["b" * 64]}, {"python": "3.12"}]
)
def test_what_changes_the_content_of_an_environment_changes_its_folder(change):
    assert recipe.key_of(replace(SPEC, **change)) != recipe.key_of(SPEC)


def test_where_packages_and_the_installer_come_from_does_not():
    elsewhere = replace(SPEC, uv="sha256:" + "c" * 64, index_url="https://two.example", torch_index_url="https://two")
    assert recipe.key_of(elsewhere) == recipe.key_of(SPEC)


def test_images_settings_for_python_pip_and_the_loader_do_not_reach_the_installer_but_proxies_and_certificates_do():
    image = {
        "PATH": "/bin", "LD_PRELOAD": "/x.so", "PYTHONPATH": "/x", "PYTHONHOME": "/x", "PIP_INDEX_URL": "http://x",
        "UV_INDEX_URL": "http://x", "VIRTUAL_ENV": "/x", "CONDA_PREFIX": "/x", "HF_TOKEN": "x", "RUNPOD_API_KEY": "x",
        "HTTPS_PROXY": "http://proxy", "SSL_CERT_FILE": "/ca.pem", "LD_LIBRARY_PATH": "/usr/local/nvidia/lib64",
        "UV_PYTHON_INSTALL_MIRROR": "https://mirror",
    }  # fmt: skip
    kept = {"PATH", "HTTPS_PROXY", "SSL_CERT_FILE", "LD_LIBRARY_PATH", "UV_PYTHON_INSTALL_MIRROR", "UV_NO_CONFIG"}
    assert clean_environment(image, UV_NO_CONFIG="1").keys() == kept


async def test_a_program_past_its_limit_ends_with_all_that_it_started():
    heard: list[str] = []
    script = "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True); sys.stdin.close()\n"
    script += "import time; time.sleep(600)"
    with pytest.raises(JobError, match="did not end within"):
        await run([sys.executable, "-c", script], environment=os.environ, on_line=heard.append, limit_s=2.0)
    await asyncio.to_thread(wait_until, lambda: identify(int(heard[0])) is None, "the grandchild to end")


async def test_a_program_has_ended_before_who_is_told_to_stop_again_and_again_does():
    heard: list[str] = []
    script = "import os, time; print(os.getpid(), flush=True); held = bytearray(50_000_000); time.sleep(600)"
    async with asyncio.TaskGroup() as tasks:
        argv = [sys.executable, "-c", script]
        running = tasks.create_task(run(argv, environment=os.environ, on_line=heard.append, limit_s=60.0))
        await asyncio.to_thread(wait_until, lambda: heard, "the program to run")
        while not running.done():
            running.cancel()
            await asyncio.sleep(0)
        assert not psutil.pid_exists(int(heard[0]))
    assert running.cancelled()


async def test_a_flood_without_line_ends_is_cut():
    heard: list[str] = []
    script = "import sys; sys.stdout.write('x' * 5_000_000)"
    ended = await run([sys.executable, "-c", script], environment=os.environ, on_line=heard.append, limit_s=60.0)
    assert ended.status == 0
    assert sum(map(len, heard)) <= 2000


async def test_a_program_that_cannot_be_run_is_an_error_with_a_hint_at_the_disk(tmp_path):
    program = tmp_path / "uv"
    program.write_text("#!/bin/sh\n")
    with pytest.raises(JobError, match="Permission denied") as caught:
        await run([str(program)], environment={}, on_line=print, limit_s=5.0)
    assert "noexec" in caught.value.fix


def test_downloads_are_told_with_their_sum_and_the_largest_that_are_on_the_way():
    reports = Reports()
    progress = Progress(reports.append, num_steps=3)
    progress.begin("preparing")
    progress.begin("installing torch")
    for line in ("Downloading torch (1.5GiB)", "Downloading triton (512.0MiB)", "noise", " Downloaded triton"):
        progress.hear(line)
    progress.finish("ready")
    assert reports.messages[1:] == [
        "installing torch",
        "installing torch: 0 of 1536 MiB so far, torch on the way",
        "installing torch: 0 of 2048 MiB so far, torch, triton on the way",
        "installing torch: 512 of 2048 MiB so far, torch on the way",
        "ready",
    ]
    assert [setup.done for setup in reports] == [0, 1, 1, 1, 1, 3]


@pytest.mark.parametrize(
    ("capability", "built_for", "runs"),
    [
        ((8, 9), ["sm_80", "sm_86"], True),
        ((9, 0), ["sm_80", "sm_86"], False),
        ((9, 0), ["sm_80", "compute_80"], True),
        ((12, 0), ["sm_90a"], False),
        ((9, 0), ["sm_90a"], True),
        ((6, 1), ["sm_75", "compute_90"], False),
        ((12, 1), ["sm_100", "sm_120"], True),
        ((8, 6), [], True),
    ],
)
def test_kernels_run_on_later_minor_versions_and_ptx_on_anything_later(capability, built_for, runs):
    assert runs_on(capability, built_for) is runs
