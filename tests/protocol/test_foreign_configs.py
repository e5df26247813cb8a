"""Configs of other programs are read as they are, and nothing in them is passed over in silence."""

import contextlib
import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loratui_protocol import kohya, kohya_gui_names, onetrainer_names
from loratui_protocol.config import KEYS
from loratui_protocol.config_checks import NETWORK_ARGS
from loratui_protocol.config_draft import draft
from loratui_protocol.config_file import Loaded, Partial, parse_config, read_config, read_partial
from loratui_protocol.errors import LoratuiError
from loratui_protocol.foreign_settings import number
from support.checkpoint_headers import sd15, write_header

CORPUS = Path(__file__).parent / "corpus"
READ = {
    "gui_standard.json": {"config.gui_keys", "config.imported", "config.without_effect"},
    "gui_locon_old.json": {"config.gui_keys", "config.imported"},
    "onetrainer_sd15.json": {"config.gui_keys", "config.imported"},
    "gui_handed.toml": {"config.gui_keys", "config.imported"},
    "lora_easy.toml": {"config.gui_keys", "config.without_effect"},
    "bom.json": {"config.gui_keys"},
    "twice.json": {"config.duplicate_key"},
}
"""Files that are read, and findings that they are sure to have."""
REFUSED = {
    "gui_parameters.json": ("config.unknown_key", "some_new_thing"),
    "gui_loha.json": ("config.unsupported", "LoHa"),
    "gui_flux.json": ("config.unsupported", "FLUX"),
    "gui_dreambooth.json": ("config.unsupported", "whole model"),
    "gui_misspelt.json": ("config.unknown_key", "train_batch_size"),
    "onetrainer_old.json": ("config.missing_key", "concepts.json"),
    "onetrainer_finetune.json": ("config.unsupported", "DoRA"),
    "onetrainer_flux.json": ("config.unsupported", "FLUX_DEV_1"),
    "onetrainer_misspelt.json": ("config.unknown_key", "batchsize"),
    "pyproject.toml": ("config.not_a_config", "pyproject"),
    "comfy_workflow.json": ("config.not_a_config", "ComfyUI"),
    "comfy_api.json": ("config.not_a_config", "ComfyUI"),
    "accelerate.yaml": ("config.not_a_config", "accelerate"),
    "a1111.json": ("config.not_a_config", "A1111"),
    "model_index.json": ("config.not_a_config", "diffusers"),
    "tokenizer.json": ("config.not_a_config", "tokenizer"),
    "package.json": ("config.not_a_config", "Node.js"),
    "empty.toml": ("config.not_a_config", "empty"),
    "archive.toml": ("config.not_a_config", "ZIP"),
    "page.toml": ("config.not_a_config", "web page"),
    "rubbish.toml": ("config.not_a_config", "binary"),
    "concepts.json": ("config.not_a_config", "no keys"),
    "comma.json": ("config.syntax", "line 3, column 1"),
    "not_a_number.json": ("config.syntax", "NaN is no number of it (line 3)"),
    "deep.json": ("config.syntax", "within each other"),
    "long_number.json": ("config.syntax", "line 2"),
    "long_number.toml": ("config.syntax", "line 2"),
    "utf16.toml": ("config.syntax", "UTF-16"),
    "twice.toml": ("config.duplicate_key", "line 3"),
    "open_text.toml": ("config.syntax", "line 2"),
}
"""Files that are refused: the code of the first problem, and what is named."""
METADATA = {
    "ss_network_module": "networks.lora",
    "ss_network_dim": "16",
    "ss_network_alpha": "8.0",
    "ss_network_args": '{"conv_dim": "4", "conv_alpha": "2"}',
    "ss_base_model_version": "sd_v1",
    "ss_sd_model_name": "v1-5-pruned-emaonly.safetensors",
    "ss_learning_rate": "0.0001",
    "ss_unet_lr": "0.0002",
    "ss_text_encoder_lr": "None",
    "ss_optimizer": "bitsandbytes.optim.adamw.AdamW8bit(weight_decay=0.1,betas=(0.9, 0.99))",
    "ss_lr_scheduler": "cosine",
    "ss_lr_warmup_steps": "100",
    "ss_max_train_steps": "1500",
    "ss_resolution": "(512, 768)",
    "ss_batch_size_per_device": "2",
    "ss_min_snr_gamma": "5.0",
    "ss_seed": "42",
    "ss_clip_skip": "2",
    "ss_shuffle_caption": "True",
    "ss_color_aug": "False",
    "ss_cache_latents": "True",
    "ss_v2": "False",
    "ss_dataset_dirs": '{"10_cat": {"n_repeats": 10, "img_count": 20}}',
    "ss_tag_frequency": '{"10_cat": {"a cat": 20}}',
    "modelspec.title": "cat",
}


