import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.box import BoxFacts, Gpu
from loratui.remote.probe import SCRIPT, parse_rows, probe
from loratui_protocol.errors import HostError, ProtocolError
from loratui_protocol.framing import FrameFinder
from support.boxes import box_of
from support.sshd import SLOW_AND_NOISY_RC, needs_sshd, sshd

MACHINE = ["=machine", "=Linux", "=x86_64", "=glibc 2.36", "=root", "=/root", "=8", "=64000000000", "=1"]
NONCE = "00ff00ff00ff00ff"


def probed_by(shell: Sequence[str], home: Path, *extra: str, **environment: str) -> BoxFacts:
    """Run the script here, in a shell and with nothing but a PATH."""
    done = subprocess.run(
        [*shell, "-s", NONCE, *extra],
        input=SCRIPT.read_bytes(),
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), **environment},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == b""
    return parse_rows([frame["row"] for frame in FrameFinder(NONCE).feed(done.stdout)])


def fake_program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)


@pytest.mark.parametrize("shell", [["/bin/sh"], ["/bin/bash", "--posix"], ["/bin/dash"]], ids=lambda argv: argv[0])
def test_every_posix_shell_says_the_same(shell, tmp_path):
    if not Path(shell[0]).exists():
        pytest.skip(f"{shell[0]} is not installed")
    facts = probed_by(shell, tmp_path)
    assert (facts.system, facts.home_folder) == ("Linux", str(tmp_path))
    assert facts.cpus >= 1
    assert facts.ram_bytes > 1 << 28
    [disk] = [disk for disk in facts.disks if disk.path == str(tmp_path)]
    assert disk.is_writable
    assert disk.free_bytes > 0
    assert facts.has_tar


def test_gpus_and_driver_are_what_nvidia_smi_lists(tmp_path):
    listed = "550.54.15, 24564, 8.9, NVIDIA GeForce RTX 4090\\n550.54.15, [N/A], 8.0, NVIDIA A100, MIG\\n"
    fake_program(tmp_path / "bin" / "nvidia-smi", f"printf '{listed}'")
    facts = probed_by(["/bin/sh"], tmp_path, PATH=f"{tmp_path}/bin:/usr/bin:/bin")
    assert facts.driver == "550.54.15"
    assert [(gpu.name, gpu.vram_mib, gpu.compute_capability) for gpu in facts.gpus] == [
        ("NVIDIA GeForce RTX 4090", 24564, (8, 9)),
        ("NVIDIA A100, MIG", 0, (8, 0)),
    ]


def test_an_old_nvidia_smi_that_knows_no_compute_capability_still_lists_its_gpus(tmp_path):
    script = 'case "$1" in *compute_cap*) echo \'Field "compute_cap" is not valid\'; exit 2 ;; esac\n'
    fake_program(tmp_path / "bin" / "nvidia-smi", script + "echo '450.80.02, 11019, Tesla K80'")
    facts = probed_by(["/bin/sh"], tmp_path, PATH=f"{tmp_path}/bin:/usr/bin:/bin")
    assert (facts.driver, facts.gpus[0].compute_capability) == ("450.80.02", (0, 0))


CUDA = """
#include <string.h>
int cuInit(unsigned f) { return 0; }
int cuDeviceGetCount(int *n) { *n = 1; return 0; }
int cuDeviceGet(int *d, int n) { *d = n; return 0; }
int cuDeviceGetName(char *s, int n, int d) { strcpy(s, "NVIDIA L4"); return 0; }
int cuDeviceTotalMem_v2(size_t *n, int d) { *n = 23034UL << 20; return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : 9; return 0; }
"""


def test_without_nvidia_smi_the_drivers_library_is_asked(tmp_path):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a driver library with")
    (tmp_path / "cuda.c").write_text(CUDA)
    library = tmp_path / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "cuda.c"], check=True)
    (tmp_path / "sys" / "module" / "nvidia").mkdir(parents=True)
    (tmp_path / "sys" / "module" / "nvidia" / "version").write_text("570.86.10\n")
    environment = {"LD_LIBRARY_PATH": str(tmp_path), "LORATUI_PROBE_SYS": str(tmp_path / "sys")}
    facts = probed_by(["/bin/sh"], tmp_path, **environment)
    assert facts.driver == "570.86.10"
    assert facts.gpus == (Gpu(name="NVIDIA L4", vram_mib=23034, compute_capability=(8, 9)),)


def test_torch_is_found_with_its_cuda_without_importing_it(tmp_path):
    venv = tmp_path / "venv"
    subprocess.run(["/usr/bin/env", "python3", "-m", "venv", "--without-pip", str(venv)], check=True)
    [packages] = venv.glob("lib/python*/site-packages")
    (packages / "torch").mkdir()
    (packages / "torch" / "__init__.py").write_text("raise SystemExit('imported')")
    (packages / "torch" / "version.py").write_text("__version__ = '2.5.1'\ncuda: Optional[str] = '12.4'\n")
    facts = probed_by(["/bin/sh"], tmp_path, VIRTUAL_ENV=str(venv))
    first = facts.pythons[0]
    assert (first.torch, first.torch_folder, first.is_virtual) == ("2.5.1+cu124", str(packages), True)
    assert first.path.startswith(str(venv))


