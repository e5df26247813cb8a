"""What commands answer and how they end: every refusal has its exit status, its code, and what to do."""

import json
import os
import subprocess
import sys

import pytest

from loratui.cli.plan_size import size_fields, size_rows
from loratui.cli.values import duration
from loratui.settings import load
from loratui.store import Store, StoredRun
from loratui_protocol.config_file import to_toml
from loratui_protocol.ids import new_id
from loratui_protocol.messages import DeltaNorms, Event, JobState, Metrics, Record, State, Step
from support.local_cli import local_cli
from support.small_dataset import small_config, write_small_dataset

SD15, XL = "stable-diffusion-v1-5/stable-diffusion-v1-5", "stabilityai/stable-diffusion-xl-base-1.0"


@pytest.fixture
def cli(tmp_path):
    with local_cli(tmp_path) as cli:
        yield cli


def refused(command, status: int, code: str) -> None:
    """The command ended with this status, said the code and what to do, and no traceback."""
    assert command.process.returncode == status, command.errors
    text = "\n".join(command.errors)
    assert f"[{code}]" in text
    assert "fix:" in text
    assert "Traceback" not in text


def config_file(cli, **changes):
    config = small_config(write_small_dataset(cli.folder / "pictures"), **changes)
    path = cli.folder / "job.toml"
    path.write_text(to_toml(config), "utf-8")
    return path


def store_run(cli, state: JobState, *first: Event, **fields) -> StoredRun:
    """Remember a run of 300 steps, and what it said ``first``, whose agent is not there any more."""
    run = StoredRun(
        id=new_id(), name="cat", target="local", created_ts=1.7e9, config_toml="", home=cli.home.path, **fields
    )
    with Store(load(environ=cli.environment).database) as store:
        store.add_run(run)
        store.begin_history(run.id, "epoch", reset=True)
        steps = [Step(step=n, total=300, epoch=1, loss=0.5, lr=1e-4, it_s=2.0, eta_s=1.0) for n in range(1, 301)]
        events = [State(state=JobState.RUNNING), *first, *steps, State(state=state, detail="the end")]
        store.append(run.id, "epoch", [Record(seq=n, ts=1.7e9 + n, event=event) for n, event in enumerate(events, 1)])
    return run


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["frobnicate"], "usage"),
        (["train"], "usage"),
        (["train", "job.toml"], "usage"),
        (["train", "job.toml", "--on", "moon"], "target.unknown"),
        (["train", "job.toml", "--on", "local", "--deadline", "soon"], "usage"),
        (["train", "job.toml", "--on", "local", "--budget", "much"], "usage.money"),
        (["train", "job.toml", "--on", "local", "--budget", "0"], "usage.money"),
        (["train", "job.toml", "--on", "local", "--plain", "--json"], "usage"),
        (["demo", "--steps", "0"], "usage"),
        (["extend", "cat"], "usage"),
        (["extend", "cat", "0m"], "usage"),
        (["status"], "run.none"),
        (["attach", "nobody"], "run.none"),
        (["stop"], "run.none"),
        (["logs"], "run.none"),
        (["check", "nowhere"], "usage.path"),
        (["config"], "usage"),
    ],
)
def test_a_wrong_command_line_is_status_2(cli, arguments, code):
    refused(cli.run(*arguments), 2, code)


def test_status_tells_pace_and_strength_however_long_ago_they_were_measured(cli):
    metrics = Metrics(
        step=1, img_s=9.2, tflop_s=54.0, data_wait=0.03, exposures_per_picture=12.5, effective_lr={"unet": 5e-5}
    )
    run = store_run(cli, JobState.DONE, metrics, DeltaNorms(step=1, relative={"unet": 0.012}))
    told = json.loads(cli.run("status", run.id, "--json").lines[0])
    assert (told["img_s"], told["tflop_s"], told["data_wait"], told["exposures_per_picture"]) == (9.2, 54, 0.03, 12.5)
    assert (told["effective_lr"], told["delta_norms"]) == ({"unet": 5e-5}, {"unet": 0.012})
    lines = cli.run("status", run.id).lines
    assert "9.2 img/s, 54 TFLOP/s, 3 % of the time without data at step 1" in lines
    assert "each picture shown 12 x (mean); learning rate x alpha / rank: 5e-05 unet" in lines
    assert "delta norm 1.2 % of the unet at step 1" in lines
    assert any("loss 0.5000 (of one step: noisy)" in line for line in lines)