def lora(folder: Path, **changes: str) -> Path:
    """Write a LoRA with the metadata that sd-scripts writes, and return it."""
    tensors = {f"lora_{part}_x.lora_down.weight": (16, 8) for part in ("unet", "te")}
    return write_header(folder / "cat.safetensors", tensors, metadata={**METADATA, **changes})


def refusal(path: Path) -> LoratuiError:
    with pytest.raises(LoratuiError) as caught:
        read_config(path)
    return caught.value


def of_gui(folder: Path, **changes: Any) -> Partial:
    """Return what a file of the GUI with these settings says."""
    path = folder / "gui.json"
    path.write_text(json.dumps({**json.loads((CORPUS / "gui_standard.json").read_text("utf-8")), **changes}), "utf-8")
    return read_partial(path)


def of_onetrainer(folder: Path, **changes: Any) -> Partial:
    """Return what a config of OneTrainer with these settings says."""
    path = folder / "onetrainer.json"
    path.write_text(
        json.dumps({**json.loads((CORPUS / "onetrainer_sd15.json").read_text("utf-8")), **changes}), "utf-8"
    )
    return read_partial(path)


def said(partial: Partial) -> str:
    """Return all that is told of a file."""
    return "\n".join(f"[{each.code}] {each.what} {each.fix}" for each in (*partial.findings, *partial.problems))


# --- the corpus -------------------------------------------------------------------------------------------------------


def test_every_file_of_the_corpus_is_claimed() -> None:
    assert {path.name for path in CORPUS.iterdir()} == {*READ, *REFUSED}


@pytest.mark.parametrize("name", READ)
def test_a_file_of_another_program_is_read(name: str) -> None:
    loaded = read_config(CORPUS / name)
    assert {finding.code for finding in loaded.findings} >= READ[name]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trained_is_named(name: str) -> None:
    error = refusal(CORPUS / name)
    code, named = REFUSED[name]
    assert error.code == code
    assert named in f"{error.what} {error.fix}"
    assert error.fix


@pytest.mark.parametrize("suffix", [".json", ".toml", ".txt", ""])
def test_a_file_is_known_by_what_is_in_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"config{suffix}"
    shutil.copy(CORPUS / "gui_standard.json", path)
    assert read_config(path).config.network_dim == 8


def test_a_section_of_a_training_config_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[project]\npretrained_model_name_or_path = "builtin:tiny"\n[tool]\ntrain_data_dir = "x"\n')
    assert read_config(path).config.train_data_dir == str(tmp_path / "x")


# --- kohya's GUI ------------------------------------------------------------------------------------------------------


def test_the_gui_is_read_as_it_would_start_sd_scripts() -> None:
    config = read_config(CORPUS / "gui_standard.json").config
    assert config.resolution == (512, 512)
    assert config.max_train_epochs == 3
    assert (config.seed, config.keep_tokens, config.gradient_accumulation_steps) == (1234, 1, 2)
    assert config.optimizer_args == {"weight_decay": 0.1, "betas": (0.9, 0.99)}
    assert config.lr_warmup_steps == pytest.approx(0.1)
    assert config.network_args == {}
    assert config.sample_prompts == ("a cat on a mat --w 512 --h 512",)
    assert (config.unet_lr, config.text_encoder_lr) == (1e-4, 5e-5)
    assert (config.v_parameterization, config.multires_noise_iterations, config.scale_weight_norms) == (None,) * 3
    assert config.train_data_dir == str(CORPUS / "training_data")


