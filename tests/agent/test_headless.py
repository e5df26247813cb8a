"""``loratui-agent run``: real processes, a stand-in trainer."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loratui_agent.facts import read_facts
from loratui_agent.process import ProcessIdentity, is_alive, signal_group
from support import stand_in_trainer
from support.agent_process import SCRIPT, wait_until


class Headless:
    """A config and an output folder, and runs of it."""

    def __init__(self, folder: Path) -> None:
        (folder / "pictures").mkdir()
        self.config = folder / "job.toml"
        self.config.write_text(
            'pretrained_model_name_or_path = "builtin:tiny"\ntrain_data_dir = "pictures"\n'
            'output_name = "thing"\nmax_train_steps = 30\nnetwork_module = "networks.lora"\nnetwork_alpha = 4\n'
        )
        self.out = folder / "out"

    def start(self, script: str = "steps = 30", **options) -> subprocess.Popen[str]:
        argv = [sys.executable, SCRIPT, str(self.out), json.dumps({"config": str(self.config), **options})]
        environment = {**os.environ, "STAND_IN": script}
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    def run(self, script: str = "steps = 30", **options) -> tuple[int, str, str]:
        process = self.start(script, **options)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    @property
    def state(self) -> dict:
        return read_facts(self.out / "job" / "state.json")

    @property
    def trainer(self) -> ProcessIdentity | None:
        stored = self.state.get("trainer")
        return ProcessIdentity(**stored) if stored else None

    def wait_for_steps(self) -> None:
        wait_until(lambda: (self.out / "job" / "ckpt" / "step").exists(), "the first checkpoint")


@pytest.fixture
def headless(tmp_path):
    headless = Headless(tmp_path)
    yield headless
    if headless.trainer is not None:
        signal_group(headless.trainer, signal.SIGKILL)


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def test_a_config_goes_in_and_a_lora_comes_out(headless):
    status, out, err = headless.run()
    assert (status, err) == (0, "")
    assert (headless.out / "thing.safetensors").read_bytes() == stand_in_trainer.LORA
    assert (headless.out / "job" / "artifacts" / "lora").exists()
    assert sorted(path.name for path in headless.out.iterdir()) == ["job", "thing.safetensors"]
    assert out.splitlines()[-1] == f"done: {headless.out / 'thing.safetensors'}"
    assert "step 30/30" in out


def test_json_is_one_object_a_line_with_event_ts_and_seq(headless):
    status, out, _ = headless.run(json=True)
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert all({"event", "ts", "seq"} <= line.keys() for line in lines)
    artifact = next(line for line in lines if line["event"] == "artifact")
    assert hashlib.sha256(Path(artifact["path"]).read_bytes()).hexdigest() == artifact["sha256"]
    assert next(line for line in lines if line["event"] == "done")["path"] == artifact["path"]
    assert {line["event"] for line in lines} >= {"state", "setup", "step", "checkpoint", "cost"}


def test_an_output_folder_that_is_not_empty_is_refused_untouched(headless):
    headless.out.mkdir()
    (headless.out / "mine.txt").write_text("keep")
    status, out, err = headless.run()
    assert (status, out) == (2, "")
    assert "[out.not_empty]" in err
    assert [path.name for path in headless.out.iterdir()] == ["mine.txt"]


def test_a_refused_config_leaves_nothing_behind(headless):
    headless.config.write_text("no_such_key = 1\n")
    status, _, err = headless.run()
    assert status == 3
    assert "[config." in err
    assert not headless.out.exists()


@pytest.mark.parametrize(("code", "expected"), [("dataset.empty", 3), ("extra.missing", 69), ("disk.full", 1)])
def test_what_the_trainer_refuses_decides_the_exit_status(headless, code, expected):
    status, _, err = headless.run(f"fail_code = '{code}'")
    assert status == expected
    assert f"[{code}] it can't be trained" in err
    assert headless.out.exists() == (expected == 1)


def test_a_signal_saves_and_resume_goes_on_to_the_end(headless):
    script = "steps = 80\nstep_s = 0.01"
    process = headless.start(script)
    headless.wait_for_steps()
    process.send_signal(signal.SIGINT)
    status, out, _ = end(process)
    assert status == 130
    assert "stopping (user)" in out
    assert (headless.out / "thing.safetensors").exists()
    status, out, _ = headless.run(script, resume=True)
    assert status == 0
    assert "stopped" not in out
    assert headless.state["attempt"] == 2


def test_a_second_signal_kills_a_trainer_that_does_not_stop(headless):
    process = headless.start("steps = 3000\nstep_s = 0.01\nignore_stop = true")
    headless.wait_for_steps()
    trainer = headless.trainer
    process.send_signal(signal.SIGINT)
    wait_until(lambda: headless.state["state"] == "stopping", "the stop")
    process.send_signal(signal.SIGINT)
    assert end(process)[0] == 130
    assert not is_alive(trainer)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGHUP])
def test_the_trainer_outlives_this_process_and_resume_joins_it(headless, ending):
    script = "steps = 80\nstep_s = 0.01"
    process = headless.start(script)
    headless.wait_for_steps()
    trainer = headless.trainer
    process.send_signal(ending)
    assert end(process)[0] == (129 if ending is signal.SIGHUP else -signal.SIGKILL)
    assert is_alive(trainer)
    status, _, err = headless.run(script, resume=True)
    assert (status, err) == (0, "")
    assert headless.state["attempt"] == 1
    assert (headless.out / "thing.safetensors").read_bytes() == stand_in_trainer.LORA


def test_a_trainer_killed_meanwhile_is_started_again_by_resume(headless):
    script = "steps = 80\nstep_s = 0.01"
    process = headless.start(script)
    headless.wait_for_steps()
    trainer = headless.trainer
    process.kill()
    end(process)
    signal_group(trainer, signal.SIGKILL)
    wait_until(lambda: not is_alive(trainer), "the trainer's death")
    assert headless.run(script, resume=True)[0] == 0
    assert headless.state["attempt"] == 2


def test_two_processes_can_not_run_the_same_job(headless):
    process = headless.start("steps = 400\nstep_s = 0.01")
    headless.wait_for_steps()
    status, _, err = headless.run(resume=True)
    assert status == 4
    assert "[agent.already_running]" in err
    assert end(process)[0] == 0


def test_a_run_that_stops_to_be_looked_at_is_no_failure_and_stays_where_it_is_until_its_end_is_changed(headless):
    for options in ({}, {"resume": True}):
        status, out, err = headless.run("steps = 30\nstop_at = 10", **options)
        assert (status, err) == (0, "")
        assert out.splitlines()[-1] == "stopped (stop_at_epoch): stopped to be looked at"
    with headless.config.open("a") as config:
        config.write("max_train_epochs = 5\n")
    assert headless.run("steps = 30", resume=True)[0] == 0


def test_resume_with_another_end_trains_on_to_it(headless):
    assert headless.run()[0] == 0
    headless.config.write_text(headless.config.read_text().replace("= 30", "= 60"))
    status, out, err = headless.run("steps = 60", resume=True)
    assert (status, err) == (0, "")
    assert "step 60/60" in out
    assert "max_train_steps = 60" in (headless.out / "job" / "job.toml").read_text()


def test_resume_with_a_changed_config_is_refused(headless):
    assert headless.run()[0] == 0
    headless.config.write_text(headless.config.read_text().replace("= 4", "= 8"))
    status, _, err = headless.run(resume=True)
    assert status == 2
    assert "[resume.config_changed]" in err


def test_a_lora_that_went_missing_is_brought_out_again_by_resume(headless):
    assert headless.run()[0] == 0
    (headless.out / "thing.safetensors").unlink()
    assert headless.run(resume=True)[0] == 0
    assert (headless.out / "thing.safetensors").exists()


def test_a_reader_that_goes_away_does_not_end_the_training(headless):
    process = headless.start("steps = 80\nstep_s = 0.01", json=True)
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    assert process.wait(timeout=30) == 0
    process.stderr.close()
    assert (headless.out / "thing.safetensors").exists()
