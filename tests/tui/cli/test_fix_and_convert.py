"""``check --fix`` and ``convert`` write new files, and never over anything."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from loratui.cli import main
from loratui.sessions.checking import check_config
from loratui_protocol.config_file import read_config
from support.checkpoint_headers import sd15, sdxl, write_header
from support.small_dataset import write_small_dataset

GUIDE = Path(__file__).parents[2] / "support" / "public_guide.toml"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the public guide's config beside its base model and some pictures, with a home of its own."""
    for name in ("STATE", "DATA", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    write_small_dataset(tmp_path / "training_data")
    (tmp_path / "models" / "sd").mkdir(parents=True)
    write_header(tmp_path / "models" / "sd" / "v1-5-pruned.safetensors", sd15())
    path = tmp_path / "training_config.toml"
    # As many steps as these few pictures have room for.
    path.write_text(GUIDE.read_text("utf-8").replace("lr_warmup_steps = 100", "lr_warmup_steps = 10"), "utf-8")
    monkeypatch.chdir(tmp_path)
    return path


def test_fix_shows_what_differs_and_writes_it_beside_the_original(config: Path, capsys: pytest.CaptureFixture[str]):
    before = config.read_bytes()
    assert main(["check", str(config), "--fix"]) == 0
    said = capsys.readouterr()
    fixed = config.with_name("training_config.fixed.toml")
    assert "-batch_size = 2" in said.out
    assert "+train_batch_size = 2  # was batch_size" in said.out
    assert f"written: {fixed}" in said.out
    assert "[config.kohya_name]" in said.out
    assert config.read_bytes() == before
    assert read_config(fixed).config == read_config(config).config
    assert not any(finding.fixable for finding in check_config(fixed).findings)
    assert main(["check", str(fixed), "--fix"]) == 0
    assert "nothing in it can be fixed by itself" in capsys.readouterr().out


def test_fix_takes_the_next_free_name(config: Path):
    config.with_name("training_config.fixed.toml").write_text("mine", "utf-8")
    assert main(["check", str(config), "--fix"]) == 0
    assert config.with_name("training_config.fixed.toml").read_text("utf-8") == "mine"
    assert read_config(config.with_name("training_config.fixed-2.toml")).config == read_config(config).config


def test_fix_writes_the_same_file_once(config: Path, capsys: pytest.CaptureFixture[str]):
    main(["check", str(config), "--fix"])
    capsys.readouterr()
    assert main(["check", str(config), "--fix"]) == 0
    said = capsys.readouterr().out
    assert "training_config.fixed.toml is just that already: nothing was written" in said
    assert [path.name for path in config.parent.glob("*.fixed*")] == ["training_config.fixed.toml"]
    config.write_text(config.read_text("utf-8") + "seed = 5\n", "utf-8")
    for _ in range(2):
        main(["check", str(config), "--fix"])
    assert len(list(config.parent.glob("*.fixed*"))) == 2


def test_a_dry_run_writes_no_file(config: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", str(config), "--fix", "--dry-run"]) == 0
    assert "training_config.fixed.toml would be written" in capsys.readouterr().out
    assert list(config.parent.glob("*.fixed*")) == []


def test_a_misspelt_config_is_mended_and_judged_as_it_is_then(config: Path, capsys: pytest.CaptureFixture[str]):
    text = config.read_text("utf-8").replace("network_dim", "netwrok_dim")
    config.write_text(text.replace("max_train_epochs = 10", 'max_train_epochs = "10"'), "utf-8")
    assert main(["check", str(config)]) == 1
    before = capsys.readouterr().out.splitlines()[-1]
    assert before.startswith("this can't be trained (2 errors")
    assert main(["check", str(config), "--fix"]) == 0
    said = capsys.readouterr().out
    assert "error: [config.unknown_key] netwrok_dim (line " in said
    assert re.search(r"^\+network_dim = \d+  # was netwrok_dim", said, re.MULTILINE)
    assert said.splitlines()[-1].startswith("no errors")
    assert "--fix" not in said.splitlines()[-1]


def test_the_verdict_counts_what_this_very_call_would_mend(config: Path, capsys: pytest.CaptureFixture[str]):
    main(["check", str(config), "--fix"])
    fixed = str(config.with_name("training_config.fixed.toml"))
    folder = config.parent / "training_data" / "1_cat"
    (folder / "0.txt").unlink()
    capsys.readouterr()

    def last_line(*words: str) -> str:
        main(["check", *words])
        return capsys.readouterr().out.splitlines()[-1]

    assert "set right" not in last_line(fixed), "of a caption that is nowhere"
    (folder / "1.txt").rename(folder / "1.png.txt")
    assert "; 1 of what was found --fix --yes can set right" in last_line(fixed)
    assert "; 1 of what was found --fix can set right" in last_line(fixed, "--yes")
    assert "set right" not in last_line(fixed, "--fix", "--yes")
    flat = str(folder.rename(config.parent / "cats"))
    assert "set right" not in last_line(flat), "nobody said how often each is shown"
    assert "; 1 of what was found --fix can set right" in last_line(flat, "--repeats", "3", "--yes")


def test_fix_in_one_json_document(config: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", str(config), "--fix", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["fixed"] == [str(config.with_name("training_config.fixed.toml"))]
    assert "+train_batch_size = 2" in document["diff"]
    mended = {finding["code"] for finding in document["mended"]}
    assert {"config.kohya_name", "config.resolution_form", "config.network_module"} <= mended
    # What is found is what is left of the new file.
    assert mended.isdisjoint({finding["code"] for finding in document["findings"]})


def test_fix_keeps_the_ends_of_lines_and_shows_no_secret(config: Path, capsys: pytest.CaptureFixture[str]):
    config.write_bytes((config.read_text("utf-8") + 'wandb_api_key = "s3cret"\n').replace("\n", "\r\n").encode())
    assert main(["check", str(config), "--fix"]) == 0
    fixed = config.with_name("training_config.fixed.toml").read_bytes()
    assert fixed.count(b"\r\n") == fixed.count(b"\n") > 0
    assert "s3cret" not in capsys.readouterr().out
    assert b"s3cret" not in fixed


def test_a_config_that_can_not_be_read_is_not_fixed(config: Path, capsys: pytest.CaptureFixture[str]):
    config.write_text("learning_rate = [", "utf-8")
    assert main(["check", str(config), "--fix"]) == 1
    assert "[config.syntax]" in capsys.readouterr().out
    assert [path.name for path in config.parent.glob("*.toml")] == ["training_config.toml"]


def test_convert_to_our_own_form_on_standard_output(config: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["convert", str(config), "--to", "native"]) == 0
    said = capsys.readouterr()
    assert tomllib.loads(said.out)["training"]["train_batch_size"] == 2
    assert "[config.kohya_name]" in said.err
    native = config.with_name("native.toml")
    native.write_text(said.out, "utf-8")
    assert read_config(native).config == read_config(config).config


def test_convert_for_sd_scripts_and_back(config: Path):
    assert main(["convert", str(config), "--to", "kohya", "-o", "kohya.toml"]) == 0
    converted, original = read_config(Path("kohya.toml")).config, read_config(config).config
    assert converted.train_data_dir == original.train_data_dir
    assert converted.train_batch_size == 2
    assert converted.datasets == ()
    # What sd-scripts would do otherwise is written out, so nothing is told of its defaults.
    codes = {finding.code for finding in read_config(Path("kohya.toml")).findings}
    assert {"config.caption_default", "config.save_state", "config.alpha"}.isdisjoint(codes)


def test_a_folder_that_sd_scripts_would_not_find_becomes_a_dataset_config(config: Path):
    text = config.read_text("utf-8").replace("./training_data", "./training_data/1_cat")
    config.write_text(f'{text}sample_prompts = ["a cat --d 1"]\n', "utf-8")
    assert main(["convert", str(config), "--to", "kohya", "-o", "kohya.toml"]) == 0
    [dataset] = tomllib.loads(Path("kohya.dataset.toml").read_text("utf-8"))["datasets"]
    [subset] = dataset["subsets"]
    assert subset["image_dir"] == str(config.parent / "training_data" / "1_cat")
    assert (subset["num_repeats"], subset["class_tokens"]) == (1, "cat")
    assert Path("kohya.prompts.txt").read_text("utf-8") == "a cat --d 1\n"
    converted = read_config(Path("kohya.toml")).config
    assert converted.sample_prompts == ("a cat --d 1",)
    assert [each.image_dir for each in converted.datasets[0].subsets] == [subset["image_dir"]]


def test_what_the_model_predicts_is_written_because_sd_scripts_never_looks(config: Path):
    write_header(config.parent / "v.safetensors", {**sdxl(), "v_pred": (1,), "ztsnr": (1,)})
    text = config.read_text("utf-8").replace("v_parameterization = false", "").replace("./models/sd/v1-5-pruned", "v")
    config.write_text(text, "utf-8")
    assert main(["convert", str(config), "--to", "kohya", "-o", "kohya.toml"]) == 0
    written = tomllib.loads(Path("kohya.toml").read_text("utf-8"))["model"]
    assert (written["v_parameterization"], written["zero_terminal_snr"]) == (True, True)


@pytest.mark.parametrize("name", ["kohya.toml", "kohya.dataset.toml", "kohya.prompts.txt"])
def test_convert_writes_over_nothing(config: Path, name: str, capsys: pytest.CaptureFixture[str]):
    text = config.read_text("utf-8").replace("./training_data", "./training_data/1_cat")
    config.write_text(f'{text}sample_prompts = ["a cat"]\n', "utf-8")
    Path(name).write_text("mine", "utf-8")
    assert main(["convert", str(config), "--to", "kohya", "-o", "kohya.toml"]) == 2
    said = capsys.readouterr().err
    assert "[usage.exists]" in said
    assert name in said
    assert [path.name for path in Path().glob("kohya*")] == [name]
    assert Path(name).read_text("utf-8") == "mine"


def test_several_files_need_a_name(config: Path, capsys: pytest.CaptureFixture[str]):
    config.write_text(config.read_text("utf-8") + 'sample_prompts = ["a cat"]\n', "utf-8")
    assert main(["convert", str(config), "--to", "kohya"]) == 2
    said = capsys.readouterr()
    assert "[usage.several_files]" in said.err
    assert said.out == ""
    # The fix is the very command.
    fix = said.err.rpartition("fix: loratui ")[2].split()
    assert fix == ["convert", str(config), "--to", "kohya", "-o", "training_config.kohya.toml"]
    assert main(fix) == 0
    assert read_config(Path("training_config.kohya.toml")).config.sample_prompts == ("a cat",)


def test_convert_where_nothing_can_be_written(config: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["convert", str(config), "--to", "native", "-o", "nowhere/x.toml"]) == 1
    assert "[disk.write]" in capsys.readouterr().err


def test_a_lora_is_converted_into_a_config_to_be_filled_in(config: Path, capsys: pytest.CaptureFixture[str]):
    metadata = {"ss_network_module": "networks.lora", "ss_network_dim": "8", "ss_sd_model_name": "base.safetensors"}
    write_header(config.with_name("cat.safetensors"), {"lora_unet_x.lora_down.weight": (8, 8)}, metadata=metadata)
    # It is written, and can't be trained yet.
    assert main(["convert", "cat.safetensors", "--to", "native", "-o", "mine.toml"]) == 1
    assert "[config.missing_key] train_data_dir is missing" in capsys.readouterr().err
    text = config.with_name("mine.toml").read_text("utf-8")
    assert '# train_data_dir = "..."  # to be filled in' in text
    assert tomllib.loads(text)["network"]["network_dim"] == 8
    assert main(["convert", "cat.safetensors", "--to", "kohya"]) == 3
    assert "loratui convert cat.safetensors --to native" in capsys.readouterr().err


def test_what_cannot_be_trained_is_not_converted(config: Path, capsys: pytest.CaptureFixture[str]):
    config.with_name("loha.json").write_text('{"LoRA_type": "LyCORIS/LoHa", "network_dim": 8}', "utf-8")
    assert main(["convert", "loha.json", "--to", "native"]) == 3
    assert "LyCORIS/LoHa" in capsys.readouterr().err