def test_two_rates_of_text_encoders_are_one_field(tmp_path: Path) -> None:
    for written in ("1e-5 2e-5", "[1e-5, 2e-5]"):
        assert of_gui(tmp_path, text_encoder_lr=written).values["text_encoder_lr"] == (1e-5, 2e-5)
    assert "text_encoder_lr" in "".join(each.what for each in of_gui(tmp_path, text_encoder_lr="1e-5 x").problems)


def test_locon_has_convolutions_and_multires_noise_no_offset() -> None:
    config = read_config(CORPUS / "gui_locon_old.json").config
    assert config.network_args == {"conv_dim": 8, "conv_alpha": 4}
    assert (config.noise_offset, config.multires_noise_iterations) == (None, 6)
    assert config.unet_lr == 1e-4
    assert config.network_train_unet_only


def test_additional_parameters_count_before_the_settings(tmp_path: Path) -> None:
    partial = of_gui(tmp_path, additional_parameters="--min_snr_gamma=3 --network_args rank_dropout=0.1 --masked_loss")
    assert partial.values["min_snr_gamma"] == 3
    assert partial.values["network_args"] == {"rank_dropout": 0.1}
    assert partial.values["masked_loss"] is True
    assert "min_snr_gamma is read from additional_parameters" in said(partial)
    assert "a quote is open" in said(of_gui(tmp_path, additional_parameters="--output_name 'x"))
    assert "belongs to no option" in said(of_gui(tmp_path, additional_parameters="x --seed 3"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"LoRA_type": "LyCORIS/LoKr"}, "LyCORIS/LoKr"),
        ({"v2": True}, "Stable Diffusion 2.x"),
        ({"sd3_checkbox": True}, "Stable Diffusion 3"),
        ({"down_lr_weight": "1,1,1"}, "down_lr_weight"),
        ({"network_dim": "eight"}, "network_dim"),
        ({"max_resolution": "large"}, "(max_resolution)"),
        ({"epoch": 5, "max_train_steps": 900}, "epoch = 5 has no effect"),
        ({"lr_warmup": 100}, "no share of all steps"),
        ({"lr_warmup": 10, "lr_warmup_steps": 50}, "lr_warmup = 10 % has no effect"),
        ({"optimizer_type": "Lion"}, "optimizer_type is set more than once"),
    ],
)
def test_what_the_gui_asks_for_and_does_not_get_is_told(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    assert told in said(of_gui(tmp_path, **changes))


# --- OneTrainer -------------------------------------------------------------------------------------------------------


def test_onetrainer_is_read_under_our_names() -> None:
    config = read_config(CORPUS / "onetrainer_sd15.json").config
    assert (config.network_dim, config.network_alpha, config.max_train_epochs, config.train_batch_size) == (
        16,
        8,
        10,
        2,
    )
    assert (config.learning_rate, config.text_encoder_lr, config.min_snr_gamma) == (3e-4, 5e-5, 5)
    assert config.optimizer_args == {"weight_decay": 0.01, "betas": (0.9, 0.999), "eps": 1e-8}
    assert (config.output_dir, config.output_name) == (str(CORPUS / "models"), "cat")
    assert (config.mixed_precision, config.save_precision, config.save_every_n_epochs) == ("fp16", "fp16", 2)
    (subset,) = config.datasets[0].subsets
    assert (subset.image_dir, subset.num_repeats) == (str(CORPUS / "training_data" / "1_cat"), 2)
    assert subset.settings["shuffle_caption"]
    assert config.sample_prompts == ("a cat --n dog --w 512 --h 512 --d 1",)


def test_an_old_config_is_brought_up_to_date(tmp_path: Path) -> None:
    concepts = tmp_path / "training_concepts" / "concepts.json"
    concepts.parent.mkdir()
    concepts.write_text('[{"name": "cat", "path": "img"}]')
    shutil.copy(CORPUS / "onetrainer_old.json", tmp_path)
    config = read_config(tmp_path / "onetrainer_old.json").config
    assert (config.unet_lr, config.network_train_unet_only, config.gradient_checkpointing) == (2e-4, True, True)
    assert (config.optimizer_type, config.optimizer_args) == ("AdaFactor", {"relative_step": False})
    assert config.network_args == {"conv_dim": 8, "conv_alpha": 1}
    assert config.max_train_epochs == 100
    assert config.datasets[0].subsets[0].image_dir == str(tmp_path / "img")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"masked_training": True}, "masks"),
        ({"resolution": "512,768"}, "several of them"),
        ({"optimizer": {"optimizer": "CAME"}}, "CAME"),
        ({"learning_rate_scheduler": "REX"}, "REX"),
        ({"learning_rate_scheduler": "COSINE"}, "ends at half"),
        ({"layer_filter_preset": "attn-only"}, "attn-only"),
        (
            {"text_encoder": {"train": True, "stop_training_after": 2, "stop_training_after_unit": "EPOCH"}},
            "learns for 2",
        ),
        ({"concepts": [{"path": "x", "balancing": 0.5}]}, "no whole number of repeats"),
        ({"concepts": [{"path": "x", "enabled": False}]}, "not enabled"),
        ({"concepts": [{"path": "x", "image": {"enable_random_hue": True}}]}, "enable_random_hue"),
        ({"peft_type": "LOHA"}, "LOHA"),
        ({"mae_strength": 0.5}, "mix of losses"),
        ({"unet": 3}, "a table is wanted"),
    ],
)
def test_what_onetrainer_asks_for_and_does_not_get_is_told(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    assert told in said(of_onetrainer(tmp_path, **changes))


# --- a LoRA -----------------------------------------------------------------------------------------------------------


def test_a_lora_says_how_it_was_trained(tmp_path: Path) -> None:
    partial = read_partial(lora(tmp_path))
    assert partial.kind == "lora"
    values = partial.values
    assert (values["network_dim"], values["network_alpha"], values["seed"]) == (16, 8, 42)
    assert values["network_args"] == {"conv_dim": 4, "conv_alpha": 2}
    assert (values["optimizer_type"], values["optimizer_args"]) == (
        "AdamW8bit",
        {"weight_decay": 0.1, "betas": (0.9, 0.99)},
    )
    assert (values["resolution"], values["max_train_steps"], values["lr_warmup_steps"]) == ((512, 768), 1500, 100)
    assert (values["shuffle_caption"], values["train_batch_size"]) == (True, 2)
    assert {problem.code for problem in partial.problems} == {"config.missing_key"}
    assert "10_cat (20 pictures)" in said(partial)
    assert "v1-5-pruned-emaonly.safetensors" in said(partial)


def test_a_draft_of_a_lora_lacks_only_what_is_filled_in(tmp_path: Path) -> None:
    text = draft(read_partial(lora(tmp_path)))
    assert text is not None
    for key in ("pretrained_model_name_or_path", "train_data_dir"):
        line = f'# {key} = "..."  # to be filled in'
        assert line in text
        text = text.replace(line, f'{key} = "builtin:tiny"')
    assert parse_config(text, tmp_path).config.max_train_steps == 1500


def test_a_base_model_beside_the_lora_is_found(tmp_path: Path) -> None:
    write_header(tmp_path / "v1-5-pruned-emaonly.safetensors", sd15())
    values = read_partial(lora(tmp_path)).values
    assert values["pretrained_model_name_or_path"] == str(tmp_path / "v1-5-pruned-emaonly.safetensors")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ss_network_module": "lycoris.kohya"}, "lycoris.kohya"),
        ({"ss_base_model_version": "flux1"}, "flux1"),
        ({"ss_v2": "True"}, "Stable Diffusion 2.x"),
        ({"ss_optimizer": "dadaptation.DAdaptAdam()"}, "DAdaptAdam"),
        ({"ss_color_aug": "True"}, "colour augmentation"),
        ({"ss_of_tomorrow": "1"}, "ss_of_tomorrow"),
        ({"ss_network_args": '{"algo": "loha"}'}, "algo"),
        ({"ss_network_args": "["}, "can't be read"),
        ({"ss_optimizer": "AdamW(__import__('os'))"}, "can't be read"),
        ({"ss_lr_scheduler": "mine.Schedule"}, "mine.Schedule"),
    ],
)
def test_what_a_lora_was_trained_with_and_cannot_be_again_is_told(
    tmp_path: Path, changes: dict[str, str], told: str
) -> None:
    assert told in said(read_partial(lora(tmp_path, **changes)))