def test_status_of_a_run_whose_trainer_measured_less_says_null_and_not_0(cli):
    told = json.loads(cli.run("status", store_run(cli, JobState.DONE).id, "--json").lines[0])
    assert told["loss"] == 0.5
    for name in ("img_s", "tflop_s", "data_wait", "exposures_per_picture", "effective_lr", "delta_norms"):
        assert told[name] is None


def test_plan_shows_what_the_learning_rate_comes_to(cli):
    path = config_file(cli, learning_rate=1e-3, text_encoder_lr=1e-4, network_dim=8, network_alpha=4.0)
    [row] = [line for line in cli.run("plan", path).lines if line.startswith("effective learning rate")]
    assert row.endswith("0.0005 unet, 5e-05 text encoder: learning rate x alpha / rank")
    planned = json.loads(cli.run("plan", path, "--json").lines[0])
    assert planned["effective_lr"] == {"unet": 5e-4, "text_encoder": 5e-5}


def test_a_config_that_is_not_there_is_status_3(cli):
    refused(cli.run("train", "nowhere.toml", "--on", "local"), 3, "config.missing")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("netwrk_dim = 4", "config.unknown_key"),
        ('network_dim = "4"', "config.type"),
        ("network_dim = 0", "config.value"),
        ("network_dim = ", "config.syntax"),
    ],
)
def test_a_config_that_cannot_be_trained_is_status_3_and_nothing_is_started(cli, line, code):
    path = cli.folder / "job.toml"
    path.write_text(f'pretrained_model_name_or_path = "builtin:tiny"\ntrain_data_dir = "pictures"\n{line}\n', "utf-8")
    refused(cli.run("train", path, "--on", "local"), 3, code)
    assert not cli.home.path.exists()
    assert not (cli.folder / "state").exists()


def test_a_dataset_that_is_missing_empty_or_damaged_is_status_3(cli):
    path = config_file(cli)
    pictures = cli.folder / "pictures"
    next(pictures.rglob("*.png")).write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    refused(cli.run("train", path, "--on", "local"), 3, "picture.truncated")
    for picture in pictures.rglob("*.png"):
        picture.unlink()
    refused(cli.run("train", path, "--on", "local"), 3, "dataset.empty")
    pictures.rename(cli.folder / "elsewhere")
    refused(cli.run("train", path, "--on", "local"), 3, "dataset.missing")
    assert not cli.home.path.exists()


def test_a_base_model_that_is_not_here_is_status_3_and_an_error_of_check(cli):
    path = config_file(cli, pretrained_model_name_or_path="/some/model")
    refused(cli.run("train", path, "--on", "local"), 3, "model.missing")
    assert not cli.home.path.exists()
    checked = cli.run("check", path, "--json")
    assert checked.process.returncode == 1
    [finding] = [finding for finding in json.loads(checked.lines[0])["findings"] if finding["code"] == "model.missing"]
    assert (finding["severity"], finding["path"]) == ("error", str(path))


def test_a_hubs_model_is_nothing_to_mend_and_can_not_be_trained_on_here(cli):
    path = config_file(cli, pretrained_model_name_or_path="some/model")
    refused(cli.run("train", path, "--on", "local"), 3, "model.missing")
    assert cli.run("check", path).process.returncode == 0