def test_a_program_that_hangs_holds_nothing_up(tmp_path):
    # The limits themselves are a few seconds: here a stand-in for timeout makes them short.
    fake_program(tmp_path / "bin" / "timeout", 'shift\nexec /usr/bin/timeout 0.2 "$@"')
    fake_program(tmp_path / "bin" / "nvidia-smi", "exec sleep 1000")
    fake_program(tmp_path / "bin" / "python3.12", "exec sleep 1000")
    facts = probed_by(["/bin/sh"], tmp_path, PATH=f"{tmp_path}/bin:/usr/bin:/bin")
    assert facts.gpus == ()


def test_what_an_agent_left_is_found_in_folders_with_odd_names(tmp_path):
    home = tmp_path / "größe und $HOME" / ".loratui"
    for folder in ("agent/abc123", "agent/half", "env/e1", "jobs/j1"):
        (home / folder).mkdir(parents=True)
    for file in ("agent/abc123/.ok", "env/e1/.ok", "jobs/j1/state.json"):
        (home / file).touch()
    facts = probed_by(["/bin/sh"], tmp_path, str(home))
    [found] = facts.homes
    assert (found.path, found.bundles, found.environments) == (str(home), ("abc123",), ("e1",))
    assert (found.num_jobs, found.running_pid) == (1, None)


@needs_sshd
async def test_slow_and_noisy_start_up_files_do_not_matter(tmp_path):
    with sshd(tmp_path / "server", rc=SLOW_AND_NOISY_RC) as server:
        async with box_of(server, tmp_path / "host") as (box, _):
            facts = await probe(box)
    assert facts.home_folder == str(server.home)


@needs_sshd
async def test_a_folder_that_can_not_be_written_is_known_before_anything_is_sent(tmp_path):
    with sshd(tmp_path / "server", read_only_home=True) as server:
        async with box_of(server, tmp_path / "host") as (box, _):
            facts = await probe(box)
    assert [disk.is_writable for disk in facts.disks if disk.path == facts.home_folder] == [False]


@needs_sshd
async def test_a_host_that_says_nothing_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("loratui.remote.probe.PROBE_TIMEOUT_S", 1.0)
    with sshd(tmp_path / "server", forced="sleep 1000") as server:
        async with box_of(server, tmp_path / "host") as (box, _):
            with pytest.raises(HostError) as refused:
                await probe(box)
    assert refused.value.code == "host.probe"


TEXTS = st.text(max_size=30).flatmap(lambda text: st.sampled_from([text, "=" + text, "~" + text.encode().hex()]))
KINDS = st.sampled_from(["=disk", "=gpu", "=oldgpu", "=python", "=home", "=uv", "=driver", "=machine", "=new"])
ANYTHING = st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3))
ROWS = st.lists(ANYTHING | st.tuples(KINDS, st.lists(TEXTS, max_size=8)).map(lambda row: [row[0], *row[1]]), max_size=6)


@given(rows=ROWS)
def test_whatever_a_host_says_becomes_facts_or_a_refusal(rows):
    try:
        facts = parse_rows([MACHINE, *rows])
    except ProtocolError:
        return
    texts = [facts.driver, facts.uv, *(disk.path for disk in facts.disks), *(gpu.name for gpu in facts.gpus)]
    assert all(char.isprintable() or char in "\n\t" for text in texts for char in text)


def test_escape_bytes_of_a_host_are_gone_before_anyone_sees_them():
    row = ["=gpu", "=550.54, 1, 8.9, \x1b]52;c;aGk=\x07RTX\u202e"]
    assert parse_rows([MACHINE, row]).gpus[0].name == "]52;c;aGk=RTX"


def test_paths_that_shells_read_differently_are_not_used():
    rows = [MACHINE, ["=disk", "=/it's", "=1", "=1"], ["=python", "=01", "=/a\\b/python", "=3.12.1", "=", "=", "="]]
    facts = parse_rows([*rows, ["=uv", "=/it's/uv", "=uv 0.9.0"]])
    assert (facts.disks, facts.pythons, facts.uv) == ((), (), "")


def test_without_the_machine_itself_there_are_no_facts():
    with pytest.raises(ProtocolError):
        parse_rows([["=end"]])


@needs_sshd
@pytest.mark.parametrize("forced", ["/bin/false", "echo Your machine is being prepared"])
async def test_host_that_runs_something_else_than_it_is_asked_is_told_from_a_broken_one(tmp_path, forced):
    with sshd(tmp_path / "server", forced=forced) as server:
        async with box_of(server, tmp_path / "instance") as (box, _):
            with pytest.raises(HostError) as caught:
                await probe(box)
    assert caught.value.code == "host.probe"
    assert "ForceCommand" in caught.value.fix
    assert "port 22 mapped" in caught.value.fix