def test_models_that_say_nothing_of_a_training_are_no_configs(tmp_path: Path) -> None:
    base = write_header(tmp_path / "base.safetensors", sd15())
    silent = write_header(tmp_path / "silent.safetensors", {"lora_unet_x.lora_down.weight": (4, 320)})
    assert (refusal(base).code, refusal(silent).code) == ("config.not_a_config",) * 2
    assert "a model" in refusal(base).what
    assert "a LoRA that doesn't say" in refusal(silent).what
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(lora(tmp_path).read_bytes()[:-1])
    assert refusal(cut).code == "model.truncated"


# --- files that are too much ------------------------------------------------------------------------------------------


def test_a_large_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text('{"added_tokens": [], "x": "' + "x" * (1 << 20) + '"}')
    error = refusal(path)
    assert error.code == "config.not_a_config"
    assert "a tokenizer.json" in error.what


def test_a_file_of_thousands_of_keys_or_parts_of_a_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "many.toml"
    path.write_text("seed = 1\n" + "".join(f"key{number} = 1\n" for number in range(20_000)))
    assert "20,001 keys" in refusal(path).what
    path.write_text("seed = 1\n" + "a." * 100_000 + "a = 1\n")
    assert "line 2" in refusal(path).what


def test_names_in_a_file_command_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "gui.json"
    path.write_text(json.dumps({"train_batch_size": 1, "\x1b[31mred": 3, "LoRA_type": "\x1b[2J"}))
    assert "\x1b" not in refusal(path).what