def test_what_would_be_for_nothing_does_not_start(cli):
    path = config_file(cli, learning_rate=0.5, noise_offset=5.0)
    refused(cli.run("train", path, "--on", "local", "--yes"), 3, "config.learning_rate")
    refused(cli.run("train", path, "--on", "ssh://root@127.0.0.1:1", "--yes"), 3, "config.learning_rate")
    assert not cli.home.path.exists()


def test_a_state_folder_that_can_not_be_made_is_named_with_what_to_do(cli):
    cli.environment["LORATUI_STATE_DIR"] = str(config_file(cli))
    refused(cli.run("ls"), 1, "store.unusable")


def test_a_disk_that_is_too_small_is_named_before_anything_starts(cli):
    many = config_file(cli, network_dim=64, max_train_steps=10**9, save_every_n_steps=1000)
    refused(cli.run("train", many, "--on", "local"), 1, "disk.too_small")
    assert not cli.home.path.exists()


def test_a_missing_extra_is_status_69_with_the_command_that_installs_it(cli):
    program = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "class Without(PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        "        return None if name == 'torch' else super().find_spec(name, path, target)\n"
        "sys.meta_path[sys.meta_path.index(PathFinder)] = Without\n"
        "from loratui.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "demo", "--plain", "--out", str(cli.folder / "out")],
        env=cli.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 69
    assert "pip install" in done.stderr
    assert not (cli.folder / "out").exists()


def test_a_demo_that_cannot_write_its_pictures_says_why(cli):
    (cli.folder / "file").write_text("", "utf-8")
    refused(cli.run("demo", "--plain", "--out", cli.folder / "file" / "out"), 1, "demo.failed")
    assert not cli.home.path.exists()


def test_check_prints_findings_and_plan_as_one_document(cli):
    check = cli.run("check", config_file(cli), "--json")
    assert check.process.returncode == 0
    [line] = check.lines
    document = json.loads(line)
    assert document["plan"]["steps"] == 12
    fields = {"code", "severity", "path", "what", "fix", "fixable", "paths", "num_paths"}
    assert all(fields == set(found) for found in document["findings"])
    assert document["left_out"] == 0


def test_check_of_what_cannot_be_trained_is_status_1_with_the_code(cli):
    path = config_file(cli)
    path.write_text(path.read_text("utf-8").replace("network_dim", "netwrk_dim"), "utf-8")
    check = cli.run("check", path, cli.folder / "pictures", "--json")
    assert check.process.returncode == 1
    [error] = [found for found in json.loads(check.lines[0])["findings"] if found["severity"] == "error"]
    assert error["code"] == "config.unknown_key"
    assert "network_dim" in error["fix"]


def test_plan_says_what_a_config_amounts_to(cli):
    assert any(line.startswith("steps") and "12" in line for line in cli.run("plan", config_file(cli)).lines)
    assert json.loads(cli.run("plan", config_file(cli), "--json").lines[0])["steps"] == 12


def test_check_and_plan_show_each_dataset(cli):
    pictures = write_small_dataset(cli.folder / "pictures") / "1_cat"
    sets = cli.folder / "dataset.toml"
    tables = f'[[datasets]]\n{{}}[[datasets.subsets]]\nimage_dir = "{pictures}"\n'
    sets.write_text(tables.format("resolution = 64\n") + tables.format("resolution = 96\nbatch_size = 4\n"), "utf-8")
    config = cli.folder / "config.toml"
    model = 'pretrained_model_name_or_path = "builtin:tiny"\nnetwork_module = "networks.lora"\n'
    config.write_text(f'{model}network_alpha = 1\ndataset_config = "{sets.name}"\n', "utf-8")
    assert json.loads(cli.run("check", config, "--json").lines[0])["plan"]["steps_per_epoch"] == 5
    lines = [line.split("  ", 1)[0] + ": " + line[25:] for line in cli.run("plan", config).lines]
    assert "buckets of dataset 1: 64x64, 1 a batch; 64x64: 4 in 4 batches" in lines
    assert "buckets of dataset 2: 96x96, 4 a batch; 64x64: 4 in 1 batch" in lines
    assert "pictures a step: 4 at most" in lines


