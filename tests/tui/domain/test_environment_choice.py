import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.box import BoxFacts, BoxPython, Gpu
from loratui.domain.environment_choice import EnvironmentSettings, Lock, Preference, choose_environment
from loratui_protocol.errors import HostError
from loratui_protocol.inputs import EnvironmentKind

SETTINGS = EnvironmentSettings(index_url="https://index.example/simple", torch_index_url="https://torch.example/whl/")
PLAIN = BoxPython(path="/usr/bin/python3", version=(3, 11, 2), is_virtual=False)
BOX = BoxFacts(
    system="Linux", machine="x86_64", libc="glibc 2.36", user="root", home_folder="/root", cpus=8, ram_bytes=32 << 30,
    pythons=(PLAIN,),
)  # fmt: skip


def python_with(torch: str, **changes) -> BoxPython:
    folder = "/usr/lib/python3/dist-packages"
    return replace(BoxPython(path="/opt/bin/python", version=(3, 12, 1), is_virtual=False, torch=torch,
                             torch_folder=folder), **changes)  # fmt: skip


def box(capability: tuple[int, int] | None = None, driver: str = "", torch: str = "", **changes) -> BoxFacts:
    gpus = (Gpu(name="GPU", vram_mib=24_000, compute_capability=capability),) if capability else ()
    pythons = (PLAIN, python_with(torch)) if torch else (PLAIN,)
    return replace(BOX, **{"gpus": gpus, "driver": driver, "pythons": pythons, **changes})


@pytest.mark.parametrize(
    ("capability", "driver", "torch"),
    [
        (None, "", "2.13.0+cpu"),
        (None, "", "2.8.0+cu128"),
        ((8, 9), "550.54.14", "2.6.0+cu124"),
        ((8, 9), "525.60", "2.8.0+cu128"),
        ((7, 0), "470.82", "2.6.0+cu118"),
        ((12, 0), "570.86", "2.8.0+cu128"),
        ((12, 0), "580.65", "2.13.0+cu130"),
        ((0, 0), "550.54", "2.6.0+cu124"),
        ((9, 0), "550.54", "2.9.1+gitabcdef"),
    ],
)
def test_the_images_torch_is_used_where_driver_and_gpu_run_it(capability, driver, torch):
    choice = choose_environment(box(capability, driver, torch), SETTINGS)
    assert choice.spec.kind is EnvironmentKind.OVERLAY
    assert choice.spec.python == "/opt/bin/python"
    assert choice.spec.torch == torch.partition("+")[0]
    assert choice.is_on_gpu is (capability is not None)
    assert torch in choice.why


@pytest.mark.parametrize(
    ("capability", "driver", "torch", "reason"),
    [
        ((8, 9), "550.54", "2.13.0+cpu", "built without CUDA"),
        ((8, 9), "550.54", "2.13.0", "built without CUDA"),
        ((8, 9), "550.54", "2.8.0+rocm6.4", "built without CUDA"),
        ((8, 9), "550.54", "2.13.0+cu130", "needs a newer driver than 550.54"),
        ((8, 9), "550.54", "2.5.1+cu124", "not between 2.6 and"),
        ((8, 9), "550.54", "2.6.0a0+df5bbc09191.nv24.12", "no release"),
        ((12, 0), "580.65", "2.6.0+cu124", "no kernels for GPU (12.0)"),
        ((6, 1), "580.65", "2.13.0+cu130", "no kernels for GPU (6.1)"),
    ],
)
def test_an_images_torch_that_would_not_work_is_passed_over_and_the_reason_is_said(capability, driver, torch, reason):
    choice = choose_environment(box(capability, driver, torch), SETTINGS)
    assert choice.spec.kind is EnvironmentKind.CLEAN
    assert reason in choice.why


@pytest.mark.parametrize(
    ("machine", "capability", "driver", "backend", "torch"),
    [
        ("x86_64", None, "", "cpu", "2.13.0"),
        ("x86_64", (8, 9), "580.65.06", "cu130", "2.13.0"),
        ("x86_64", (8, 9), "550.54", "cu126", "2.13.0"),
        ("x86_64", (6, 1), "580.65", "cu126", "2.13.0"),
        ("x86_64", (7, 0), "535.1", "cu126", "2.13.0"),
        ("x86_64", (12, 0), "570.86", "cu128", "2.11.0"),
        ("x86_64", (12, 0), "590.1", "cu130", "2.13.0"),
        ("x86_64", (15, 0), "650.1", "cu130", "2.13.0"),
        ("aarch64", (9, 0), "580.65", "cu130", "2.13.0"),
        ("aarch64", (9, 0), "550.54", "cu126", "2.13.0"),
        ("aarch64", None, "", "cpu", "2.13.0"),
    ],
)
def test_without_a_usable_torch_the_build_follows_from_driver_and_gpu(machine, capability, driver, backend, torch):
    spec = choose_environment(box(capability, driver, machine=machine), SETTINGS).spec
    assert (spec.kind, spec.backend, spec.torch) == (EnvironmentKind.CLEAN, backend, torch)
    assert spec.torch_index_url == f"https://torch.example/whl/{backend}"
    assert spec.python == "/usr/bin/python3"