# --- anything at all --------------------------------------------------------------------------------------------------


def keys_of(content: dict[str, Any]) -> list[str]:
    return [key.removeprefix("ss_") for key in content if not key.startswith("modelspec")]


def assert_no_key_is_lost(content: dict[str, Any], partial: Partial) -> None:
    renamed = {**kohya_gui_names.RENAMED, **onetrainer_names.RENAMED, **onetrainer_names.WHEN_SET, **OTHER_NAMES}
    told = said(partial)
    words = set(re.findall(r"\w+", told))
    lost = [
        key for key in keys_of(content) if not {key, *renamed.get(key, "").split()} & {*partial.values.keys(), *words}
    ]
    # sd-scripts' own keys that are off, or at their defaults, ask for nothing in TOML either.
    assert [
        key for key in lost if not _is_idle_of_kohya(key, content[key] if key in content else content[f"ss_{key}"])
    ] == []


def _is_idle_of_kohya(key: str, value: Any) -> bool:
    known = {key, kohya_gui_names.RENAMED.get(key, key)} & {*kohya.WITHOUT_EFFECT, *kohya.UNSUPPORTED}
    off = (None, False, 0, "", [], kohya.UNSUPPORTED.get(key, (None, ""))[0])
    return bool(known) and (value in off or number(value) == 0)


OTHER_NAMES = {
    **dict.fromkeys(NETWORK_ARGS, "network_args"),
    "sdxl_no_half_vae": "network_module",
    "epoch": "max_train_epochs max_train_steps",
    "lr_warmup": "lr_warmup_steps",
    "LoRA_type": "network_module",
    "training_method": "network_module",
    "model_type": "network_module",
    "sdxl": "network_module",
    "concepts": "datasets",
    "samples": "sample_prompts",
    "optimizer": "optimizer_type",
    "learning_rate_scheduler": "lr_scheduler",
    "learning_rate_warmup_steps": "lr_warmup_steps",
    "learning_rate_cycles": "lr_scheduler",
    "train_dtype": "mixed_precision",
    "output_dtype": "save_precision",
    "output_model_destination": "output_name",
    "loss_weight_fn": "min_snr_gamma",
    "loss_weight_strength": "min_snr_gamma",
    "clip_grad_norm": "max_grad_norm",
    "unet": "network_module",
    "text_encoder": "network_module",
    "save_every": "save_every_n_epochs",
    "save_every_unit": "save_every_n_epochs",
    "layer_filter_preset": "network_module",
    "batch_size_per_device": "train_batch_size",
    "network_module": "network_module",
}
"""What else a key becomes; what only says of which kind a file is becomes the network."""