def test_plan_says_how_large_the_file_will_be_and_what_memory_it_takes_for_each_kind_of_base_model(tmp_path):
    dataset = write_small_dataset(tmp_path / "pictures")
    said = {}
    for name in ("builtin:tiny", SD15, XL, "org/unknown"):
        config = small_config(dataset, pretrained_model_name_or_path=name, network_dim=32, resolution=(1024, 1024))
        rows, fields = dict(size_rows(config)), size_fields(config)
        assert f"{fields['lora_modules']} modules" in rows["LoRA file"]
        said[name] = fields["base_kind"], fields["lora_modules"], rows["LoRA file"], rows["GPU memory"]
    assert said[SD15][:2] == ("Stable Diffusion 1.x", 192 + 72)
    assert said[SD15][2].startswith("≈38 MB in fp16")
    assert said[XL][:2] == ("SDXL", 722 + 72 + 192)
    assert said[XL][2].startswith("≈228 MB in fp16")
    assert said["org/unknown"] == (None, *said[XL][1:]), "too much rather than too little"
    assert said["builtin:tiny"][2].startswith("≈1.4 MB")


def test_without_any_run_loratui_says_how_to_begin(cli):
    command = cli.run()
    assert command.process.returncode == 0
    assert any("loratui demo" in line for line in command.lines)


def test_config_show_names_the_origin_of_every_value(cli):
    lines = cli.run("config", "show", "--origin").lines
    assert f"state_dir = {cli.folder / 'state'}    (LORATUI_STATE_DIR)" in lines
    assert cli.run("config", "path").lines == [str(cli.folder / "config" / "config.toml")]
    assert any(line.startswith("local.price_usd_per_h") for line in cli.run("config", "schema").lines)


def test_status_and_ls_of_a_run_that_is_over_need_no_agent(cli):
    run = store_run(cli, JobState.DONE)
    status = json.loads(cli.run("status", "--json").lines[0])
    assert (status["run"], status["state"], status["step"], status["loss"]) == (run.id, "done", 300, 0.5)
    assert status["live"]
    [listed] = json.loads(cli.run("ls", "--json").lines[0])
    assert listed["name"] == "cat"
    assert "done" in cli.run("ls").lines[0]
    assert (status["reason"], status["detail"]) == ("", "the end")
    said = cli.run("status", run.id[:20]).lines
    assert "done, step 300 of 300" in said[0]
    assert said[1] == "the end"


def test_what_is_only_remembered_of_a_running_run_is_marked(cli):
    store_run(cli, JobState.RUNNING)
    assert not json.loads(cli.run("status", "--json").lines[0])["live"]
    assert "≈running" in cli.run("status").lines[0]


def test_logs_of_a_run_that_is_over_come_from_here(cli):
    store_run(cli, JobState.FAILED)
    lines = cli.run("logs").lines
    assert len(lines) == 2
    assert lines[1].endswith("failed: the end")
    assert not cli.home.path.exists()


def test_a_bug_of_ours_is_one_line_and_its_traceback_a_file(cli):
    (cli.folder / "state").mkdir()
    # Something that no release should have: a name that is not there.
    program = (
        "import sys, loratui.cli.listing as listing; from loratui.cli import main\n"
        "del listing.Store; sys.exit(main(['ls']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=cli.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "[bug] NameError" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in (cli.folder / "state" / "crash.log").read_text("utf-8")


def test_a_reader_that_goes_away_is_no_error(cli):
    store_run(cli, JobState.DONE)
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as pipe:
        argv = [sys.executable, "-m", "loratui.cli", "logs"]
        done = subprocess.run(argv, env=cli.environment, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("3h", 10800), ("1h30m", 5400), ("2H", 7200)]
)
def test_durations_are_read_as_people_write_them(text, seconds):
    assert duration(text) == seconds