@pytest.mark.parametrize(
    ("facts", "code", "said"),
    [
        (box((8, 9), "470.82"), "host.driver", "the NVIDIA driver is 470.82; GPU (8.9) needs 525 or later"),
        (box((8, 9), ""), "host.driver", "the NVIDIA driver is missing"),
        (box((12, 0), "520.1", "2.8.0+cu128"), "host.driver", "torch 2.8.0+cu128 of /opt/bin/python"),
        (box((3, 5), "470.82"), "host.torch", "no build of torch has kernels for GPU (3.5)"),
        (box((6, 1), "580.1", machine="aarch64"), "host.torch", "on aarch64"),
        (box(system="Darwin", machine="arm64"), "host.system", "Darwin"),
        (box(libc="musl"), "host.system", "musl"),
        (box(libc="glibc 2.17"), "host.system", "glibc 2.17"),
    ],
)
def test_a_host_that_cannot_train_is_refused_with_the_reason_and_nothing_was_sent(facts, code, said):
    with pytest.raises(HostError, match=re.escape(said)) as caught:
        choose_environment(facts, SETTINGS)
    assert caught.value.code == code
    assert "Nothing was sent." in caught.value.what
    assert caught.value.fix


def test_torch_of_a_venv_or_of_a_user_comes_in_by_its_folder_and_torch_of_the_system_by_itself():
    venv = python_with("2.13.0+cpu", is_virtual=True, torch_folder="/venv/main/lib/python3.12/site-packages")
    user = python_with("2.13.0+cpu", torch_folder="/root/.local/lib/python3.12/site-packages")
    for python, folder in ((venv, venv.torch_folder), (user, user.torch_folder), (python_with("2.13.0+cpu"), "")):
        assert choose_environment(replace(BOX, pythons=(python,)), SETTINGS).spec.torch_folder == folder


def test_the_first_usable_python_of_the_probe_is_taken():
    pythons = (python_with("2.5.0+cpu", path="/a"), python_with("2.13.0+cpu", version=(3, 10, 1), path="/b"),
               python_with("2.9.0+cpu", path="/c"), python_with("2.13.0+cpu", path="/d"))  # fmt: skip
    assert choose_environment(replace(BOX, pythons=pythons), SETTINGS).spec.python == "/c"


def test_a_host_whose_only_python_is_too_old_has_one_brought():
    old = replace(BOX, pythons=(replace(PLAIN, version=(3, 10, 12)),))
    assert choose_environment(old, SETTINGS).spec.python == "3.12"


def test_eight_bit_optimizers_are_installed_where_the_gpu_has_them():
    assert choose_environment(box((8, 0), "580.1"), SETTINGS).locks == (Lock.TRAIN, Lock.TRAIN_CUDA)
    assert choose_environment(box((6, 1), "580.1"), SETTINGS).locks == (Lock.TRAIN,)
    assert choose_environment(BOX, SETTINGS).locks == (Lock.TRAIN,)


def test_a_uv_that_is_there_is_used_unless_it_is_too_old():
    there = replace(BOX, uv="/usr/bin/uv", uv_version="uv 0.13.2 (abc 2026-01-01)")
    assert choose_environment(there, SETTINGS).spec.uv == "/usr/bin/uv"
    assert choose_environment(replace(there, uv_version="uv 0.2.37"), SETTINGS).spec.uv == ""


def test_the_users_wish_goes_before_the_rule():
    clean = replace(SETTINGS, preference=Preference.CLEAN)
    assert choose_environment(box(torch="2.13.0+cpu"), clean).spec.kind is EnvironmentKind.CLEAN
    overlay = replace(SETTINGS, preference=Preference.OVERLAY)
    with pytest.raises(HostError, match=re.escape("2.5.1+cpu")) as caught:
        choose_environment(box(torch="2.5.1+cpu"), overlay)
    assert caught.value.code == "host.torch"


def test_a_container_without_the_gpu_of_its_machine_trains_on_the_cpu_and_says_so():
    choice = choose_environment(box(driver="550.54"), SETTINGS)
    assert choice.spec.backend == "cpu"
    assert "no GPU can be seen" in choice.why


@given(
    capability=st.one_of(st.none(), st.tuples(st.integers(0, 20), st.integers(0, 9))),
    driver=st.one_of(st.just(""), st.text(max_size=8), st.from_regex(r"[1-9]\d{2}\.\d{1,2}", fullmatch=True)),
    torch=st.one_of(st.text(max_size=12), st.from_regex(r"\d\.\d{1,2}\.\d(\+(cu\d{2,4}|cpu|x))?", fullmatch=True)),
    machine=st.sampled_from(["x86_64", "aarch64", "riscv64"]),
    libc=st.sampled_from(["glibc 2.17", "glibc 2.39", "musl", "", "glibc"]),
    uv_version=st.text(max_size=10),
)
def test_whatever_a_probe_says_there_is_a_choice_with_a_reason_or_a_refusal(
    capability, driver, torch, machine, libc, uv_version
):
    facts = box(capability, driver, torch, machine=machine, libc=libc, uv="/uv", uv_version=uv_version)
    try:
        choice = choose_environment(facts, SETTINGS)
    except HostError as refusal:
        code = refusal.code
    else:
        assert choice.why
        assert choice.is_on_gpu is bool(facts.gpus)
        assert choice.spec.torch
        return
    assert code in ("host.system", "host.driver", "host.torch")