@pytest.mark.parametrize("name", ["gui_standard.json", "gui_locon_old.json", "onetrainer_sd15.json"])
def test_every_key_ends_as_a_value_a_finding_or_a_problem(name: str) -> None:
    content = json.loads((CORPUS / name).read_text("utf-8"))
    assert_no_key_is_lost(content, read_partial(CORPUS / name))


def test_every_key_of_a_lora_ends_so(tmp_path: Path) -> None:
    assert_no_key_is_lost(METADATA, read_partial(lora(tmp_path)))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    st.sampled_from(["", "0", "1e-4", "512,512", "True", "NONE", [{}], [[]], {"optimizer": 3}, [{"path": 3}]]),
)


@pytest.mark.parametrize("name", ["gui_standard.json", "onetrainer_sd15.json"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_values_of_any_type_are_read_or_refused(tmp_path: Path, name: str, data: st.DataObject) -> None:
    content = json.loads((CORPUS / name).read_text("utf-8"))
    for key in data.draw(st.lists(st.sampled_from(sorted(content)), min_size=1, max_size=4)):
        content[key] = data.draw(VALUES)
    path = tmp_path / "mutated.json"
    path.write_text(json.dumps(content), "utf-8")
    assert_read_or_refused(path)
    with contextlib.suppress(LoratuiError):
        assert_no_key_is_lost(content, read_partial(path))


def test_a_key_that_nobody_knows_is_refused_and_one_that_is_off_is_left_out(tmp_path: Path) -> None:
    for read in (of_gui, of_onetrainer):
        assert "[config.unknown_key] of_tomorrow" in said(read(tmp_path, of_tomorrow=3))
        partial = read(tmp_path, of_tomorrow=False)
        assert not partial.problems
        assert "of_tomorrow" in said(partial)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(sorted(METADATA)), st.text(max_size=30), max_size=4))
def test_metadata_of_any_text_is_read_or_refused(tmp_path: Path, changes: dict[str, str]) -> None:
    assert_read_or_refused(lora(tmp_path, **changes))


@pytest.mark.parametrize("name", [*READ, *REFUSED, "cat.safetensors"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_damaged_files_are_read_or_refused(tmp_path: Path, name: str, seed: int) -> None:
    drawn = random.Random(seed)
    source = CORPUS / name if name != "cat.safetensors" else lora(tmp_path)
    content = bytearray(source.read_bytes())
    for _ in range(drawn.randint(1, 4)):
        match drawn.randint(0, 3):
            case 0:
                del content[drawn.randrange(len(content) + 1) :]
            case 1 if content:
                content[drawn.randrange(len(content))] = drawn.randrange(256)
            case 2 if content:
                at = drawn.randrange(len(content))
                content[at:at] = drawn.choice([b"[", b"{", b'"', b"\n", b"\0", b"NaN", b"= ", b"\\", b"1e999"])
            case _:
                start = drawn.randrange(len(content) + 1)
                del content[start : start + drawn.randint(1, 20)]
    path = tmp_path / f"damaged{source.suffix}"
    path.write_bytes(content)
    assert_read_or_refused(path)


def assert_it_helps(refused: LoratuiError) -> None:
    assert refused.what
    assert refused.fix


def assert_read_or_refused(path: Path) -> None:
    try:
        loaded = read_config(path)
    except LoratuiError as error:
        assert_it_helps(error)
    else:
        assert isinstance(loaded, Loaded)
        assert all(hasattr(loaded.config, key) for key in KEYS)
