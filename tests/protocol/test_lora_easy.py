"""A file of LoRA Easy Training Scripts is read as it would start sd-scripts."""

from pathlib import Path

import pytest

from loratui_protocol.config_file import Partial, read_config, read_partial
from loratui_protocol.config_fix import fixed_text

SAVED = """
[[subsets]]
image_dir = "cats"
name = "my cats"
num_repeats = 10
caption_extension = ".txt"

[noise_args]

[train_mode]
train_mode = "lora"

[general_args.args]
pretrained_model_name_or_path = "builtin:tiny"
max_train_epochs = 2
sdxl = true

[general_args.dataset_args]
resolution = 768
batch_size = 2

[network_args.args]
network_dim = 8
network_alpha = 1.0

[network_args.args.network_args]
conv_dim = 4

[optimizer_args.args]
optimizer_type = "AdamW8bit"
lr_scheduler = "cosine"
warmup_ratio = 0.05

[optimizer_args.args.optimizer_args]
weight_decay = "0.1"
betas = "0.9,0.99"

[saving_args.args]
output_dir = ""
save_toml = true
"""


def read(folder: Path, text: str = SAVED) -> Partial:
    path = folder / "easy.toml"
    path.write_text(text, "utf-8")
    return read_partial(path)


def test_its_tables_are_keys_and_its_subsets_a_dataset(tmp_path: Path) -> None:
    partial = read(tmp_path)
    loaded = read_config(tmp_path / "easy.toml")
    config = loaded.config
    assert (partial.kind, loaded.claims_sdxl) == ("lora_easy", True)
    assert (config.resolution, config.train_batch_size, config.max_train_epochs) == ((768, 768), 2, 2)
    assert (config.network_dim, config.network_alpha, config.network_args) == (8, 1.0, {"conv_dim": 4.0})
    assert (config.optimizer_type, config.lr_warmup_steps) == ("AdamW8bit", 0.05)
    assert config.optimizer_args == {"weight_decay": 0.1, "betas": (0.9, 0.99)}
    [subset] = config.datasets[0].subsets
    assert (Path(subset.image_dir).name, subset.num_repeats) == ("cats", 10)
    assert {each.code for each in loaded.findings} >= {"config.gui_keys"}


@pytest.mark.parametrize(
    ("was", "line", "code"),
    [
        ("save_toml = true", "some_new_thing = 1", "config.unknown_key"),
        ("conv_dim = 4", 'algo = "lokr"', "config.unsupported"),
        ("num_repeats = 10", "random_crop = true", "config.unsupported"),
        ("network_dim = 8", 'network_dim = "eight"', "config.type"),
    ],
)
def test_nothing_of_it_passes_in_silence(tmp_path: Path, was: str, line: str, code: str) -> None:
    assert [problem.code for problem in read(tmp_path, SAVED.replace(was, line)).problems] == [code]


def test_it_is_set_right_as_our_own_file(tmp_path: Path) -> None:
    read(tmp_path, SAVED.replace("max_train_epochs = 2", "max_train_epochs = 2\nxformers = true"))
    assert "[model]" in fixed_text(read_config(tmp_path / "easy.toml"), tmp_path)
